"""The distributions among which the nearest is looked for, as logarithms of the shares of the bins."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl import kernels
from fastkl._engine import Question, run_logits
from fastkl._operands import batch_of
from fastkl._products import Plan
from fastkl._threads import for_each_chunk
from fastkl._tiles import parts
from fastkl.fitting._axis import Axis
from fastkl.fitting._grid import Grid

_Array = npt.NDArray[np.float64]
_DOUBLE = np.dtype(np.float64)
_KEPT = 1 << 24  # numbers in a table that is built once; a larger one is built again where it is needed
_TOGETHER = 1 << 15  # bins of candidates that are built together: they stay in the cache


class Candidates:
    """The points of a grid, as histograms on an axis."""

    def __init__(self, grid: Grid, axis: Axis, threads: int) -> None:
        self.grid, self.axis, self.threads = grid, axis, threads
        self.count, self.bins = grid.size, axis.bins
        self._kept: _Array | None = None

    def logs(self, index: npt.NDArray[np.int64]) -> _Array:
        """The logarithms of the shares of those with these numbers; NaN where there is no such distribution."""
        if self._kept is not None:
            return self._kept[index]
        logs = self.grid.family.log_masses(self.axis, self.grid.values(index))
        if self.grid.has_mirror_images:
            values = dict(zip(self.grid.family.names, self.grid.values(index), strict=True))
            logs[values["loc1"] > values["loc2"]] = np.nan
        return logs

    def build(self) -> None:
        """Build the table of all of them, by all threads, if it is to be kept."""
        if self._kept is not None or self.count * self.bins > _KEPT:
            return
        table = np.empty((self.count, self.bins))
        chunks = parts(0, self.count, max(1, _TOGETHER // self.bins))

        def fill(k: int) -> None:
            table[chunks[k]] = self.logs(np.arange(chunks[k].start, chunks[k].stop))

        for_each_chunk(fill, len(chunks), self.threads)
        self._kept = table


def divergences(plan: Plan, p: npt.NDArray[Any], logs: _Array) -> _Array:
    """The divergences of rows of p and of distributions given by logarithms of shares, row against row, exactly.

    They have the bits that the function of the divergence gives for the shares. Shares that are no normal numbers
    count too where a logarithm or a power of them does.
    """
    shares = np.empty_like(logs)
    kernels.shares_of_logs(logs, shares)
    is_none = np.isnan(logs[:, 0])
    shares[is_none] = 1.0
    if not plan.is_exchanged:  # their logarithms count, and they have few digits
        shares[logs <= kernels.LEAST_LOG] = 0.0
    question = Question(plan.kind, True, 0.0, 1.0)
    operands = [shares, p] if plan.is_exchanged else [p, shares]
    found, _ = plan.answer(batch_of(["p", "q"], operands), question, _DOUBLE, 1)
    if not plan.is_exchanged:
        has_tail = ((shares == 0.0) & (logs > -np.inf) & (p > 0)).any(1)
        if has_tail.any():
            found[has_tail] = _with_tail(plan, found[has_tail], p[has_tail], logs[has_tail], shares[has_tail])
    found[is_none] = np.inf
    return found


def _with_tail(plan: Plan, found: _Array, p: npt.NDArray[Any], logs: _Array, shares: _Array) -> _Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        log_p = np.log(p)
        if plan.order is None:
            question = Question(kernels.KL(), True, 0.0, 1.0)
            return run_logits(batch_of(["p", "q"], [log_p, logs]), question, _DOUBLE, 1)[0]
        log_p -= np.log(p.sum(1, keepdims=True))
        a = plan.order
        # The terms of their shares q, (a p + (1 - a) q - p^a q^(1 - a)) / (a (1 - a)), had p alone.
        power = np.exp(a * log_p + (1.0 - a) * logs)
        lower = np.where((shares == 0.0) & (p > 0), power - (1.0 - a) * np.exp(logs), 0.0).sum(1)
    mended: _Array = found - lower / (a * (1.0 - a))
    return mended
