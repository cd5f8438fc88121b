"""What a run tells: while it goes on, and in the end."""

import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from fastkl._progress import Progress

_SECONDS_BETWEEN_LINES = 5.0


@dataclass(frozen=True, slots=True)
class Progressed:
    """How far a run is."""

    rows_done: int
    rows: int
    seconds: float  # of this process
    bytes_read: int  # by this process


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did.

    ``seconds``, ``bytes_read`` and ``gb_per_s`` are those of this call: what it resumed had been done before.
    ``rows`` and ``invalid_rows`` are of all.
    """

    kind: str
    rows: int
    seconds: float
    bytes_read: int
    gb_per_s: float
    invalid_rows: int
    out: str
    invalid_out: str | None = None
    resumed_from: int | None = None
    was_finished: bool = False  # before this call, which did nothing

    @classmethod
    def of_finished(cls, about: dict[str, Any], invalid_rows: int) -> "Summary":
        """That of a run that was finished before."""
        nothing: dict[str, Any] = {"seconds": 0.0, "bytes_read": 0, "gb_per_s": 0.0, "was_finished": True}
        return cls(**about, **nothing, invalid_rows=invalid_rows, resumed_from=about["rows"])

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain numbers and strings, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        invalid = f", {self.invalid_rows:,} of them invalid" if self.invalid_rows else ""
        if self.was_finished:
            return f"{self.out} was finished before, of the same files and options: {self.rows:,} rows{invalid}"
        resumed = f", resumed at row {self.resumed_from:,}" if self.resumed_from is not None else ""
        return f"{self.rows:,} rows{invalid} in {self.seconds:.1f} s, {self.gb_per_s:.1f} GB/s{resumed}: {self.out}"


class Watch:
    """Tells whoever wants to know how far a run is: a bar on a terminal, lines elsewhere, a callback."""

    def __init__(
        self,
        label: str,
        rows: int,
        done: int,
        row_bytes: int,
        shown: bool,
        on_progress: Callable[[Progressed], Any] | None,
    ) -> None:
        self._label, self._rows, self._first, self._row_bytes = label, rows, done, row_bytes
        self._on_progress, self.started = on_progress, time.monotonic()
        shown = shown and sys.stderr is not None  # as it is in a daemon
        is_terminal = shown and sys.stderr.isatty()
        self._bar = Progress(label, rows, is_terminal)
        self._bar.advance(done)
        self._writes_lines, self._last_line = shown and not is_terminal, self.started

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self.started

    def tell(self, done: int, step: int) -> None:
        """Note that so many rows are done, ``step`` of them just now."""
        self._bar.advance(step)
        now, seconds = time.monotonic(), self.seconds
        if self._writes_lines and now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            speed = (done - self._first) / max(seconds, 1e-9)
            left = f", {(self._rows - done) / speed:.0f} s left" if speed else ""
            share = f"{done / max(self._rows, 1):.0%}"
            print(f"{self._label}: {done:,} of {self._rows:,} rows, {share}{left}", file=sys.stderr, flush=True)
        if self._on_progress is not None:
            self._on_progress(Progressed(done, self._rows, seconds, (done - self._first) * self._row_bytes))

    def __enter__(self) -> "Watch":
        self._bar.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.__exit__(*error)
