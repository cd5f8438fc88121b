"""Two files as pairs of histograms, one block of pairs at a time."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl.cli._command import CommandError
from fastkl.cli._sources import NumberFile
from fastkl.containers._labels import check_labels

_Array = npt.NDArray[Any]
Index = tuple[int | slice, ...]


@dataclass(frozen=True, slots=True)
class Histograms:
    """A file as a batch of histograms."""

    file: NumberFile
    axis: int  # of the bins, counted from the end

    @property
    def batch(self) -> tuple[int, ...]:
        """The shape of the batch: () for a file of one dimension."""
        shape = list(self.file.shape)
        del shape[self._own_axis]
        return tuple(shape)

    @property
    def bins(self) -> int:
        """How many bins a histogram has."""
        return self.file.shape[self._own_axis]

    @property
    def is_single(self) -> bool:
        """Whether there is one histogram, to be set against all of the other file."""
        return math.prod(self.batch) == 1

    @property
    def bin_labels(self) -> list[str] | None:
        """The names of the bins, where the file has some."""
        return self.file.labels if self._own_axis == -1 else None

    @property
    def histogram_labels(self) -> list[str] | None:
        """The names of the histograms, where these are the columns of a file that names them."""
        return None if self._own_axis == -1 or self.is_single else self.file.labels

    @property
    def none(self) -> _Array:
        """No histograms, of this type and number of bins: with these a call checks its options before data are read."""
        return np.empty((0, self.bins), self.file.dtype)

    def at(self, index: Index) -> _Array:
        """The histograms at an index of the batch; a single one is there whatever the index."""
        array = np.moveaxis(self.file.array(), self._own_axis, -1)
        return array.reshape(self.bins) if self.is_single else array[index]

    def place(self, index: tuple[int, ...]) -> str:
        """Where in the file a histogram is, in words."""
        if not self.batch:
            return str(self.file.path)
        index = (0,) * len(self.batch) if self.is_single else index
        where = f"histogram [{', '.join(map(str, index))}]"
        if len(index) == 1 and self._own_axis == -1:
            line = self.file.first_line
            where = f"row {index[0]} ({'counted from 0' if line is None else f'line {line + index[0]}'})"
        return f"{self.file.path}, {where},"

    @property
    def _own_axis(self) -> int:
        return self.axis if len(self.file.shape) > 1 else -1


class Pairs:
    """The histograms of two files, row against row or one against many."""

    def __init__(self, p: NumberFile, q: NumberFile, axis: int) -> None:
        ndim = max(len(p.shape), len(q.shape))
        if not -ndim <= axis < ndim:
            raise CommandError(f"--axis {axis} is out of bounds: the files have {ndim} dimension{'s' * (ndim > 1)}")
        for file in (p, q):
            if 1 < len(file.shape) < ndim - axis % ndim:
                raise CommandError(f"--axis {axis} is out of bounds for {file.path}, of shape {file.shape}")
        self.p, self.q = Histograms(p, axis % ndim - ndim), Histograms(q, axis % ndim - ndim)
        if not (self.p.batch == self.q.batch or self.p.is_single or self.q.is_single):
            raise CommandError(
                f"{p.path} has {_size(self.p.batch)} histograms, {q.path} has {_size(self.q.batch)};"
                " there must be as many in both, or one in one of them"
            )
        check_bins(self.p, self.q)
        check_file_labels("histogram", p.path, self.p.histogram_labels, q.path, self.q.histogram_labels)
        self.batch = self.p.batch if self.q.is_single else self.q.batch

    @property
    def count(self) -> int:
        """How many divergences there will be."""
        return math.prod(self.batch)

    @property
    def bytes_each(self) -> int:
        """The bytes to read for one pair."""
        read = [side for side in (self.p, self.q) if not side.is_single] or [self.p]
        return max(1, sum(side.bins * side.file.dtype.itemsize for side in read))

    def blocks(self, size: int) -> Iterator[Index]:
        """Indices that cut the batch, in C order, into blocks of about ``size`` bytes to read."""
        most = max(1, size // self.bytes_each)
        batch = self.batch or (1,)
        inner = [math.prod(batch[axis + 1 :]) for axis in range(len(batch))]
        cut = next(axis for axis, rows in enumerate(inner) if rows <= most)
        step = most // max(1, inner[cut])
        for outer in np.ndindex(*batch[:cut]):
            for start in range(0, batch[cut], step):
                yield (*outer, slice(start, start + step))


def check_bins(first: Histograms, second: Histograms) -> None:
    """Raise unless the histograms of two files have as many bins, with the same names where both have some."""
    names = first.file.path, second.file.path
    if first.bins != second.bins:
        number = f"{second.bins} bin{'s' * (second.bins != 1)}"
        raise CommandError(f"{names[1]} has {number}, {names[0]} has {first.bins}; numbers of bins must agree")
    check_file_labels("bin", names[0], first.bin_labels, names[1], second.bin_labels)


def check_file_labels(what: str, p: Path, p_labels: list[str] | None, q: Path, q_labels: list[str] | None) -> None:
    """Raise unless the columns of two files have the same names, where both have some."""
    if p_labels is not None and q_labels is not None:
        check_labels(what, str(p), p_labels, str(q), q_labels, "remove a header")


def _size(batch: tuple[int, ...]) -> str:
    return " x ".join(map(str, batch))
