"""A file or folder that is complete or absent: made beside its name, flushed to the disk, then renamed."""

import os
import secrets
import shutil
from pathlib import Path

from fastkl.batch._errors import is_full
from fastkl.batch._protocols import SinkError


class Target:
    """What a sink will leave under `path`, and where it is made until then: `partial`."""

    def __init__(self, path: Path, is_folder: bool, force: bool) -> None:
        self.path, self._is_folder, self._force = path, is_folder, force
        self._check()
        self.partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        try:
            self.partial.mkdir() if is_folder else self.partial.touch(exist_ok=False)
        except OSError as error:  # which names a file that nobody has heard of
            if is_full(error):
                raise OSError(error.errno, error.strerror) from None
            raise SinkError(f"{path} can't be written: {error.strerror}") from None

    def finish(self) -> None:
        """Give it its name, once the disk has it: else a power cut may leave the name without the contents."""
        _to_disk(self.partial)
        self._check()
        replaced = None
        if self._is_folder and self.path.is_dir():  # which no other folder can take the place of in one step
            replaced = self.path.with_name(f"{self.partial.name}.old")
            os.replace(self.path, replaced)
        os.replace(self.partial, self.path)
        if replaced is not None:
            shutil.rmtree(replaced)
        entry_to_disk(self.path.absolute().parent)

    def abandon(self) -> None:
        """Remove what was made; does nothing once finished."""
        if self.partial.is_dir():
            shutil.rmtree(self.partial, ignore_errors=True)  # another thread of zarr may write to it yet
        else:
            self.partial.unlink(missing_ok=True)

    def _check(self) -> None:
        if said := obstacle(self.path, self._is_folder):
            raise SinkError(said)
        if not self._force and os.path.lexists(self.path):
            raise SinkError(f"{self.path} exists; --force (force=True) replaces it")


def obstacle(path: Path, is_folder: bool) -> str | None:
    """What is in the way of a file, or of a folder that is a zarr store, and is not replaced; None if nothing is."""
    if not path.parent.is_dir():
        return f"{path.parent} is not a folder"
    if is_folder and path.is_file():
        return f"{path} is a file, and .zarr is a folder; name another"
    if path.is_dir() and (path.is_symlink() or not is_folder):
        return f"{path} is a {'link to a ' * path.is_symlink()}folder, which is not replaced"
    if path.is_dir() and any(path.iterdir()) and not is_zarr(path):
        return f"{path} is a folder that is no zarr store, and is not replaced"
    return None


def is_zarr(folder: Path) -> bool:
    """Whether a folder is a zarr store."""
    return any((folder / name).exists() for name in ("zarr.json", ".zarray", ".zgroup"))


def _to_disk(path: Path) -> None:
    if not path.is_dir():
        with open(path, "rb+") as file:
            os.fsync(file.fileno())
        return
    for folder, _, files in os.walk(path):
        for name in files:
            _to_disk(Path(folder, name))
        entry_to_disk(Path(folder))


def entry_to_disk(folder: Path) -> None:
    if os.name == "nt":  # where folders can't be opened, and needn't be
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
