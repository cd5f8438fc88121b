"""How many rows the next block has: what is done is noted after each block, so a slow one should not take long."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS = 1.0  # that a block may take
_GROWTH = 4  # from one block to the next, at most


class Pace:
    """Blocks of as many rows as take a second, where these are fewer than the memory has room for."""

    def __init__(self, first: int | None, most: int, stored: int) -> None:
        """Begin with ``first`` rows; where that is None all blocks have ``most``. ``stored`` are best read together."""
        self._most, self._stored, self._is_fixed = most, stored, first is None
        self.rows = most if first is None else min(first, most)

    @contextmanager
    def measured(self, rows: int) -> Iterator[None]:
        """While a block is computed."""
        start = time.perf_counter()
        yield
        self.took(rows, time.perf_counter() - start)

    def took(self, rows: int, seconds: float) -> None:
        """Choose the next block by what one of so many rows took.

        >>> pace = Pace(16, 1000, 1)
        >>> pace.took(16, 0.001)
        >>> pace.rows
        64
        >>> pace.took(64, 3.2)
        >>> pace.rows
        20
        """
        if self._is_fixed:
            return
        wanted = min(int(rows * SECONDS / max(seconds, 1e-9)), _GROWTH * rows, self._most)
        self.rows = max(1, wanted // self._stored * self._stored if wanted >= self._stored else wanted)
