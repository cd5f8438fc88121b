"""The threads of the BLAS: one for each of ours while products are computed, whatever they were before and after."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import threadpoolctl

_lock = threading.RLock()
_users = 0
_limit: Any = None
# Since 3.8 only the thread that sets the limit of a pool can change it, until it or this function says otherwise; and
# the limits of OpenBLAS over OpenMP, which has no pool, are those of the calling thread alone.
_release = getattr(threadpoolctl.OpenBLASController, "clear_controlling_thread", None)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold the BLAS to one thread for each caller while a ``with`` block runs.

    Of several blocks at once the first to come sets the limit and the last to go takes it away, so that none restores
    what another one has set.
    """
    global _users, _limit
    with _lock:
        if _users == 0:
            _limit = _set_limit()
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _take_away(_limit)


@contextmanager
def one_blas_thread_here() -> Iterator[None]:
    """The same for a BLAS that is told by each thread for itself; to be used in each."""
    if _of_threads() is None:
        yield
    else:
        with _of_threads().limit(limits=1, user_api="blas"):
            yield


def _set_limit() -> Any:
    # None if there is nothing to take away: the BLAS has one thread already, or another thread rules over it.
    pools = _of_process()
    before = _threads(pools)
    limit = pools.limit(limits=1, user_api="blas")
    return limit if _threads(pools) != before else None


def _take_away(limit: Any) -> None:
    if _release is not None:
        _release(force=True)  # it may be another thread that has set it
    if limit is not None:
        limit.restore_original_limits()
    if _release is not None:
        _release(force=True)


def _threads(controller: Any) -> list[int]:
    return [library["num_threads"] for library in controller.info()]


@cache
def _libraries() -> Any:
    # Looking for them takes milliseconds. NumPy's BLAS, which computes the products, is there already.
    return threadpoolctl.ThreadpoolController().select(user_api="blas")


def _is_told_by_threads(library: dict[str, Any]) -> bool:
    is_openblas = library["internal_api"] == "openblas"
    return _release is not None and is_openblas and library.get("threading_layer") == "openmp"


@cache
def _of_process() -> Any:
    files = [library["filepath"] for library in _libraries().info() if not _is_told_by_threads(library)]
    return _libraries().select(filepath=files)


@cache
def _of_threads() -> Any:
    files = [library["filepath"] for library in _libraries().info() if _is_told_by_threads(library)]
    return _libraries().select(filepath=files) if files else None


def _wait_for_others() -> None:
    # While a process forks no thread is about to set a limit, or to take it away: threadpoolctl has a lock for that.
    _lock.acquire()


def _go_on() -> None:
    _lock.release()


def _forget_users() -> None:
    # A forked child has none of the threads that were computing, but the limit that was theirs.
    global _users, _limit, _lock
    if _users:
        _take_away(_limit)
    _users, _limit, _lock = 0, None, threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_wait_for_others, after_in_parent=_go_on, after_in_child=_forget_users)
