"""The note that a finished run with ``resume=True`` leaves, by which the same run finds that nothing is to be done.

It is the file ``.OUT.fastkl.json`` beside the result, and has what the run was made of and when the result was written.
"""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from fastkl.batch._errors import Refused
from fastkl.batch._facts import difference
from fastkl.batch._journal import Journal
from fastkl.batch.formats._checks import stamp
from fastkl.batch.formats._target import entry_to_disk


class Finished(NamedTuple):
    """A run whose result is there."""

    facts: dict[str, Any]
    stamp: dict[str, str | int]  # of the result
    rows: int
    invalid_rows: int


def is_noted(target: Path) -> bool:
    """Whether a run to a target has finished and left its note."""
    return target.exists() and note_of(target).exists()


def leave_note(journal: Journal) -> None:
    """Say of a result that has its name what it is."""
    note, new = note_of(journal.target), journal.folder / "finished.json"
    finished = Finished(journal.facts, stamp(journal.target), journal.rows, journal.invalid_rows)
    with open(new, "w", encoding="utf-8") as file:
        json.dump(finished._asdict(), file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, note)
    entry_to_disk(note.parent)


def remove_note(target: Path) -> None:
    """Of the result that is replaced."""
    note_of(target).unlink(missing_ok=True)


def finished_run(target: Path, facts: dict[str, Any], report: Path | None) -> Finished:
    """The run that left a note; Refused where it is another one, or its result is no longer what it was."""
    try:
        found = Finished(**json.loads(note_of(target).read_text("utf-8")))
    except FileNotFoundError:  # removed this moment, by a run that replaces its result
        raise Refused(f"{target} exists; force=True replaces it") from None
    except (ValueError, TypeError):
        raise Refused(f"{target} exists, and the note of its run is damaged; force=True replaces it") from None
    if {**found.stamp, "path": ""} != {**stamp(target), "path": ""}:  # however the path is written
        raise Refused(f"{target} exists and has been changed since its run finished; force=True replaces it")
    if differs := difference(found.facts, facts):
        raise Refused(f"{target} exists and is the result of another run: {differs}; force=True replaces it")
    if report is not None and not report.exists():
        raise Refused(f"{target} exists and its report {report} does not; force=True makes both anew")
    return found


def note_of(target: Path) -> Path:
    """Where a finished run leaves its note."""
    return target.with_name(f".{target.name}.fastkl.json")
