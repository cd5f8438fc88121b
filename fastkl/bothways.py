"""The divergences of both directions together."""

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl._compare import HISTOGRAMS, Form, OnInvalid, Options, compare
from fastkl._engine import Answers, Question, run_both
from fastkl._operands import Batch
from fastkl._zero_policies import Pseudocount
from fastkl.kernels import KL
from fastkl.lazy import has_lazy

_Array = npt.NDArray[Any]


def kl_divergences(
    p: npt.ArrayLike,
    q: npt.ArrayLike,
    *,
    axis: int = -1,
    dim: str | None = None,
    base: float | None = None,
    normalize: bool = True,
    weights: npt.ArrayLike | None = None,
    pseudocount: Pseudocount = 0.0,
    on_invalid: OnInvalid = "raise",
    keepdims: bool = False,
    out: tuple[_Array, _Array] | None = None,
    dtype: npt.DTypeLike | None = None,
    threads: int | None = None,
) -> Any:
    r"""Kullback-Leibler divergences of both directions, D(P || Q) and D(Q || P), for little more than one costs.

    .. math:: D(P \| Q) = \sum_i w_i P_i \log \frac{P_i}{Q_i}, \qquad D(Q \| P) = \sum_i w_i Q_i \log \frac{Q_i}{P_i}

    of the normalised histograms; with ``normalize=False`` the generalised divergences of p and q as they are. Rows of
    65 to 1024 bins are read once, others once for each direction.

    The parameters and errors are those of `kl_divergence`, but ``out`` is a pair of arrays.

    Returns
    -------
    tuple of two floats or ndarrays
        The forward divergences, `kl_divergence` of p and q to the bit, and the reverse ones, within rounding those of q
        and p.

    References
    ----------
    S. Kullback and R. A. Leibler, On information and sufficiency, Annals of Mathematical Statistics 22 (1951), 79-86.

    Examples
    --------
    >>> import fastkl
    >>> forward, reverse = fastkl.kl_divergences([1, 1], [1, 3], base=2)
    >>> forward.round(12), reverse.round(12)
    (np.float64(0.207518749639), np.float64(0.188721875541))
    """
    if out is not None and not (isinstance(out, tuple) and len(out) == 2):
        raise TypeError(f"out must be a tuple of two arrays, not {type(out).__name__}")
    first, second = out or (None, None)
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray) and np.shares_memory(first, second):
        raise ValueError("out must be two arrays that share no memory: one would overwrite the results of the other")
    options = Options(axis, base, normalize, weights, pseudocount, on_invalid, keepdims, first, dtype, threads, dim)
    named = {"p": p, "q": q}
    if has_lazy([p, q, weights]):
        from fastkl.lazy._rows import compare_lazily

        return compare_lazily(_compare_both, HISTOGRAMS, named, options, fields=("forward", "reverse"))
    return _compare_both(named, options, second)


def _compare_both(
    named: dict[str, Any], options: Options, second: _Array | None = None, form: Form = HISTOGRAMS
) -> tuple[Any, Any]:
    p, q = named.values()
    if isinstance(options.pseudocount, str):  # a rule, which may treat p and q differently
        forward = compare(KL(), named, options, form=form)
        return forward, compare(KL(), {"q": q, "p": p}, options._replace(out=second), form=form)
    reverse: list[npt.NDArray[np.float64]] = []
    forward = compare(KL(), named, options, answer=partial(_forward, reverse), form=form)
    again = options._replace(out=second, on_invalid="nan")
    return forward, compare(KL(), named, again, answer=lambda *_: (reverse[0], False), form=form)


def _forward(
    reverse: list[npt.NDArray[np.float64]], batch: Batch, question: Question, precision: Any, threads: int | None
) -> Answers:
    forward, back, found_invalid = run_both(batch, question, precision, threads)
    reverse.append(back)
    return forward, found_invalid
