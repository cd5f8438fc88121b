"""Where divergences are written: a file that is complete or absent, or lines on stdout."""

import os
import secrets
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from fastkl.cli._command import CommandError, UsageError

_ZEROS_AT_ONCE = 1 << 24


class Results(Protocol):
    """What a command writes to: `begin` once, then `write` in C order."""

    def begin(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Say what will come."""

    def write(self, values: npt.NDArray[Any]) -> None:
        """Add the next values."""


@contextmanager
def open_results(target: Path | None, *, force: bool, inputs: Sequence[Path]) -> Iterator[Results]:
    """Results that go to ``target`` or to stdout. What must be refused is refused here, before the computing."""
    if target is None:
        yield _Lines(sys.stdout.write)
        return
    writer = _WRITERS[suffix_of(target, tuple(_WRITERS))]
    check_target(target, force, inputs)
    with complete_or_absent(target, force) as file:
        yield writer(file)


@contextmanager
def complete_or_absent(target: Path, force: bool) -> Iterator[BinaryIO]:
    """A new file that takes the name ``target`` when the ``with`` block is through, and is gone if it raises."""
    partial, file = _new_file_beside(target)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # else a power cut may leave the name without the contents
        _check_absent(target, force)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def check_target(target: Path, force: bool, inputs: Sequence[Path]) -> None:
    """Raise CommandError, before anything is computed, where no result may be put or can be."""
    if not target.parent.is_dir():
        raise UsageError(f"{target.parent} is not a folder")
    if target.is_dir():
        raise UsageError(f"{target} is a folder")
    for path in inputs:
        if target.exists() and path.exists() and target.samefile(path):
            raise UsageError(f"{target} is an input; name another file for the result")
    _check_absent(target, force)
    partial, file = _new_file_beside(target)
    file.close()
    partial.unlink()


def _new_file_beside(target: Path) -> tuple[Path, BinaryIO]:
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        return partial, open(partial, "xb")
    except OSError as error:  # which names a file that nobody has heard of
        raise CommandError(f"{target} can't be written: {error.strerror}") from None


def _check_absent(target: Path, force: bool) -> None:
    if not force and os.path.lexists(target):
        raise UsageError(f"{target} exists; --force replaces it")


class _Npy:
    def __init__(self, file: BinaryIO) -> None:
        self.file = file

    def begin(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        # Written, not mapped: a full disk is then an error that can be reported and not a fatal signal.
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self.file, header)

    def write(self, values: npt.NDArray[Any]) -> None:
        self.file.write(values.tobytes())


def texts(row: npt.NDArray[Any]) -> Iterator[str]:
    """Numbers in the fewest digits that read back as the same bits."""
    # Python's floats print faster than NumPy's, but would show a float32 in 17 digits.
    return map(str, row if row.dtype == np.float32 else row.tolist())


class _Lines:
    """One number a line."""

    def __init__(self, put: Callable[[str], object]) -> None:
        self.put = put

    def begin(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        pass

    def write(self, values: npt.NDArray[Any]) -> None:
        self.put("".join(f"{text}\n" for text in texts(values.ravel())))


def _csv(file: BinaryIO) -> Results:
    return _Lines(lambda text: file.write(text.encode("ascii")))


_WRITERS: dict[str, Callable[[BinaryIO], Results]] = {".npy": _Npy, ".csv": _csv}


def suffix_of(target: Path, accepted: tuple[str, ...]) -> str:
    """The suffix of a file to write, which must be one of those."""
    suffix = target.suffix.lower()
    if suffix not in accepted:
        raise UsageError(f"{target}: results go to files that end in {' or '.join(accepted)}")
    return suffix


def mapped_npy(file: BinaryIO, shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """An array in the new .npy file, for which there is room on disk: without, writing to a map is a fatal signal."""
    _Npy(file).begin(shape, dtype)
    start = file.tell()
    size = start + dtype.itemsize * int(np.prod(shape, dtype=np.int64))
    try:
        file.flush()
        _allocate(file, start, size)
    except OSError as error:
        raise CommandError(f"no room for a result of {size / 1e9:.3g} GB: {error.strerror}") from None
    if 0 in shape:
        return np.empty(shape, dtype)
    return np.memmap(file.name, dtype, "r+", start, shape)


def _allocate(file: BinaryIO, start: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    for done in range(start, size, _ZEROS_AT_ONCE):  # macOS, Windows
        file.write(bytes(min(_ZEROS_AT_ONCE, size - done)))
    file.flush()


class Table:
    """Lines of cells with commas between them."""

    def __init__(self, put: Callable[[str], object]) -> None:
        self.put = put

    def write(self, cells: Iterable[str]) -> None:
        """Add a line."""
        self.put(",".join(cells) + "\n")


@contextmanager
def open_table(target: Path | None, force: bool) -> Iterator[Table]:
    """A table in a file, complete or absent, or on stdout."""
    if target is None:
        yield Table(sys.stdout.write)
        return
    with complete_or_absent(target, force) as file:
        yield Table(lambda text: file.write(text.encode("ascii")))
