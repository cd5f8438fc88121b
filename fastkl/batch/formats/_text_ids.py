"""Names of rows on their way from a text file: kept in nameless temporary files, not in memory."""

import tempfile
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt


class TextIds:
    """`Ids` that are appended first and read later."""

    dtype: np.dtype[Any] = np.dtype(object)

    def __init__(self, name: str) -> None:
        self.name = name
        self._text = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - open until closed
        self._ends = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - an integer each: where a name ends
        self._ends.write(bytes(8))
        self._end = 0

    def append(self, names: Sequence[str]) -> None:
        """Add the names of the next rows."""
        encoded = [name.encode("utf-8", "surrogateescape") for name in names]
        self._text.write(b"".join(encoded))
        ends = self._end + np.cumsum([len(name) for name in encoded], dtype=np.int64)
        self._ends.write(ends.tobytes())
        self._end = int(ends[-1]) if len(ends) else self._end

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """The names of rows start to stop."""
        self._ends.seek(8 * start)
        ends = np.frombuffer(self._ends.read(8 * (stop - start + 1)), np.int64)
        self._text.seek(int(ends[0]))
        text = self._text.read(int(ends[-1] - ends[0]))
        places = (ends - ends[0]).tolist()
        names = np.empty(stop - start, object)
        names[:] = [text[a:b].decode() for a, b in pairwise(places)]
        return names

    def close(self) -> None:
        """Give the files back."""
        self._text.close()
        self._ends.close()
