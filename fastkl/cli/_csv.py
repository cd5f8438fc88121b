"""Numbers in text, one histogram a line: turned once into doubles on disk, which serve like any array."""

import tempfile
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

import numpy as np
import numpy.typing as npt

from fastkl._progress import Progress
from fastkl.cli._command import CommandError

_NUMBERS_AT_ONCE = 1 << 18


def csv_to_doubles(path: Path, show_progress: bool) -> tuple[BinaryIO, tuple[int, int], int]:
    """What a CSV file holds: a nameless temporary file of doubles, its shape, and the line of the first row."""
    scratch = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - the caller keeps it open
    try:
        # Bytes that aren't text are shown as \xNN in the message that names their line.
        with (
            open(path, encoding="utf-8-sig", errors="backslashreplace") as text,
            Progress(f"reading {path.name}", path.stat().st_size, show_progress) as progress,
        ):
            rows, width, first_line = _copy_numbers(path, text, scratch, progress)
        scratch.flush()
        return scratch, (rows, width), first_line
    except BaseException:
        scratch.close()
        raise


def _copy_numbers(path: Path, text: TextIO, scratch: BinaryIO, progress: Progress) -> tuple[int, int, int]:
    lines = _lines_to_last_number(path, text)
    first = next(lines, None)
    if first is None:
        raise CommandError(f"{path} holds no numbers")
    fields = first.split(",")
    has_header = not any(map(_is_number, fields))
    if has_header and (other := _other_separator(first)):
        raise CommandError(f"{path}, line 1: numbers are separated by {other!r}; commas are wanted")
    first_line = number = 2 if has_header else 1
    width = len(fields)
    pending = lines if has_header else chain([first], lines)
    while block := list(islice(pending, max(1, _NUMBERS_AT_ONCE // width))):
        scratch.write(_numbers(path, block, number, width).tobytes())
        number += len(block)
        progress.advance(sum(map(len, block)))
    return number - first_line, width, first_line


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
    fields = line.split(",")
    for column, field in enumerate(fields, 1):
        if not _is_number(field):
            raise CommandError(f"{place}: field {column} is {field.strip()!r}, not a number")
    if len(fields) != width:
        raise CommandError(f"{place} has {len(fields)} numbers, line 1 has {width} fields")


def _is_number(field: str) -> bool:
    try:
        return bool(field.strip()) and _parse([field]).size == 1
    except ValueError:
        return False


def _parse(lines: list[str]) -> npt.NDArray[Any]:
    return np.loadtxt(lines, delimiter=",", comments=None, quotechar='"', ndmin=2)
