"""The time below which no divergence can be had: that of reading both arrays."""

import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl._threads import for_each_chunk
from fastkl.bench.case import Case

# As many items as fastkl's own chunks have, so that both pay the same for handing them out.
_CHUNK = 1 << 17
_BUSY = 0.02


def bind(case: Case) -> Callable[[], Any]:
    """Read p and q on ``case.threads`` threads and sum their products; one p for all q stays in the caches: read q."""
    p, q = (array.ravel(order="K") for array in (case.p, case.q))
    if p.size != q.size:
        p = q
    chunks = -(-q.size // _CHUNK)
    sums = np.zeros(chunks)
    products = _products()

    def read(chunk: int) -> None:
        part = slice(chunk * _CHUNK, (chunk + 1) * _CHUNK)
        sums[chunk] = products(p[part], q[part])

    def call() -> npt.NDArray[np.float64]:
        for_each_chunk(read, chunks, case.threads)
        return sums

    return call


def busy(threads: int) -> None:
    """Keep so many CPUs busy for a moment.

    What comes after a pause, or after a library that waits for its own threads, may start on one CPU: virtual ones that
    have slept take up to 15 ms to come back, which made calls of 5 ms last twice as long.
    """
    values, products = np.ones(_CHUNK), _products()
    end = time.perf_counter() + _BUSY

    def read(_: int) -> None:
        while time.perf_counter() < end:
            products(values, values)

    for_each_chunk(read, threads, threads)


@cache
def _products() -> Any:
    import numba

    @numba.njit(nogil=True, fastmath={"reassoc", "nsz"})  # type: ignore[untyped-decorator,unused-ignore]
    def products(p, q):  # type: ignore[no-untyped-def]
        total = p[0] * q[0]
        for i in range(1, p.size):
            total += p[i] * q[i]
        return total

    return products
