"""What a run computes, block by block: two at a time where they are at hand, else one while the next is read."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastkl._threads import stopped_by
from fastkl.batch._errors import InvalidHistogram
from fastkl.batch._kinds import Kind
from fastkl.batch._pace import Pace
from fastkl.batch._plan import rows_together
from fastkl.batch._protocols import Ids, Source

_Array = npt.NDArray[Any]
_LOOKED_AT = 1 << 16  # bins of invalid rows


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
    invalid: Iterator[Invalid]  # where they are to be reported: gone through before the next block
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
        reading = sum(source.working for source in sources.values())
        need = kind.need._replace(working=kind.need.working + reading)
        self.pace = Pace(kind.need.first_rows, rows_together(need, memory, stored), stored)

    def identities(self) -> dict[str, dict[str, str | int]]:
        """What the files are, as far as can be seen without reading them."""
        return {name: source.identity() for name, source in self.sources.items()}

    def check_rest(self, tell: Callable[[Invalid], None] | None = None) -> None:
        """Tell of what is invalid in the files that are not streamed, or raise it, or neither, as `on_invalid` says."""
        if self.on_invalid == "nan":
            return
        first, count = None, 0

        def note(side: str, source: Source, row: int, reason: str) -> None:
            nonlocal first, count
            found = Invalid(row, side, source.place(row), reason)
            first, count = first or found, count + 1
            if tell is not None:
                tell(found)

        self.kind.check_rest(note)
        if first is not None and self.on_invalid == "raise":
            _raise(first, count, self.sources[first.side].rows)

    def id_of(self, found: Invalid) -> Any:
        """What names the row of an invalid histogram, if anything does."""
        if self.ids is None or self.sources[found.side].rows != self.rows:
            return None
        return self.ids.read(found.row, found.row + 1).tolist()[0]

    def blocks(self, first: int = 0) -> Iterator[Block]:
        """The results from a row on."""
        return self._two_at_a_time(first) if self.kind.is_side_by_side else self._one_after_another(first)

    def _two_at_a_time(self, first: int) -> Iterator[Block]:
        """Each thread maps a block, computes it and drops it: neither waits for the other at the end of one."""
        waiting: deque[Future[Block]] = deque()
        end = threading.Event()
        with ThreadPoolExecutor(2, thread_name_prefix="fastkl-run") as pool:
            try:
                while first < self.rows or waiting:
                    while first < self.rows and len(waiting) < 3:  # one to begin with while results are taken
                        stop = min(first + self.pace.rows, self.rows)
                        waiting.append(pool.submit(self._block, first, stop, end))
                        first = stop
                    yield waiting.popleft().result()
            finally:
                end.set()
                pool.shutdown(wait=False, cancel_futures=True)

    def _block(self, start: int, stop: int, end: threading.Event) -> Block:
        arrays = self._read(start, stop, {})
        with stopped_by(end), self.pace.measured(stop - start):
            return self._compute(start, arrays)

    def _one_after_another(self, first: int) -> Iterator[Block]:
        """While a block is computed another thread drops the last one and reads the next.

        To unmap pages takes about as long as to map them.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="fastkl-read") as reader:
            last: dict[str, _Array] = {}
            start, stop = first, min(first + self.pace.rows, self.rows)
            ahead = reader.submit(self._read, start, stop, last) if start < self.rows else None
            while ahead is not None:
                arrays, following = ahead.result(), min(stop + self.pace.rows, self.rows)
                ahead = reader.submit(self._read, stop, following, last) if stop < self.rows else None
                with self.pace.measured(stop - start):
                    block = self._compute(start, arrays)
                yield block
                last, start, stop = arrays, stop, following

    def _read(self, start: int, stop: int, last: dict[str, _Array]) -> dict[str, _Array]:
        last.clear()
        return {name: source.read(start, stop) for name, source in self.kind.streamed.items()}

    def _compute(self, start: int, arrays: dict[str, _Array]) -> Block:
        values, is_invalid = self.kind.compute(start, arrays)
        stop, count = start + len(is_invalid), int(np.count_nonzero(is_invalid))
        told = self._told(start, is_invalid, arrays) if count and self.on_invalid != "nan" else iter(())
        if self.on_invalid == "raise" and (first := next(told, None)):
            _raise(first, count, self.rows if stop - start == self.rows else None)
        return Block(start, stop, values, told, count)

    def _told(self, start: int, is_invalid: npt.NDArray[np.bool_], arrays: dict[str, _Array]) -> Iterator[Invalid]:
        # Some rows are looked at together, which takes a tenth of the time, and copied for that; wide ones are not.
        together = max(1, _LOOKED_AT // max(1, *(block.shape[1] for block in arrays.values())))
        rows = np.flatnonzero(is_invalid)
        for first in range(0, len(rows), together):
            part = rows[first : first + together]
            where = part if together > 1 else slice(part[0], part[0] + 1)
            found = {side: self.kind.invalid(block[where]) for side, block in arrays.items()}
            for k, i in enumerate(part.tolist()):
                for side in [side for side, is_wrong in found.items() if is_wrong[k]]:
                    place, reason = self.sources[side].place(start + i), self.kind.reason(arrays[side][i])
                    yield Invalid(start + i, side, place, reason)


def _raise(found: Invalid, count: int, rows: int | None) -> None:
    """Say it of the first, and of how many, where the whole file was seen."""
    of_all = f" ({count} of {rows} histograms are invalid)" if rows is not None and rows > 1 else ""
    raise InvalidHistogram(f"{found.place} {found.reason}{of_all} (on_invalid='nan' goes on)")
