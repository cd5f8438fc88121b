"""The threads of the BLAS: one for each of ours while products are computed, whatever they were before and after."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_users = 0
_limit: Any = None


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold every BLAS of the process to one thread for each caller while a ``with`` block runs.

    Of several blocks at once the first to come sets the limit and the last to go takes it away, so that none restores
    what another one has set.
    """
    global _users, _limit
    with _lock:
        if _users == 0:
            _limit = _controller().limit(limits=1, user_api="blas")
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _limit.restore_original_limits()
                _limit = None


@cache
def _controller() -> ThreadpoolController:
    # Looking for the libraries takes milliseconds. NumPy's BLAS, which computes the products, is there already.
    return ThreadpoolController()
