"""What a run keeps beside its target until it is complete, so that another process can go on where it ended.

The folder ``.OUT.fastkl`` has

- ``journal.json``: which version computes what of which files with which options, and how many rows are done. It is
  replaced as a whole.
- ``values.bin``: the results, row after row. What the journal says is done is on disk.
- ``invalid.jsonl``: the invalid histograms so far, where they are to be reported.
- ``result.SUFFIX``, in the end: the file that is given the target's name. ``values.bin`` is gone then.
- ``lock``: held by the run that is under way.

The journal is written a second after the last time, when a block is done. A run that fails before leaves nothing.
"""

import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from fastkl.batch._errors import BEGIN_ANEW, Refused
from fastkl.batch._facts import difference
from fastkl.batch._job import Block, Invalid
from fastkl.batch._kept import Kept
from fastkl.batch._lock import Lock
from fastkl.batch.formats._target import entry_to_disk

SECONDS_BETWEEN = 1.0
_COUNTS = ("rows", "done", "invalid_rows", "told")


def folder_of(target: Path) -> Path:
    """Where the state of a run to a target is kept."""
    return target.with_name(f".{target.name}.fastkl")


def report_of(target: Path) -> Path:
    """Where the invalid histograms of a run to a target are reported."""
    return target.with_name(f"{target.name}.invalid.csv")


class Journal:
    """The state of a run, held by this process until it is closed."""

    def __init__(self, target: Path, facts: dict[str, Any], rows: int, *, resume: bool, force: bool) -> None:
        """Begin, or go on; ``facts`` are what must not have changed meanwhile."""
        self.shown, self.target = target, target.absolute()  # the program may go to another folder meanwhile
        self.rows, self.facts = rows, facts
        self.folder = folder_of(self.target)
        self._lock = Lock(self.folder, target)
        try:
            self._begin(resume, force)
        except BaseException:
            self._lock.close()
            raise

    def _begin(self, resume: bool, force: bool) -> None:
        state = None if force and not resume else self._stored()
        if state is not None and state["done"] > 0 and not resume:
            again = "force=True, resume=True" if os.path.lexists(self.target) else "resume=True"
            raise Refused(
                f"an unfinished run to {self.shown} has {state['done']:,} of {state['rows']:,} rows:"
                f" {again} continues it, force=True alone discards it"
            )
        if state is not None and resume and state["done"] > 0:
            if differs := difference(state["facts"], self.facts):
                raise Refused(
                    f"the unfinished run to {self.shown} can't be resumed: {differs}; force=True without resume=True"
                    " discards it and begins anew"
                )
            self._check_whole(state["done"])
        else:
            (self.folder / "journal.json").unlink(missing_ok=True)  # first: what is left is of no run then
            self._forget()
            state = {"done": 0, "invalid_rows": 0, "told": 0}
        self.resumed_from: int = state["done"]
        self.done, self.invalid_rows = state["done"], state["invalid_rows"]
        self._told_bytes: int = state["told"]
        self.kept: Kept | None = None
        self._written = time.monotonic()
        self._is_removed = False

    def _check_whole(self, done: int) -> None:
        """Raise unless what the journal tells of is there: results, the complete file, or, in the end, the target."""
        is_named = done == self.rows and (self.result_path.exists() or self.target.exists())
        if not (self.values_path.exists() or is_named):
            raise Refused(f"the state of the unfinished run to {self.shown} is damaged: {BEGIN_ANEW}")

    def _stored(self) -> dict[str, Any] | None:
        journal = self.folder / "journal.json"
        try:
            state: dict[str, Any] = json.loads(journal.read_text("utf-8"))
            if state.keys() != {"facts", *_COUNTS} or not all(isinstance(state[name], int) for name in _COUNTS):
                raise ValueError("it is no journal")
        except FileNotFoundError:
            return None
        except (ValueError, AttributeError) as error:
            raise Refused(f"{journal} is damaged ({error}): {BEGIN_ANEW}") from None
        return state

    @property
    def values_path(self) -> Path:
        """The results of the rows."""
        return self.folder / "values.bin"

    @property
    def result_path(self) -> Path:
        """The complete file before it gets its name."""
        return self.folder / f"result{self.target.suffix}"

    @property
    def report_path(self) -> Path:
        """Where invalid histograms are reported."""
        return report_of(self.target)

    @property
    def has_values(self) -> bool:
        """False once they are in a complete file."""
        return self.done == 0 or self.values_path.exists()

    def open_kept(self, header: bytes, row_bytes: int) -> Kept:
        """Make or find the files of what is done, which stay open until the journal is closed."""
        self.kept = Kept(self.folder, header, row_bytes, self.rows, self.done, self._told_bytes)
        if not self.done:
            self._write(self.done)
        return self.kept

    def add(self, block: Block, name_of: Callable[[Invalid], Any]) -> None:
        """Note the results of a block and its invalid rows with their names; now and then that it is done."""
        assert self.kept is not None
        self.kept.add(block.values)
        told = self._told_bytes + sum(self.kept.tell(found, name_of(found)) for found in block.invalid)
        # Together: an interrupt finds the block done or not.
        self.done, self.invalid_rows, self._told_bytes = block.stop, self.invalid_rows + block.invalid_rows, told
        if time.monotonic() - self._written >= SECONDS_BETWEEN:
            self.record()

    def tell(self, found: Invalid) -> None:
        """Note, before any block, an invalid histogram of the files that are not read in blocks."""
        assert self.kept is not None
        self._told_bytes += self.kept.tell(found, None)

    def record(self) -> None:
        """Make sure that what is done is on disk, and say so."""
        if self.kept is None:
            return
        self.kept.to_disk()
        self._write(self.done)
        self._written = time.monotonic()

    def _write(self, done: int) -> None:
        counts = {"done": done, "invalid_rows": self.invalid_rows, "told": self._told_bytes}
        state = {"facts": self.facts, "rows": self.rows, **counts}
        new = self.folder / "journal.new"
        with open(new, "w", encoding="utf-8") as file:
            json.dump(state, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, self.folder / "journal.json")
        entry_to_disk(self.folder)

    @property
    def recorded(self) -> int:
        """How many rows another process would find done."""
        state = None if self._is_removed else self._stored()
        return 0 if state is None else int(state["done"])

    def remove(self) -> None:
        """Leave nothing of the state; the folder may be another run's by now."""
        if self._is_removed:
            return
        self.close_files()
        self._forget()
        if os.name == "nt":  # where an open file can't be removed
            self._lock.close()
        (self.folder / "lock").unlink(missing_ok=True)
        self._is_removed = True
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def _forget(self) -> None:
        # The journal goes last: as long as it is there, another run knows what the rest is.
        last = self.folder / "journal.json"
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != "lock" and path != last:
                path.unlink()
        last.unlink(missing_ok=True)

    def close_files(self) -> None:
        """Give the files back, but not the target."""
        if self.kept is not None:
            self.kept.close()
            self.kept = None

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close_files()
        self._lock.close()
