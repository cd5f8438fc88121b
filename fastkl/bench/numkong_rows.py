"""NumKong over rows: its functions of two rows called from compiled code, on threads.

Its own batched calls hold the GIL and gain nothing from threads.
"""

import ctypes
from functools import cache
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from fastkl._threads import for_each_chunk
from fastkl.bench.case import Case
from fastkl.bench.contestant import Call, Unsuitable

_Array = npt.NDArray[Any]
_ITEMS = 1 << 17  # of a chunk


def bind(case: Case) -> Call:
    """Its divergence of rows; those that it does not take as they are copied chunk by chunk."""
    import numkong

    if case.has_zeros:
        raise Unsuitable("is finite where the divergence is not")
    p, q = case.p, case.q
    return _of_one_row(numkong.kld, p, q, case.normalize) if q.ndim == 1 else _over_rows(case)


def _of_one_row(kld: Any, p: _Array, q: _Array, normalize: bool) -> Call:
    if not normalize:
        return lambda: kld(p, q)

    def call() -> Any:
        s, t = p.sum(), q.sum()
        return kld(p, q) / s + np.log(t / s)

    return call


def _over_rows(case: Case) -> Call:
    q = np.moveaxis(case.q, case.axis, -1)
    p = np.broadcast_to(case.p if case.p.ndim == 1 else np.moveaxis(case.p, case.axis, -1), q.shape)
    chunk = max(1, _ITEMS // q.shape[1])

    def call() -> npt.NDArray[np.float64]:
        out = np.empty(len(q))

        def work(k: int) -> None:
            part = slice(k * chunk, (k + 1) * chunk)
            out[part] = _divergences(_as_floats(p[part]), _as_floats(q[part]), case)

        for_each_chunk(work, -(-len(q) // chunk), case.threads)
        return out

    return call


def _as_floats(rows: _Array) -> _Array:
    """Rows of a type that it has, each without gaps."""
    if rows.dtype.kind != "f":
        return rows.astype(np.float64)
    return rows if rows.strides[1] == rows.itemsize else np.ascontiguousarray(rows)


def _divergences(p: _Array, q: _Array, case: Case) -> _Array:
    if not case.normalize:
        return _run("kullbackleibler", p, q)
    s, t = p.sum(axis=1), q.sum(axis=1)
    shift: _Array = np.log(t / s)
    if case.divergence == "js":  # it has the root
        distances = _run("jensenshannon", p / s[:, None], q / t[:, None])
        return distances * distances
    forward: _Array = _run("kullbackleibler", p, q) / s + shift
    if case.divergence == "kl":
        return forward
    backward: _Array = _run("kullbackleibler", q, p) / t - shift
    return forward + backward if case.divergence == "jeffreys" else forward


def _run(metric: str, p: _Array, q: _Array) -> _Array:
    out = np.empty(len(q))
    _loop(metric, q.dtype.name)(p, q, out)
    return out


@cache
def _loop(metric: str, dtype: str) -> Any:
    import numba
    import numkong

    pointers = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_void_p)
    function = ctypes.CFUNCTYPE(None, *pointers)(getattr(cast(Any, numkong), f"pointer_to_{metric}")(dtype))

    @numba.njit(nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
    def loop(p, q, out):  # type: ignore[no-untyped-def]
        for i in range(len(out)):
            function(p[i].ctypes, q[i].ctypes, q.shape[1], out[i:].ctypes)

    return loop
