"""Files that are complete or absent."""

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from fastkl.cli._command import CommandError, UsageError


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
