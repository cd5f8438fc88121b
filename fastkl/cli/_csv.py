"""Numbers in text, one histogram a line: turned once into doubles on disk, which serve like any array."""

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

import numpy as np
import numpy.typing as npt

from fastkl._progress import Progress
from fastkl.cli._command import CommandError

_NUMBERS_AT_ONCE = 1 << 18
_NOT_IN_TEXT = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Contents:
    """What a text file holds beside its numbers."""

    shape: tuple[int, int]
    first_line: int  # that of the first row
    labels: list[str] | None  # those of the columns, where a header names them


def csv_to_doubles(path: Path, show_progress: bool) -> tuple[BinaryIO, Contents]:
    """What a CSV file holds: its numbers as a nameless temporary file of doubles, and what they are."""
    scratch = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - the caller keeps it open
    try:
        # Bytes that aren't text are shown as \xNN in the message that names their line.
        with (
            open(path, encoding="utf-8-sig", errors="backslashreplace") as text,
            Progress(f"reading {path.name}", path.stat().st_size, show_progress) as progress,
        ):
            contents = _copy_numbers(path, text, scratch, progress)
        scratch.flush()
        return scratch, contents
    except BaseException:
        scratch.close()
        raise


def _copy_numbers(path: Path, text: TextIO, scratch: BinaryIO, progress: Progress) -> Contents:
    lines = _lines_to_last_number(path, text)
    first = next(lines, None)
    if first is None:
        raise CommandError(f"{path} holds no numbers")
    fields = first.split(",")
    labels = None if any(map(_is_number, fields)) else _labels(path, first)
    first_line = number = 1 if labels is None else 2
    width = len(fields)
    pending = chain([first], lines) if labels is None else lines
    while block := list(islice(pending, max(1, _NUMBERS_AT_ONCE // width))):
        scratch.write(_numbers(path, block, number, width).tobytes())
        number += len(block)
        progress.advance(sum(map(len, block)))
    if number == first_line:
        raise CommandError(f"{path} holds no histograms, only a header")
    return Contents((number - first_line, width), first_line, labels)


def _labels(path: Path, header: str) -> list[str]:
    _check_text(f"{path}, line 1", header)
    if other := _other_separator(header):
        raise CommandError(f"{path}, line 1: numbers are separated by {other!r}; commas are wanted")
    labels = [field.strip().strip('"') for field in header.split(",")]
    if labels[0] == "" and any(labels):  # as pandas and R write them, whose index would be taken for a bin
        raise CommandError(f"{path}, line 1: the first column has no name; if it is an index, save without it")
    return labels


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
            raise CommandError(f"{path}, line {blank} is blank")
        else:
            yield line


def _numbers(path: Path, lines: list[str], first_number: int, width: int) -> npt.NDArray[np.float64]:
    try:
        numbers = _parse(lines)
        if numbers.shape == (len(lines), width):
            return numbers
    except ValueError:
        pass
    for number, line in enumerate(lines, first_number):
        _check_line(f"{path}, line {number}", line, width)
    raise AssertionError("lines that are all right one by one are so together")


def _check_line(place: str, line: str, width: int) -> None:
    _check_text(place, line)
    fields = line.split(",")
    for column, field in enumerate(fields, 1):
        if not _is_number(field):
            raise CommandError(f"{place}: field {column} is {field.strip()!r}, not a number")
    if len(fields) != width:
        raise CommandError(f"{place} has {len(fields)} numbers, line 1 has {width} fields")


def _check_text(place: str, line: str) -> None:
    if _NOT_IN_TEXT.search(line):
        raise CommandError(f"{place} is no text in UTF-8, as a .csv file should be")


def _is_number(field: str) -> bool:
    try:
        return bool(field.strip()) and _parse([field]).size == 1
    except ValueError:
        return False


def _parse(lines: list[str]) -> npt.NDArray[Any]:
    return np.loadtxt(lines, delimiter=",", comments=None, quotechar='"', ndmin=2)
