"""What a contestant is asked to compute."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from fastkl.bench.truth import Truth

_Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """The divergences of p and q along ``axis``, normalised or not; which ones, `truth` has the list."""

    p: _Array
    q: _Array
    threads: int
    normalize: bool
    axis: int = -1
    has_zeros: bool = False
    divergence: str = "kl"

    @property
    def items(self) -> int:
        """Bins that are compared, those of a broadcast p counted each time; of sparse rows those that are stored."""
        if self.is_sparse:
            return int(cast(Any, self.p).nnz)
        return int(np.broadcast(self.p, self.q).size)

    @property
    def output_bytes(self) -> int:
        """Those of the answer."""
        return self.items // int(self.q.shape[-1]) * 8

    @property
    def is_sparse(self) -> bool:
        """True where p is a sparse array of rows and q one dense row."""
        return not isinstance(self.p, np.ndarray)

    def head(self, items: int) -> "Case":
        """The first rows, of so many bins together; of a longer row the first bins, scaled to its total."""
        if self.items <= items:
            return self
        return replace(self, p=self._head_of(self.p, items), q=self._head_of(self.q, items))

    def truth(self) -> Callable[[Any], float | None]:
        """What tells the largest relative error of an answer, of a sample of it."""
        return Truth(self).error_of

    def figures(self, nanoseconds: Mapping[str, float]) -> dict[str, float]:
        """Numbers of a kind of its own that follow from the times, per bin, of contestants by name."""
        return {}

    def _head_of(self, array: _Array, items: int) -> _Array:
        if self.is_sparse:
            return array if array is self.q else array[: max(1, items // (self.items // self.p.shape[0]))]
        rows = np.moveaxis(array, self.axis, -1)
        bins = rows.shape[-1]
        if rows.ndim > 1:
            rows = rows[: max(1, items // bins)]
        if bins > items:
            part = rows[..., :items]
            # Libraries that do not normalise rely on rows that sum to one.
            rows = part * (rows.sum(axis=-1, keepdims=True) / part.sum(axis=-1, keepdims=True))
        return np.moveaxis(rows, -1, self.axis)
