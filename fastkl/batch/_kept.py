"""The two files in which a run keeps what it has done: results row after row, and invalid histograms."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from fastkl.batch._advice import advise
from fastkl.batch._errors import BEGIN_ANEW, Refused, is_full
from fastkl.batch._job import Invalid
from fastkl.batch._plan import in_words

_BYTES_AT_ONCE = 1 << 20  # of results that are read back together, or that the disk is given


class Kept:
    """Files that have room for the results of all rows; open until closed."""

    def __init__(self, folder: Path, header: bytes, row_bytes: int, rows: int, done: int, told: int) -> None:
        """Make them, with ``header`` before the results, or go on after what is ``done`` and ``told``."""
        self._header, self._rows = header, rows
        self._files: list[BinaryIO] = []
        end = len(header) + done * row_bytes
        least = {folder / "values.bin": end, folder / "invalid.jsonl": told}
        for path, size in least.items() if done else ():
            if not path.exists() or path.stat().st_size < size:
                raise Refused(f"{path} is shorter than its journal says: {BEGIN_ANEW}")
        try:
            for path in least:
                self._files.append(cast(BinaryIO, open(path, "r+b" if done else "w+b")))  # noqa: SIM115
            self._values, self._told = self._files
            if not done:
                self._values.write(header)
                self._make_room(len(header) + rows * row_bytes)
            self._values.seek(end)
            self._begun = end
            self._told.truncate(told)
            self._told.seek(told)
        except BaseException:
            self.close()
            raise

    def _make_room(self, size: int) -> None:
        """Let a disk that is too small be found now, where the system can tell."""
        self._values.flush()
        if hasattr(os, "posix_fallocate") and size:
            try:
                os.posix_fallocate(self._values.fileno(), 0, size)
            except OSError as error:
                if is_full(error):  # and no file system that can't tell
                    text = f"no room for a result of {in_words(size)}: {error.strerror}"
                    raise OSError(error.errno, text) from None

    def add(self, values: dict[str, npt.NDArray[Any]]) -> None:
        """Append the results of some rows."""
        self._values.write(_packed(values).data)
        if (size := self._values.tell() - self._begun) >= _BYTES_AT_ONCE:
            self._values.flush()
            # Linux begins to store what is in its memory alone, so that it could be dropped, and does not wait for it.
            advise(self._values, self._begun, size, "DONTNEED")
            self._begun += size

    def tell(self, found: Invalid, name: Any) -> int:
        """Append an invalid histogram, with what names its row; return the bytes written."""
        return self._told.write(f"{json.dumps([found.row, name, found.side, found.reason])}\n".encode())

    def to_disk(self) -> None:
        """Return when the disk has everything."""
        for file in self._files:
            file.flush()
            os.fsync(file.fileno())

    def values(self, record: np.dtype[Any]) -> Iterator[npt.NDArray[Any]]:
        """The results, many rows at a time."""
        self._values.seek(len(self._header))
        together = max(1, _BYTES_AT_ONCE // max(record.itemsize, 1))
        for start in range(0, self._rows, together):
            count = min(together, self._rows - start)
            yield np.frombuffer(self._values.read(count * record.itemsize), record, count)

    def told(self) -> Iterator[list[Any]]:
        """(row, id, side, reason) of each invalid histogram."""
        self._told.seek(0)
        for line in self._told:
            yield json.loads(line)

    def close(self) -> None:
        """Give the files back; a second time does nothing."""
        while self._files:
            with contextlib.suppress(OSError):  # of what a full disk did not take, and has been said
                self._files.pop().close()


def _packed(values: dict[str, npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """The results of some rows, those of a row side by side: an array whose bytes are what is kept."""
    if len(values) == 1:
        return np.ascontiguousarray(next(iter(values.values())))
    record = np.dtype([(name, array.dtype, array.shape[1:]) for name, array in values.items()])
    rows = np.empty(len(next(iter(values.values()))), record)
    for name, array in values.items():
        rows[name] = array
    return rows
