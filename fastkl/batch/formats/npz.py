"""Several named arrays in a zip: stored ones are mapped in place, compressed ones unpacked once to a nameless file.

Names of members are only ever looked up, never used as names of files. What is stored uncompressed is not read whole at
opening, so its checksum is not looked at.
"""

import shutil
import struct
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from fastkl.batch._protocols import SourceError
from fastkl.batch.formats._checks import Reading, check_histograms, check_ids, one_of, rows_of
from fastkl.batch.formats._mapped import MappedSource, NumberFile
from fastkl.batch.formats.npy import array_at, read_header

_LOCAL_HEADER = struct.Struct("<4s22xHH")
_COPY_BYTES = 1 << 20


def open_npz(path: Path, name: str | None, ids: str | None, how: Reading) -> MappedSource:
    """The array of that name in a .npz file, or its only one."""
    with _open_zip(path) as archive:
        members = {_key(info.filename): info for info in archive.infolist() if info.filename.endswith(".npy")}
        arrays = {}
        for key, info in members.items():
            with _readable(path, key), archive.open(info) as stream:
                dtype, shape, _ = read_header(cast(BinaryIO, stream), f"{path}:{key}")
                arrays[key] = dtype, shape
        key = one_of(str(path), arrays, name, ids)
        check_histograms(f"{path}:{key}", *arrays[key])
        if ids is not None:
            ids = one_of(str(path), arrays, ids)
            check_ids(str(path), ids, arrays, rows_of(arrays[key][1]))
        numbers = _open_member(path, archive, members[key], key)
        try:
            names = None if ids is None else _MemberIds(ids, _open_member(path, archive, members[ids], ids))
        except BaseException:
            numbers.file.close()
            raise
    return MappedSource(numbers, names)


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except OSError:
        raise
    except Exception as error:  # BadZipFile, and others for damaged lists of members
        raise SourceError(f"{path} can't be read as .npz: {error}") from None


def _key(member: str) -> str:
    return member.removesuffix(".npy")


@contextmanager
def _readable(path: Path, key: str) -> Iterator[None]:
    try:
        yield
    except (SourceError, FileNotFoundError):
        raise
    except Exception as error:  # zlib.error, EOFError, RuntimeError for a password, NotImplementedError, BadZipFile ...
        raise SourceError(f"{path}:{key} can't be read: {error}") from None


def _open_member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, key: str) -> NumberFile:
    if info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & 1:
        return _stored_member(path, info, key)
    scratch = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - the caller keeps it open
    try:
        with _readable(path, key), archive.open(info) as stream:
            shutil.copyfileobj(stream, scratch, _COPY_BYTES)
        scratch.flush()
        return array_at(path, scratch, 0, scratch.tell(), key)
    except BaseException:
        scratch.close()
        raise


def _stored_member(path: Path, info: zipfile.ZipInfo, key: str) -> NumberFile:
    file = open(path, "rb")  # noqa: SIM115 - the caller keeps it open
    try:
        file.seek(info.header_offset)
        with _readable(path, key):
            signature, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
        if signature != b"PK\x03\x04":
            raise SourceError(f"{path}:{key} can't be read: the zip has no member where its directory says so")
        start = info.header_offset + _LOCAL_HEADER.size + name_bytes + extra_bytes
        numbers = array_at(path, file, start, start + info.file_size, key)
        numbers.array()  # raises where the file ends before
        return numbers
    except BaseException:
        file.close()
        raise


class _MemberIds:
    """A member that names the rows."""

    def __init__(self, name: str, numbers: NumberFile) -> None:
        self.name, self.numbers = name, numbers
        self.dtype = numbers.dtype if numbers.dtype.kind in "iu" else np.dtype(object)

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """The names of rows start to stop."""
        names = self.numbers.part(self.numbers.offset + start * self.numbers.dtype.itemsize, (stop - start,))
        if names.dtype.kind == "S":
            names = np.char.decode(names, "utf-8", "backslashreplace")
        return names.astype(self.dtype)

    def close(self) -> None:
        """Close the file."""
        self.numbers.file.close()
