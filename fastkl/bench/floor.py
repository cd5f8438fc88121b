"""The time below which no divergence can be had: that of reading both arrays."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl._threads import for_each_chunk
from fastkl.bench.case import Case

# As many items as fastkl's own chunks have, so that both pay the same for handing them out.
CHUNK = 1 << 17


def bind(case: Case) -> Callable[[], Any]:
    """Read p and q on ``case.threads`` threads and sum their products; one p for all q stays in the caches: read q."""
    p, q = (array.ravel(order="K") for array in (case.p, case.q))
    if p.size != q.size:
        p = q
    chunks = -(-q.size // CHUNK)
    sums = np.zeros(chunks)
    dot = products()

    def read(chunk: int) -> None:
        part = slice(chunk * CHUNK, (chunk + 1) * CHUNK)
        sums[chunk] = dot(p[part], q[part])

    def call() -> npt.NDArray[np.float64]:
        for_each_chunk(read, chunks, case.threads)
        return sums

    return call


@cache
def products() -> Any:
    """The compiled sum of the products of two arrays."""
    import numba

    @numba.njit(nogil=True, fastmath={"reassoc", "nsz"})  # type: ignore[untyped-decorator,unused-ignore]
    def dot(p, q):  # type: ignore[no-untyped-def]
        total = p[0] * q[0]
        for i in range(1, p.size):
            total += p[i] * q[i]
        return total

    return dot
