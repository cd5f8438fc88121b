"""Results as lines of numbers, in the fewest digits that read back as the same bits."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl.batch._protocols import Column
from fastkl.batch.formats._sink import Layout

_NUMBERS_AT_ONCE = 1 << 16


class CsvWriter:
    """A line for each row. A first line names the columns where there are ids or several columns."""

    is_folder = False

    def __init__(self, path: Path, layout: Layout) -> None:
        widths = sum(1 if column.width is None else column.width for column in layout.columns.values())
        self.rows_at_once = max(1, _NUMBERS_AT_ONCE // max(1, widths))
        self._file = open(path, "w", encoding="utf-8", newline="")  # noqa: SIM115 - open until closed
        self._file.write(header(layout.columns, None if layout.ids is None else layout.ids.name))

    def put(self, start: int, block: dict[str, npt.NDArray[Any]], ids: npt.NDArray[Any] | None) -> None:
        """Append lines."""
        self._file.writelines(lines(block, ids))

    def close(self, complete: bool) -> None:
        """Close the file."""
        self._file.close()


def header(columns: Mapping[str, Column], ids: str | None) -> str:
    """The line that names the columns; none where there is one, of divergences say, that nobody has named."""
    if ids is None and len(columns) == 1:
        return ""
    names = [] if ids is None else [ids]
    for name, column in columns.items():
        names += _labels(name, column)
    return _quoted(names)


def lines(block: Mapping[str, npt.NDArray[Any]], ids: npt.NDArray[Any] | None) -> Iterator[str]:
    """A line for each row of a block of columns."""
    columns: list[Iterable[str]] = []
    if ids is not None:
        columns.append(_quoted(["" if name is None else str(name)]).rstrip("\n") for name in ids)
    for values in block.values():
        columns += [_texts(column) for column in (values.T if values.ndim > 1 else [values])]
    return (",".join(cells) + "\n" for cells in zip(*columns, strict=True))


def _quoted(cells: list[str]) -> str:
    """Cells with commas between them, in quotes where they have commas in them."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _labels(name: str, column: Column) -> list[str]:
    return [name] if column.width is None else [f"{name}_{number}" for number in range(1, column.width + 1)]


def _texts(column: npt.NDArray[Any]) -> Iterator[str]:
    if column.dtype == np.bool_:
        return ("true" if value else "false" for value in column)
    # Python's floats print faster than NumPy's, but would show a float32 in 17 digits.
    return map(str, column if column.dtype == np.float32 else column.tolist())
