"""A progress bar: tqdm's, imported when it is shown."""

import sys
import threading
from typing import Any


class Progress:
    """A bar on stderr while a ``with`` block runs, wiped away after it; nothing at all unless ``shown``.

    >>> with Progress("reading", total=100, shown=False) as progress:
    ...     progress.advance(40)
    """

    def __init__(self, label: str, total: int, shown: bool) -> None:
        self._bar: Any = None
        self._lock = threading.Lock()
        if shown:
            from tqdm import tqdm

            self._bar = tqdm(total=total, desc=label, leave=False, file=sys.stderr, unit="", unit_scale=True)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, amount: int) -> None:
        """Count ``amount`` more as done, on any thread."""
        if self._bar is not None:
            with self._lock:
                self._bar.update(amount)
