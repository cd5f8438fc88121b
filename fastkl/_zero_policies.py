"""What other tools do with empty bins, to their numbers: the names that ``pseudocount`` takes, in one table at the end.

As read in Evidently 0.7.23 (`evidently.legacy.calculations.stattests`), popmon 1.4.12 (`popmon.analysis.comparison`),
deepchecks 0.19.1 (`deepchecks.utils.distribution.drift.psi`) and philentropy 0.10.0 (`src/distances_internal.h`).

A rule changes rows in double precision, a block at a time, and the kernels compute what becomes of them.
"""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from fastkl._engine import Answers, Question, run
from fastkl._operands import Batch, batch_of
from fastkl._threads import available_cpus, for_each_chunk
from fastkl.kernels import JS, KL, Jeffreys, WeightedJS

Pseudocount = float | Literal["evidently", "popmon", "deepchecks", "philentropy"]
_Rows = npt.NDArray[np.float64]

_BLOCK = 1 << 16  # bins that are changed together: they stay in the second-level cache
_SCALED = 1e-12  # as near as the total of a scaled row is to one


class Rule(NamedTuple):
    """What a tool does to the rows of p and q before it sums one divergence, and whether it scales them then.

    ``replace`` gives both rows as the sum takes them, and what the tool has beside the sum.
    """

    replace: Callable[[_Rows, _Rows], tuple[_Rows, _Rows, Any]]
    scales: bool


def _nothing(p: _Rows, q: _Rows) -> tuple[_Rows, _Rows, Any]:
    return p, q, 0.0


def _fill_empty(p: _Rows, q: _Rows) -> tuple[_Rows, _Rows, Any]:
    return _filled(p), _filled(q), 0.0


def _filled(rows: _Rows) -> _Rows:
    is_empty = rows == 0
    least = np.where(is_empty, np.inf, rows).min(-1, keepdims=True, initial=np.inf)
    return np.where(is_empty, np.where(least <= 1e-4, least / 1e6, 1e-4), rows)


def _add(p: _Rows, q: _Rows) -> tuple[_Rows, _Rows, Any]:
    return p + 1e-5, q + 1e-5, 0.0


def _floor(p: _Rows, q: _Rows) -> tuple[_Rows, _Rows, Any]:
    return np.maximum(p, 0.01), np.maximum(q, 0.01), 0.0


_EPSILON = 1e-5  # of philentropy


def _fill_q(p: _Rows, q: _Rows) -> tuple[_Rows, _Rows, Any]:
    return p, np.where(q == 0, _EPSILON, q), 0.0


def _fill_logarithm(p: _Rows, q: _Rows) -> tuple[_Rows, _Rows, Any]:
    # Bins that one of them lacks have the epsilon in the logarithm alone: p log(p / epsilon) and -q log(epsilon).
    only_p, only_q = (q == 0) & (p > 0), (p == 0) & (q > 0)
    log = np.log(np.where(only_p, p, 1.0)) - math.log(_EPSILON)
    beside = np.where(only_p, p * log, 0.0) + np.where(only_q, q * log, 0.0)
    return np.where(only_p, 0.0, p), np.where(only_q, 0.0, q), beside.sum(-1)


# For each tool the rules of the divergences that it computes in its own way, and under None what it does otherwise: in
# what it has not, too. Weighted Jensen-Shannon divergences go with JS.
ZERO_POLICIES: dict[str, dict[Any, Rule]] = {
    "evidently": {None: Rule(_fill_empty, True), Jeffreys: Rule(_fill_empty, False), JS: Rule(_nothing, True)},
    "popmon": {None: Rule(_add, False), "entropy": Rule(_nothing, True)},
    "deepchecks": {None: Rule(_floor, False)},
    "philentropy": {None: Rule(_fill_q, False), Jeffreys: Rule(_fill_logarithm, False), JS: Rule(_nothing, False)},
}


def rule_of(name: str, kind: Any, is_entropy: bool) -> Rule:
    """What the tool ``name`` does before it computes the divergence ``kind``."""
    if name not in ZERO_POLICIES:
        names = ", ".join(map(repr, ZERO_POLICIES))
        raise ValueError(f"pseudocount must be a finite number >= 0 or one of {names}, not {name!r}")
    divergence = JS if isinstance(kind, WeightedJS) else type(kind)
    return ZERO_POLICIES[name].get("entropy" if is_entropy else divergence, ZERO_POLICIES[name][None])


def answer_by_rule(
    rule: Rule,
    answer: Callable[..., Answers],
    batch: Batch,
    question: Question,
    precision: np.dtype[Any],
    threads: int | None,
) -> Answers:
    """What ``answer`` gives for rows that follow the rule, which has them scaled to one before if normalised."""
    if len(batch.operands) == 3:
        raise ValueError("weights can't be combined with the name of a tool as pseudocount: none of the tools has any")
    step = max(1, _BLOCK // max(batch.bins, 1))
    chunks = -(-batch.rows // step)
    out, found_invalid = np.empty(batch.rows), np.zeros(chunks, np.bool_)

    def fill(k: int) -> None:
        rows = np.arange(k * step, min((k + 1) * step, batch.rows))
        p, q, beside = rule.replace(*(_valid(batch.histograms(index, rows), question.normalize) for index in (0, 1)))
        block, asked = batch_of(["p", "q"], [p, q]), question._replace(normalize=rule.scales)
        values, found_invalid[k] = answer(block, asked, p.dtype, threads if chunks == 1 else 1)
        if answer is run and isinstance(question.kind, KL) and not rule.scales:
            beside = (p - q).sum(-1)  # the tools have the bare sum of p log(p / q)
        out[rows] = values + question.factor * beside

    for_each_chunk(fill, chunks, available_cpus() if threads is None else threads)
    return out, bool(found_invalid.any())


def _valid(rows: _Rows, is_scaled: bool) -> _Rows:
    """Rows scaled to one if they are to be; NaN in place of invalid ones."""
    is_invalid = ~((rows >= 0) & (rows < np.inf)).all(-1, keepdims=True)
    if is_scaled:
        rows, total = _with_total(rows)
        is_invalid |= total == 0
        # Scaled already: the tools take such rows as they are, and a unit in the last place may be on their threshold.
        total = np.where((abs(total - 1) < _SCALED) | is_invalid, 1.0, total)
        rows = rows / total
    return np.where(is_invalid, np.nan, rows)


def _with_total(rows: _Rows) -> tuple[_Rows, _Rows]:
    with np.errstate(over="ignore", invalid="ignore"):
        total = rows.sum(-1, keepdims=True)
        if np.isinf(total).any():  # beyond the doubles: the bins that this takes to zero are nothing beside it
            rows = rows * np.where(np.isinf(total), 2.0**-64, 1.0)
            total = rows.sum(-1, keepdims=True)
    return rows, total
