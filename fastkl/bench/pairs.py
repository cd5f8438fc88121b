"""All pairs and nearest rows: the question, the truth, and who can answer it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl.bench.case import Case
from fastkl.bench.contestant import Call, Peer
from fastkl.bench.truth import extended_divergence, has_extended_precision, largest_error

_Array = npt.NDArray[Any]
_ENTRIES, _BINS = 200, 1 << 20  # whose truth is computed
_ROWS = 2  # of which the nearest are
_SLAB = 1024  # rows of a product that would not fit the memory


@dataclass(frozen=True, slots=True, eq=False)
class PairsCase(Case):
    """The divergence of each row of p from each row of q; or of the ``k`` nearest rows of q alone."""

    k: int = 0

    @property
    def items(self) -> int:
        """Pairs of bins that are compared."""
        return len(self.p) * self.q.size

    @property
    def output_bytes(self) -> int:
        """Those of the answer."""
        return len(self.p) * (16 * self.k if self.k else len(self.q) * self.p.itemsize)

    def head(self, items: int) -> "PairsCase":
        """The first rows of p, with all of q."""
        return replace(self, p=self.p[: max(1, items // self.q.size)])

    def truth(self) -> Callable[[Any], float | None]:
        """What tells the largest relative error of an answer, of a sample of it."""
        return _error_of_nearest(self) if self.k else _error_of_pairs(self)


def _error_of_pairs(case: PairsCase) -> Callable[[Any], float | None]:
    rng = np.random.default_rng(0)
    count = max(_ENTRIES // 10, min(_ENTRIES, _BINS // case.q.shape[1]))
    i, j = rng.integers(0, len(case.p), count), rng.integers(0, len(case.q), count)
    i[::2] = j[::2] = np.arange(len(i[::2])) * min(len(case.p), len(case.q)) // len(i[::2])  # where equal rows may be
    true = np.array([extended_divergence(case.p[a], case.q[b], case) for a, b in zip(i, j, strict=True)])

    def error_of(answer: Any) -> float | None:
        return largest_error(np.asarray(answer)[i, j], true) if has_extended_precision() else None

    return error_of


def _error_of_nearest(case: PairsCase) -> Callable[[Any], float | None]:
    from scipy.special import rel_entr

    rows = np.linspace(0, len(case.p) - 1, _ROWS).astype(int)
    q = case.q / case.q.sum(1, keepdims=True)
    true = []
    for row in rows:
        p = case.p[row] / case.p[row].sum()
        rough = np.concatenate([rel_entr(p, q[s : s + _SLAB]).sum(1) for s in range(0, len(q), _SLAB)])
        few = np.argsort(rough)[: 2 * case.k]
        true.append(sorted(extended_divergence(case.p[row], case.q[j], case) for j in few)[: case.k])

    def error_of(answer: Any) -> float | None:
        if not has_extended_precision():
            return None
        divergences, indices = (array[rows] for array in answer)
        # Equal divergences may come in any order: those of the rows that were found are compared.
        found = [
            [extended_divergence(case.p[row], case.q[j], case) for j in few]
            for row, few in zip(rows, indices, strict=True)
        ]
        return max(largest_error(values, np.array(true)) for values in (divergences, np.array(found)))

    return error_of


def _fastkl(case: Case, **options: Any) -> Call:
    import fastkl

    assert isinstance(case, PairsCase)
    p, q = case.p, case.q
    options |= {"divergence": case.divergence, "normalize": case.normalize, "threads": case.threads}
    if case.k:
        return lambda: fastkl.nearest(p, q, case.k, **options)
    return lambda: fastkl.pairwise(p, q, **options)


def on_threads(threads: int, call: Call) -> Call:
    """The BLAS held to as many threads as fastkl has."""
    from threadpoolctl import ThreadpoolController

    blas = ThreadpoolController().select(user_api="blas")  # looking for it takes as long as a small product

    def held() -> Any:
        with blas.limit(limits=threads):
            return call()

    return held


def _product(case: Case) -> Call:
    assert isinstance(case, PairsCase)
    p, q = case.p, case.q
    if not case.k:
        return on_threads(case.threads, lambda: p @ q.T)
    return product_by_slabs(p, q, case.threads)


def product_by_slabs(p: _Array, q: _Array, threads: int) -> Call:
    """The product of the rows of p and q, of which a slab is in memory at a time."""
    slab = np.empty((min(_SLAB, len(p)), len(q)), p.dtype)

    def call() -> Any:
        for start in range(0, len(p), _SLAB):
            part = p[start : start + _SLAB]
            np.matmul(part, q.T, out=slab[: len(part)])
        return slab

    return on_threads(threads, call)


def _two_products(case: Case) -> Call:
    product = _product(case)
    return lambda: (product(), product())


def scaled(case: Case) -> tuple[_Array, _Array]:
    """Rows that sum to one, made before the clock runs for those that need them so."""
    p, q = (x / x.sum(1, keepdims=True) for x in (case.p, case.q))
    return p, q


def metric_of(divergence: str) -> Callable[[_Array, _Array], Any]:
    """The divergence of two rows by SciPy, as libraries that take a function of two rows are given it."""
    from scipy.special import rel_entr

    def js(p: _Array, q: _Array) -> Any:
        middle = (p + q) / 2
        return (rel_entr(p, middle).sum() + rel_entr(q, middle).sum()) / 2

    return {
        "kl": lambda p, q: rel_entr(p, q).sum(),
        "jeffreys": lambda p, q: rel_entr(p, q).sum() + rel_entr(q, p).sum(),
        "js": js,
    }[divergence]


def _cdist(case: Case) -> Call:
    from scipy.spatial.distance import cdist

    (p, q), metric = scaled(case), metric_of(case.divergence)
    return lambda: cdist(p, q, metric)


def _cdist_js(case: Case) -> Call:
    from scipy.spatial.distance import cdist

    p, q = scaled(case)
    return lambda: cdist(p, q, "jensenshannon") ** 2


def few_pairs(case: Case) -> Case:
    """As much as a loop over pairs in Python gets."""
    pairs = max(64, min(16_000, (1 << 22) // case.q.shape[1]))
    q = case.q[:pairs]
    return replace(case, p=case.p[: max(1, pairs // len(q))], q=q)


def _exactly(**options: Any) -> Callable[[Case], Call]:
    return lambda case: _fastkl(case, **options)


FASTKL_PAIRS = Peer("fastkl", _fastkl, "fastkl", rtol=(1e-9, 1e-4))
RTOL_PAIRS = Peer("fastkl, rtol=1e-13", _exactly(rtol=1e-13), "fastkl", rtol=(1e-13, 1e-4))
DIRECT_PAIRS = Peer("fastkl, direct", _exactly(method="direct"), "fastkl", rtol=(1e-13, 1e-4))
PRODUCT = Peer("bare product", _product, "numpy", rtol=None)
TWO_PRODUCTS = Peer("two bare products", _two_products, "numpy", rtol=None)
CDIST_CALLABLE = Peer("cdist of rel_entr", _cdist, "scipy", few_pairs, (1e-6, 1e-2))
CDIST_JS = Peer("cdist jensenshannon", _cdist_js, "scipy", few_pairs, (1e-6, 1e-2))
