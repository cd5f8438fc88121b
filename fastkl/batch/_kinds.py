"""The kinds of runs: what each computes of a block of rows, and what it keeps of a row.

This file has the divergences of rows; all pairs are in `_allpairs.py`, fits in `_fitted.py`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from fastkl._check import why_no_histogram
from fastkl._threads import available_cpus
from fastkl.batch._plan import Need
from fastkl.batch._protocols import Column, Source
from fastkl.powers import alpha_divergence, renyi_divergence
from fastkl.rowwise import cross_entropy, kl_divergence
from fastkl.symmetric import jeffreys_divergence, js_distance, js_divergence

_Array = npt.NDArray[Any]

ROW_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "kl": kl_divergence,
    "js": js_divergence,
    "js_distance": js_distance,
    "jeffreys": jeffreys_divergence,
    "renyi": renyi_divergence,
    "alpha": alpha_divergence,
    "cross_entropy": cross_entropy,
}

_FIRST_BYTES = 16 << 20  # of the first block, before it is known how long one takes
_MOST_BINS = 1 << 24  # of a block: ten milliseconds of work, and ten seconds where all bins suddenly need care


class Answer(NamedTuple):
    """What is found of a block of rows."""

    values: dict[str, _Array]
    is_invalid: npt.NDArray[np.bool_]  # rows with a histogram that is none


class Kind(Protocol):
    """What is computed of a block of rows."""

    streamed: dict[str, Source]  # the files of which a block is read at a time, by their names as arguments
    columns: dict[str, Column]  # what is kept of a row
    need: Need
    row_source: Source  # the file whose rows are those of the result
    is_side_by_side: bool  # whether two blocks may be computed at a time, which needs no reading ahead

    def compute(self, start: int, blocks: dict[str, _Array]) -> Answer:
        """The answer for the rows from ``start`` on; the rows of invalid histograms are NaN."""

    def check_rest(self, tell: "Tell") -> None:
        """Tell of what is invalid in the files that are not streamed."""

    def invalid(self, rows: _Array) -> npt.NDArray[np.bool_]:
        """Which rows of a file are no histograms."""

    def reason(self, row: _Array) -> str:
        """Why a row is no histogram, in the words of the functions."""


Tell = Callable[[str, Source, int, str], None]  # of an invalid histogram: argument, file, row, reason


class RowKind:
    """A divergence of row i of p from row i of q, or of one from all of the other."""

    def __init__(self, name: str, p: Source, q: Source, options: dict[str, Any]) -> None:
        self._function, self._options = ROW_FUNCTIONS[name], options
        self._sources = {"p": p, "q": q}
        self.row_source = q if p.rows == 1 != q.rows else p
        is_streamed = {key: source.rows != 1 or self.row_source is source for key, source in self._sources.items()}
        self.streamed = {key: source for key, source in self._sources.items() if is_streamed[key]}
        self._single = {
            key: np.array(source.read(0, 1)[0]) for key, source in self._sources.items() if not is_streamed[key]
        }
        nothing = [np.empty((0, source.bins), source.dtype) for source in (p, q)]
        self.columns = {"divergence": Column(np.dtype(self._call(*nothing).dtype))}
        row = sum(source.bins * source.dtype.itemsize for source in self.streamed.values())
        result, threads = self.columns["divergence"].dtype.itemsize, options.get("threads") or available_cpus()
        are_at_hand = all(source.is_at_hand for source in self.streamed.values())
        self.is_side_by_side = are_at_hand and threads % 2 == 0 and row <= _FIRST_BYTES  # longer rows take all threads
        self.need = Need(row, result, is_at_hand=are_at_hand, most_rows=max(1, _MOST_BINS // max(p.bins, 1)))
        if self.is_side_by_side:
            self._options = options | {"threads": threads // 2}
            self.need = self.need._replace(first_rows=_FIRST_BYTES // max(row, 1))

    def compute(self, start: int, blocks: dict[str, _Array]) -> Answer:
        """The divergences; NaN stands where one of the two is no histogram."""
        arrays = blocks | self._single
        values = self._call(arrays["p"], arrays["q"])
        return Answer({"divergence": values}, np.isnan(values))

    def check_rest(self, tell: Tell) -> None:
        """Tell of the one histogram that is set against all others."""
        for side, histogram in self._single.items():
            if self.invalid(histogram[None])[0]:
                tell(side, self._sources[side], 0, self.reason(histogram))

    def invalid(self, rows: _Array) -> npt.NDArray[np.bool_]:
        """Which rows are no histograms."""
        return invalid_rows(rows, self._function, **self._options)

    def reason(self, row: _Array) -> str:
        """Why a row is no histogram."""
        return reason_of(row, self._options.get("weights") is not None)

    def _call(self, p: _Array, q: _Array) -> Any:
        return self._function(p, q, on_invalid="nan", **self._options)


def invalid_rows(rows: _Array, function: Callable[..., Any] = kl_divergence, **options: Any) -> npt.NDArray[np.bool_]:
    """Which rows can't be compared with themselves."""
    is_invalid: npt.NDArray[np.bool_] = np.isnan(function(rows, rows, on_invalid="nan", **options))
    return is_invalid


def reason_of(row: _Array, is_weighted: bool = False) -> str:
    """What the functions say of a row that is no histogram, without its name."""
    return f"is not a histogram: {why_no_histogram(row, is_weighted)}"
