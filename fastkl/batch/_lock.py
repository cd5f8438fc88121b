"""One run at a time to a target: a lock on an open file, which the system gives back however the process ends."""

import contextlib
import errno
import os
from pathlib import Path
from typing import BinaryIO

from fastkl.batch._errors import Refused

_TRIES = 1000
_TAKEN = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)


class Lock:
    """Holds a folder, which it makes, until it is closed."""

    def __init__(self, folder: Path, target: Path) -> None:
        self._file = _opened(folder, target)
        try:
            is_held = _take(self._file) and self._is_there(folder / "lock")
        except OSError as error:
            self._file.close()
            (folder / "lock").unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                folder.rmdir()
            raise OSError(
                error.errno,
                f"{target} is on a file system that gives no locks ({error.strerror}), so that a second run to it could"
                " not be refused; name a result on another one",
            ) from None
        if not is_held:
            self._file.close()
            raise Refused(f"another run to {target} is under way")

    def _is_there(self, path: Path) -> bool:
        # A run that ended between our opening and taking has removed the folder, and a third may have made a new one.
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), path.stat())
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Let the next run begin."""
        self._file.close()


def _opened(folder: Path, target: Path) -> BinaryIO:
    """The file in the folder, both of which a run that ends may remove between our steps."""
    for _ in range(_TRIES):
        try:
            folder.mkdir(exist_ok=True)
            return open(folder / "lock", "ab")
        except (FileExistsError, FileNotFoundError):
            if not folder.parent.is_dir() or folder.is_file() or folder.is_symlink():
                raise
    raise Refused(f"other runs to {target} begin and end; call again when they are done")


def _take(file: BinaryIO) -> bool:
    """False where another process has it. Raises OSError where the file system has no locks."""
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        raise
    return True
