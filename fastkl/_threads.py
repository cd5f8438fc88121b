"""Work shared among threads: chunks handed out one by one, on a pool that survives forks and obeys Ctrl-C.

Kernels release the GIL, so threads of Python run them side by side. The caller's thread works too: what is asked of
the pool is help, and nothing waits for a helper that has not begun. So many callers share one pool without deadlock.
"""

import itertools
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_asked = threading.local()


class Stopped(Exception):
    """What is computed is not wanted any more."""


@contextmanager
def stopped_by(event: threading.Event) -> Iterator[None]:
    """Let calls in this thread, which no signal reaches, end with Stopped a moment after the event is set."""
    _asked.event = event
    try:
        yield
    finally:
        del _asked.event


def check_wanted() -> None:
    """Raise Stopped if this thread is asked to stop: to be called every second or so."""
    event = getattr(_asked, "event", None)
    if event is not None and event.is_set():
        raise Stopped


def available_cpus() -> int:
    """The CPUs that this call may use: one in a task of dask's workers, which run as many tasks as they have CPUs."""
    return 1 if _is_in_task() else _cpus_of_process()


def _is_in_task() -> bool:
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return False
    try:
        distributed.get_worker()
    except ValueError:  # there is none in this thread
        return False
    return True


def _cpus_of_process() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def for_each_chunk(work: Callable[[int], None], chunks: int, threads: int) -> None:
    """Call ``work`` with 0 ... chunks - 1 on at most ``threads`` threads, and return when all is done.

    The first exception, KeyboardInterrupt included, stops the handing out; it is raised once no thread works any more.
    """
    if threads <= 1 or chunks <= 1:
        for chunk in range(chunks):
            check_wanted()
            work(chunk)
        return
    numbers = itertools.count()
    stopped = threading.Event()

    def take_chunks() -> None:
        try:
            while not stopped.is_set() and (chunk := next(numbers)) < chunks:
                check_wanted()
                work(chunk)
        except BaseException:
            stopped.set()
            raise

    helpers = _start(take_chunks, min(threads, chunks) - 1)
    try:
        take_chunks()
    finally:
        stopped.set()  # harmless when all chunks are handed out
        running = [helper for helper in helpers if not helper.cancel()]
        for helper in running:
            helper.exception()
    for helper in running:
        helper.result()


def _start(task: Callable[[], None], count: int) -> list[Future[None]]:
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(max(_cpus_of_process(), 1), thread_name_prefix="fastkl")
        helpers: list[Future[None]] = []
        try:
            for _ in range(count):
                helpers.append(_pool.submit(task))
        except RuntimeError:  # no more threads can be started, or none at all while the interpreter shuts down
            pass
        return helpers


def _forget_pool() -> None:
    # A forked child has the pool's memory and none of its threads.
    global _pool, _lock
    _pool, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)
