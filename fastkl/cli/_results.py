"""Files that are complete or absent."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from fastkl.batch._protocols import SinkError
from fastkl.batch.formats._target import Target
from fastkl.cli._command import UsageError


@contextmanager
def complete_or_absent(target: Path, force: bool) -> Iterator[BinaryIO]:
    """A new file that takes the name ``target`` when the ``with`` block is through, and is gone if it raises."""
    made = _target(target, force)
    try:
        with open(made.partial, "r+b") as file:
            yield file
        with _in_words_of_commands():
            made.finish()
    finally:
        made.abandon()


def check_target(target: Path, force: bool) -> None:
    """Raise UsageError, before anything is computed, where no result may be put or can be."""
    _target(target, force).abandon()


def _target(path: Path, force: bool) -> Target:
    with _in_words_of_commands():
        return Target(path, is_folder=False, force=force)


@contextmanager
def _in_words_of_commands() -> Iterator[None]:
    try:
        yield
    except SinkError as error:
        raise UsageError(str(error).replace("--force (force=True)", "--force")) from None
