"""Who can compute a row-wise divergence: fastkl, the read floor beneath it, and the libraries people use instead.

Each is used in the fastest form that gives the right answer, on all threads it can use; arrays are handed over before
the clock runs. A library is imported when its turn comes; without it the others go on.
"""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from fastkl._threads import available_cpus, for_each_chunk
from fastkl.bench import floor
from fastkl.bench.case import Case
from fastkl.bench.truth import ALPHA

Call = Callable[[], Any]


class Unsuitable(Exception):
    """A library can't do a job; the text says why."""


def same(case: Case) -> Case:
    """The job itself."""
    return case


def first_items(case: Case) -> Case:
    """As much of a job as slow libraries get: beyond the caches, yet done in a tenth of a second."""
    return case.head(1 << 22)


@dataclass(frozen=True, slots=True)
class Peer:
    """One way to do a job: ``bind`` gives the call that is timed, ``change`` what is computed instead of the job."""

    name: str
    bind: Callable[[Case], Call]
    package: str | None = None
    change: Callable[[Case], Case] = same
    # Expected of double and of single precision; None if it computes no divergence.
    rtol: tuple[float, float] | None = (1e-11, 1e-4)

    def on(self, name: str, change: Callable[[Case], Case]) -> "Peer":
        """The same library on a changed job."""
        return replace(self, name=f"{self.name}, {name}", change=change)


def _fastkl(case: Case) -> Call:
    import fastkl

    p, q = case.p, case.q
    options: dict[str, Any] = {"axis": case.axis, "normalize": case.normalize, "threads": case.threads}
    if case.divergence in ("alpha", "renyi"):
        options["alpha"] = ALPHA
    if case.divergence == "both":
        return lambda: fastkl.kl_divergences(p, q, **options)[0]
    functions: dict[str, Any] = {
        "kl": fastkl.kl_divergence,
        "js": fastkl.js_divergence,
        "jeffreys": fastkl.jeffreys_divergence,
        "alpha": fastkl.alpha_divergence,
        "renyi": fastkl.renyi_divergence,
        "logits": fastkl.kl_divergence_from_logits,
    }
    function = functions[case.divergence]
    return lambda: function(p, q, **options)


def _scaled(case: Case) -> tuple[Any, Any]:
    """p and q divided by their totals."""
    return tuple(array / array.sum(axis=case.axis, keepdims=True) for array in (case.p, case.q))


def _numpy(case: Case) -> Call:
    axis, is_empty = case.axis, case.p == 0 if case.has_zeros else None

    def call() -> Any:
        p, q = case.p, case.q
        if case.normalize:
            p, q = _scaled(case)
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = p * np.log(p / q)
        if is_empty is not None:
            terms[is_empty] = 0
        return terms.sum(axis=axis)

    return call


def _scipy_entropy(case: Case) -> Call:
    from scipy.stats import entropy

    return lambda: entropy(case.p, case.q, axis=case.axis)


def _rel_entr(case: Case) -> Call:
    from scipy.special import rel_entr

    p, q, axis = case.p, case.q, case.axis
    if not case.normalize:
        return lambda: rel_entr(p, q).sum(axis=axis)
    return lambda: rel_entr(*_scaled(case)).sum(axis=axis)


def _numexpr(case: Case) -> Call:
    import numexpr

    axis, names = case.axis, {"p": case.p, "q": case.q}
    term = "where(p > 0, p * log(p / q), 0.0)" if case.has_zeros else "p * log(p / q)"
    dtype = case.p.dtype if case.p.dtype.kind == "f" else np.float64

    def call() -> Any:
        numexpr.set_num_threads(case.threads)
        total = numexpr.evaluate(term, names).sum(axis=axis)  # its own sum() runs on one thread
        if not case.normalize:
            return total
        # Scaling the bins themselves takes three times as long: numexpr is slow at broadcasting.
        s, t = case.p.sum(axis=axis, dtype=dtype), case.q.sum(axis=axis, dtype=dtype)
        return total / s + np.log(t / s)

    return call


def _torch(case: Case) -> Call:
    import torch

    axis = case.axis
    p, q = torch.from_numpy(case.p), torch.from_numpy(case.q)

    def call() -> Any:
        torch.set_num_threads(case.threads)
        x, y = (array if array.is_floating_point() else array.double() for array in (p, q))
        if case.normalize:
            x, y = x / x.sum(axis, keepdim=True), y / y.sum(axis, keepdim=True)
        if case.has_zeros:
            return torch.where(x > 0, x * torch.log(x / y), 0).sum(axis)
        return torch.special.xlogy(x, x / y).sum(axis)  # quicker than nn.functional.kl_div, which wants log q

    return call


def _jax(case: Case) -> Call:
    import jax
    import jax.numpy as jnp

    if case.threads != available_cpus():
        raise Unsuitable("uses all threads, always")
    jax.config.update("jax_enable_x64", True)
    axis = case.axis

    @jax.jit  # type: ignore[untyped-decorator,unused-ignore]
    def divergence(p: Any, q: Any) -> Any:
        if case.normalize:
            p, q = p / p.sum(axis, keepdims=True), q / q.sum(axis, keepdims=True)
        terms = p * jnp.log(p / q)  # jax.scipy.special.rel_entr takes ten times as long
        if case.has_zeros:
            terms = jnp.where(p > 0, terms, 0)
        return terms.sum(axis)

    p, q = jnp.asarray(case.p), jnp.asarray(case.q)
    return lambda: divergence(p, q).block_until_ready()


def _numkong(case: Case) -> Call:
    import numkong

    if case.normalize:
        raise Unsuitable("does not normalise")
    if case.has_zeros:
        raise Unsuitable("is finite where the divergence is not")
    if case.axis != -1 or case.p.dtype.kind != "f":
        raise Unsuitable("takes rows of floats")
    if case.q.ndim == 1:
        return lambda: numkong.kld(case.p, case.q)
    # numkong.kld holds the GIL and gains nothing from threads; the C function behind it, called from Numba, does.
    rows = _numkong_rows(case.q.dtype.name)
    p, q, chunk = np.broadcast_to(case.p, case.q.shape), case.q, max(1, (1 << 17) // case.q.shape[1])

    def call() -> npt.NDArray[np.float64]:
        out = np.empty(len(q))

        def work(k: int) -> None:
            part = slice(k * chunk, (k + 1) * chunk)
            rows(p[part], q[part], out[part])

        for_each_chunk(work, -(-len(q) // chunk), case.threads)
        return out

    return call


@cache
def _numkong_rows(dtype: str) -> Any:
    import numba
    import numkong

    pointers = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_void_p)
    kld = ctypes.CFUNCTYPE(None, *pointers)(cast(Any, numkong).pointer_to_kullbackleibler(dtype))

    @numba.njit(nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
    def rows(p, q, out):  # type: ignore[no-untyped-def]
        for i in range(len(out)):
            kld(p[i].ctypes, q[i].ctypes, q.shape[1], out[i:].ctypes)

    return rows


FLOOR = Peer("read floor", floor.bind, rtol=None)
FASTKL = Peer("fastkl", _fastkl, "fastkl")
SCIPY = Peer("scipy.stats.entropy", _scipy_entropy, "scipy", first_items)
JAX = Peer("jax", _jax, "jax")
# It adds 1e-15 to every bin, 1e-7 in single precision, which tells where bins are many and small.
NUMKONG = Peer("numkong", _numkong, "numkong", rtol=(1e-5, 0.1))

KL = (
    FLOOR,
    FASTKL,
    SCIPY,
    Peer("scipy rel_entr().sum()", _rel_entr, "scipy", first_items),
    Peer("numpy", _numpy, "numpy", first_items),
    Peer("numexpr", _numexpr, "numexpr", first_items),
    Peer("torch", _torch, "torch", first_items),
    JAX,
    NUMKONG,
)


def _jensenshannon(case: Case) -> Call:
    from scipy.spatial.distance import jensenshannon

    return lambda: jensenshannon(case.p, case.q, axis=1) ** 2


def _rel_entr_both(case: Case) -> Call:
    from scipy.special import rel_entr

    def call() -> Any:
        p, q = _scaled(case)
        forward, backward = rel_entr(p, q).sum(axis=1), rel_entr(q, p).sum(axis=1)
        return forward + backward if case.divergence == "jeffreys" else forward

    return call


def _numpy_powers(case: Case) -> Call:
    a = ALPHA

    def call() -> Any:
        p, q = _scaled(case)
        powers = (p**a * q ** (1 - a)).sum(axis=1)
        return np.log(powers) / (a - 1) if case.divergence == "renyi" else (powers - 1) / (a * (a - 1))

    return call


def _torch_logits(case: Case) -> Call:
    import torch

    p, q = torch.from_numpy(case.p), torch.from_numpy(case.q)
    log_softmax, kl_div = torch.nn.functional.log_softmax, torch.nn.functional.kl_div

    def call() -> Any:
        torch.set_num_threads(case.threads)
        return kl_div(log_softmax(q, -1), log_softmax(p, -1), reduction="none", log_target=True).sum(-1)

    return call


def _jax_logits(case: Case) -> Call:
    import jax
    import jax.numpy as jnp

    if case.threads != available_cpus():
        raise Unsuitable("uses all threads, always")

    @jax.jit  # type: ignore[untyped-decorator,unused-ignore]
    def divergence(p: Any, q: Any) -> Any:
        p, q = jax.nn.log_softmax(p), jax.nn.log_softmax(q)
        return (jnp.exp(p) * (p - q)).sum(-1)

    p, q = jnp.asarray(case.p), jnp.asarray(case.q)
    return lambda: divergence(p, q).block_until_ready()


def _dense_slices(case: Case) -> Call:
    from scipy.stats import entropy

    rows: Any = case.p
    return lambda: np.array([entropy(rows[[i]].toarray()[0], case.q) for i in range(rows.shape[0])])


def few_rows(case: Case) -> Case:
    """As much as a loop over rows in Python gets."""
    return case.head(case.items // case.p.shape[0] * 100)


JENSENSHANNON = Peer("scipy jensenshannon", _jensenshannon, "scipy", first_items)
REL_ENTR_BOTH = Peer("scipy rel_entr, both ways", _rel_entr_both, "scipy", first_items)
NUMPY_POWERS = Peer("numpy powers", _numpy_powers, "numpy", first_items)
TORCH_LOGITS = Peer("torch log_softmax + kl_div", _torch_logits, "torch", rtol=(1e-11, 1e-3))
JAX_LOGITS = Peer("jax", _jax_logits, "jax", rtol=(1e-11, 1e-3))
DENSE_SLICES = Peer("scipy, slice by slice", _dense_slices, "scipy", few_rows)
