"""What a run computes, block by block, while the next block is read."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastkl.batch._errors import InvalidHistogram
from fastkl.batch._kinds import Kind
from fastkl.batch._plan import rows_together
from fastkl.batch._protocols import Ids, Source

_Array = npt.NDArray[Any]


class Invalid(NamedTuple):
    """A histogram that is none."""

    row: int
    side: str
    place: str
    reason: str


class Block(NamedTuple):
    """The results of rows ``start`` to ``stop``."""

    start: int
    stop: int
    values: dict[str, _Array]
    invalid: list[Invalid]  # whose reasons are told, where these are asked for
    invalid_rows: int


class Job:
    """What is to be computed, block by block."""

    def __init__(
        self,
        kind: Kind,
        sources: dict[str, Source],
        ids: Ids | None,
        has_chosen_ids: bool,
        on_invalid: str,
        memory: int,
        options: dict[str, Any],
    ) -> None:
        self.kind, self.sources, self.ids, self.on_invalid = kind, sources, ids, on_invalid
        self.has_chosen_ids, self.options = has_chosen_ids, options
        self.rows, self.shape = kind.row_source.rows, kind.row_source.shape
        stored = max(source.chunk for source in kind.streamed.values())
        self.together = rows_together(kind.need, memory, stored)
        self.bytes_read = self.rows * kind.need.row

    def identities(self) -> dict[str, dict[str, str | int]]:
        """What the files are, as far as can be seen without reading them."""
        return {name: source.identity() for name, source in self.sources.items()}

    def check_rest(self) -> list[Invalid]:
        """What is invalid in the files that are not streamed: raised, told or left alone, as `on_invalid` says."""
        found: list[Invalid] = []
        if self.on_invalid != "nan":
            self.kind.check_rest(lambda *told: found.append(Invalid(told[2], told[0], told[1].place(told[2]), told[3])))
        if found and self.on_invalid == "raise":
            _raise(found[0], len(found), self.sources[found[0].side].rows)
        return found

    def id_of(self, found: Invalid) -> Any:
        """What names the row of an invalid histogram, if anything does."""
        if self.ids is None or self.sources[found.side].rows != self.rows:
            return None
        return self.ids.read(found.row, found.row + 1).tolist()[0]

    def blocks(self, first: int = 0) -> Iterator[Block]:
        """The results from a row on; while a block is computed another thread drops the last one and reads the next.

        To unmap pages takes about as long as to map them.
        """
        starts = range(first, self.rows, self.together)
        with ThreadPoolExecutor(1, thread_name_prefix="fastkl-read") as reader:
            last: dict[str, _Array] = {}
            ahead: Future[dict[str, _Array]] | None = None
            for start in starts:
                arrays = (ahead or reader.submit(self._read, start, last)).result()
                following = start + self.together
                ahead = reader.submit(self._read, following, last) if following < self.rows else None
                yield self._compute(start, arrays)
                last = arrays

    def _read(self, start: int, last: dict[str, _Array]) -> dict[str, _Array]:
        last.clear()
        stop = min(start + self.together, self.rows)
        return {name: source.read(start, stop) for name, source in self.kind.streamed.items()}

    def _compute(self, start: int, arrays: dict[str, _Array]) -> Block:
        values, is_invalid = self.kind.compute(start, arrays)
        stop = start + len(is_invalid)
        told: list[Invalid] = []
        if self.on_invalid != "nan":
            for i in np.flatnonzero(is_invalid):
                told += self._reasons(start, int(i), arrays)
                if told and self.on_invalid == "raise":
                    _raise(told[0], int(np.count_nonzero(is_invalid)), self.rows if stop - start == self.rows else None)
        return Block(start, stop, values, told, int(np.count_nonzero(is_invalid)))

    def _reasons(self, start: int, i: int, arrays: dict[str, _Array]) -> Iterator[Invalid]:
        for side, block in arrays.items():
            if reason := self.kind.reason(side, block[i]):
                yield Invalid(start + i, side, self.sources[side].place(start + i), reason)


def _raise(found: Invalid, count: int, rows: int | None) -> None:
    """Say it of the first, and of how many, where the whole file was seen."""
    of_all = f" ({count} of {rows} histograms are invalid)" if rows is not None and rows > 1 else ""
    raise InvalidHistogram(f"{found.place} {found.reason}{of_all} (on_invalid='nan' goes on)")
