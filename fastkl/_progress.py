"""A progress bar of our own: the one thing a dependency would be needed for is thirty lines."""

import sys
import threading
import time

_WIDTH = 30
_SECONDS_BETWEEN = 0.1  # redrawing more often than the eye follows would cost more than small blocks do


class Progress:
    """A bar on stderr while a ``with`` block runs; nothing at all unless ``shown``.

    >>> with Progress("reading", total=100, shown=False) as progress:
    ...     progress.advance(40)
    """

    def __init__(self, label: str, total: int, shown: bool) -> None:
        self.label, self.total, self.shown = label, total, shown
        self.done, self.started, self.drawn = 0, time.monotonic(), 0.0
        self._lock = threading.Lock()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self.drawn:
            self._write("")

    def advance(self, amount: int) -> None:
        """Count ``amount`` more as done, on any thread."""
        with self._lock:
            self.done += amount
            now = time.monotonic()
            if self.shown and now - self.drawn >= _SECONDS_BETWEEN:
                self.drawn = now
                part = min(1.0, self.done / max(self.total, 1))
                bar = ("#" * round(part * _WIDTH)).ljust(_WIDTH, ".")
                left = (now - self.started) * (1 - part) / part if part else 0.0
                self._write(f"{self.label} [{bar}] {part:4.0%}, {left:.0f} s left")

    @staticmethod
    def _write(line: str) -> None:
        print(f"\r{line[:79]:<79}", end="" if line else "\r", file=sys.stderr, flush=True)
