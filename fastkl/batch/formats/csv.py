"""Numbers in text, one histogram a line: turned once into doubles on disk, which serve like any array."""

import csv
import re
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

import numpy as np
import numpy.typing as npt

from fastkl._progress import Progress
from fastkl.batch._protocols import SourceError
from fastkl.batch.formats._checks import Reading
from fastkl.batch.formats._mapped import MappedSource, NumberFile
from fastkl.batch.formats._text_ids import TextIds

_NUMBERS_AT_ONCE = 1 << 18
_NOT_IN_TEXT = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
# What the first lines may have instead of numbers.
_HINTS = {
    1: " (if this line is a header, say so: --header, header=True)",
    2: " (if this column names the rows, say so: --ids NAME, ids=)",
}


@dataclass(frozen=True, slots=True)
class Contents:
    """What a text file holds beside its numbers."""

    shape: tuple[int, int]
    first_line: int  # that of the first row
    labels: list[str] | None  # those of the columns, where a header names them


def open_csv(path: Path, name: str | None, ids: str | None, how: Reading) -> MappedSource:
    """The numbers of a CSV file, and the names of its rows where a column, `ids`, has them."""
    names = None if ids is None else TextIds(ids)
    try:
        return MappedSource(open_numbers_csv(path, how, names), names)
    except BaseException:
        if names is not None:
            names.close()
        raise


def open_numbers_csv(path: Path, how: Reading, ids: TextIds | None = None) -> NumberFile:
    """The numbers of a CSV file; the column that `ids` is called after is none of them, but appended to it."""
    file, contents = csv_to_doubles(path, how, ids)
    dtype = np.dtype(np.float64)
    return NumberFile(path, file, dtype, contents.shape, first_line=contents.first_line, labels=contents.labels)


def csv_to_doubles(path: Path, how: Reading, ids: TextIds | None) -> tuple[BinaryIO, Contents]:
    """What a CSV file holds: its numbers as a nameless temporary file of doubles, and what they are."""
    scratch = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - the caller keeps it open
    try:
        # Bytes that aren't text are shown as \xNN in the message that names their line.
        with (
            open(path, encoding="utf-8-sig", errors="backslashreplace") as text,
            Progress(f"reading {path.name}", path.stat().st_size, how.show_progress) as progress,
        ):
            contents = _copy_numbers(path, text, scratch, progress, how.header, ids)
        scratch.flush()
        return scratch, contents
    except BaseException:
        scratch.close()
        raise


def _copy_numbers(
    path: Path, text: TextIO, scratch: BinaryIO, progress: Progress, header: bool | None, ids: TextIds | None
) -> Contents:
    lines = _lines_to_last_number(path, text)
    first = next(lines, None)
    if first is None:
        raise SourceError(f"{path} holds no numbers")
    fields = _fields(first)
    has_header = header if header is not None else not any(map(_is_number, fields))
    labels = _labels(path, first) if has_header else None
    first_line = number = 1 if labels is None else 2
    width, id_field = len(fields), None
    if ids is not None:
        id_field = _id_field(path, labels, ids.name)
        width -= 1
    pending = chain([first], lines) if labels is None else lines
    while block := list(islice(pending, max(1, _NUMBERS_AT_ONCE // max(1, width)))):
        if ids is not None and id_field is not None:
            block = _take_ids(f"{path}, line", number, block, id_field, ids)
        scratch.write(_numbers(path, block, number, width, id_field).tobytes())
        number += len(block)
        progress.advance(sum(map(len, block)))
    if number == first_line:
        raise SourceError(f"{path} holds no histograms, only a header")
    if labels is not None and id_field is not None:
        del labels[id_field]
    return Contents((number - first_line, width), first_line, labels)


def _id_field(path: Path, labels: list[str] | None, name: str) -> int:
    if labels is None or name not in labels:
        has = ", ".join(map(repr, labels[:20])) if labels else "no header (if it is one, say so: --header, header=True)"
        raise SourceError(f"{path}: no column is called {name!r}, as the ids are; its first line has {has}")
    if len(labels) == 1:
        raise SourceError(f"{path} has no column beside {name!r}")
    return labels.index(name)


def _take_ids(place: str, number: int, lines: list[str], field: int, ids: TextIds) -> list[str]:
    """The lines without the field of the ids."""
    rest, names = [], []
    for offset, line in enumerate(lines):
        try:
            cells = next(csv.reader([line], strict=True))
        except csv.Error as error:
            raise SourceError(f"{place} {number + offset}: {error}") from None
        if len(cells) <= field:
            raise SourceError(f"{place} {number + offset} has {len(cells)} fields, none for the ids {ids.name!r}")
        names.append(cells.pop(field))
        rest.append(",".join(f'"{cell}"' if "," in cell else cell for cell in cells))
    ids.append(names)
    return rest


def _labels(path: Path, header: str) -> list[str]:
    _check_text(f"{path}, line 1", header)
    if other := _other_separator(header):
        raise SourceError(f"{path}, line 1: numbers are separated by {other!r}; commas are wanted")
    labels = [field.strip() for field in _fields(header)]
    if labels[0] == "" and any(labels):  # as pandas and R write them, whose index would be taken for a bin
        raise SourceError(f"{path}, line 1: the first column has no name; if it is an index, save without it")
    return labels


def _fields(line: str) -> list[str]:
    """What is between the commas of a line, but for those in quotes: names of intervals, "(0, 2]", have some."""
    if line.count('"') % 2 == 0:
        with suppress(csv.Error):  # of fields that are too long to be names or numbers
            return next(csv.reader([line.rstrip("\n")], skipinitialspace=True))
    return line.split(",")


def _other_separator(line: str) -> str | None:
    """What separates the numbers of a line instead of commas."""
    for separator in ";\t| ":
        fields = line.strip().split(separator)
        if len(fields) > 1 and all(map(_is_number, filter(None, fields))):
            return separator
    return None


def _lines_to_last_number(path: Path, text: TextIO) -> Iterator[str]:
    blank = 0
    for number, line in enumerate(text, 1):
        if not line.strip():
            blank = blank or number
        elif blank:  # skipping it would pair every later row with the wrong one
            raise SourceError(f"{path}, line {blank} is blank")
        else:
            yield line


def _numbers(
    path: Path, lines: list[str], first_number: int, width: int, id_field: int | None
) -> npt.NDArray[np.float64]:
    try:
        numbers = _parse(lines)
        if numbers.shape == (len(lines), width):
            return numbers
    except ValueError:
        pass
    for number, line in enumerate(lines, first_number):
        hint = _HINTS.get(number, "") if id_field is None else ""
        _check_line(f"{path}, line {number}", line, width, id_field, hint)
    raise AssertionError("lines that are all right one by one are so together")


def _check_line(place: str, line: str, width: int, id_field: int | None, hint: str) -> None:
    _check_text(place, line)
    fields = _fields(line)
    for column, field in enumerate(fields, 1):
        if not _is_number(field):
            column += id_field is not None and column > id_field
            found = f"is {field.strip()!r}, not a number" if field.strip() else "is empty, a number is wanted"
            raise SourceError(f"{place}: field {column} {found}{hint}")
    if len(fields) != width:
        beside = "" if id_field is None else " beside the ids"
        raise SourceError(f"{place} has {len(fields)} numbers{beside}, line 1 has {width} fields{beside}")


def _check_text(place: str, line: str) -> None:
    if _NOT_IN_TEXT.search(line):
        raise SourceError(f"{place} is no text in UTF-8, as a .csv file should be")


def _is_number(field: str) -> bool:
    try:
        return bool(field.strip()) and _parse([field]).size == 1
    except ValueError:
        return False


def _parse(lines: list[str]) -> npt.NDArray[Any]:
    return np.loadtxt(lines, delimiter=",", comments=None, quotechar='"', ndmin=2)
