"""From the results of all rows to the file that was asked for.

An array in .npy has been written as that file from the beginning and takes its name. Other formats are written in one
pass over the results, so that they are the same however often the run was interrupted.
"""

import contextlib
import csv
import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastkl.batch._errors import Refused
from fastkl.batch._finished import is_noted, note_of
from fastkl.batch._job import Job
from fastkl.batch._journal import Journal, folder_of
from fastkl.batch._kept import Kept
from fastkl.batch._layout import layout_of
from fastkl.batch._protocols import Sink, SinkError
from fastkl.batch.formats import can_write, open_sink, split_name
from fastkl.batch.formats._target import entry_to_disk, obstacle


def check_place(target: Path, force: bool, inputs: Sequence[Any], report: Path | None, is_again: bool) -> None:
    """Raise where no result may be put or can be, before anything is read.

    Where the run ``is_again`` one that may have finished, the result of that may be there.
    """
    if not can_write(target):
        open_sink(target, {}, ())  # which says what can
    if said := obstacle(target, target.suffix.lower() == ".zarr"):
        raise Refused(said)
    _check_free(target, [note_of(target), *([] if report is None else [report])])
    for place in (target, report):
        _check_no_input(place, inputs)

    def is_known() -> bool:
        return folder_of(target).exists() or (is_again and is_noted(target))  # which say more

    if is_known():
        return
    try:
        check_absent(target, force)
        if report is not None:
            check_absent(report, force)
    except Refused:
        if is_known():  # since this moment, by another run
            return
        raise
    _check_writable(target)


def _check_no_input(place: Path | None, inputs: Sequence[Any]) -> None:
    for given in inputs:
        if place is not None and place.exists() and isinstance(given, str | Path):
            path, _ = split_name(given)
            if path.exists() and place.samefile(path):
                raise Refused(f"{place} is an input; name another file for the result")


def _check_free(target: Path, beside: Sequence[Path]) -> None:
    """Raise where what a run writes beside its target can't have its name, before that is found by the last step."""
    for path in beside:
        try:
            os.lstat(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise OSError(
                error.errno, f"{target} can't be written with {path.name} beside it: {error.strerror}"
            ) from None
        if path.is_dir():
            raise Refused(f"{path} is a folder, which is not replaced")
    if folder_of(target).is_file():
        raise Refused(f"{folder_of(target)} is a file, where a run keeps its state; move it")


def _check_writable(target: Path) -> None:
    folder = folder_of(target)
    try:
        folder.mkdir()
    except FileExistsError:  # another run has begun, which is found out soon
        return
    except OSError as error:
        raise OSError(error.errno, f"{target} can't be written: {error.strerror}") from None
    with contextlib.suppress(OSError):  # in which another run has begun
        folder.rmdir()


def check_absent(target: Path, force: bool, shown: Path | None = None) -> None:
    """Raise where a file is in the way."""
    if not force and os.path.lexists(target):
        raise Refused(f"{shown or target} exists; force=True replaces it")


def npy_header(job: Job, target: Path) -> bytes:
    """What stands before the values in a .npy file; nothing where the target is another format."""
    if target.suffix.lower() != ".npy":
        return b""
    (column,) = job.kind.columns.values()
    shape = job.shape if column.width is None else (*job.shape, column.width)
    header = {"descr": np.lib.format.dtype_to_descr(column.dtype), "fortran_order": False, "shape": shape}
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue()


def check_format(job: Job, journal: Journal) -> None:
    """Raise where the format has no room for the result, or can't be written here, before anything is computed."""
    target = journal.shown
    if target.suffix.lower() != ".npy":
        _open_sink(job, journal).abandon()
    elif len(columns := layout_of(job, target).columns) > 1:
        raise Refused(f"{target}: .npy holds one array, and there are {', '.join(columns)}; .npz holds several")


def _open_sink(job: Job, journal: Journal) -> Sink:
    layout = layout_of(job, journal.shown)
    try:
        return open_sink(journal.result_path, layout.columns, layout.shape, ids=layout.ids, force=True)
    except SinkError as error:  # which names a file that nobody has heard of
        raise SinkError(str(error).replace(str(journal.result_path), str(journal.shown))) from None


def finish(job: Job, journal: Journal, force: bool, check: Callable[[], None]) -> None:
    """Make the complete file, and give it its name if ``check`` finds nothing against it."""
    target = journal.target
    if journal.values_path.exists() or journal.result_path.exists():
        check_absent(target, force, journal.shown)
    if journal.kept is not None:
        journal.record()
        if target.suffix.lower() == ".npy":
            journal.close_files()
            os.replace(journal.values_path, journal.result_path)
        else:
            _write(job, journal, journal.kept)
            journal.close_files()
            journal.values_path.unlink()
    if journal.result_path.exists():
        check()
        if _report_in(journal).exists():
            os.replace(_report_in(journal), journal.report_path)
        if target.is_dir():  # in .zarr
            os.replace(target, journal.folder / "replaced")
        if force and job.on_invalid != "report":  # else it would tell of the result that is replaced
            journal.report_path.unlink(missing_ok=True)
        os.replace(journal.result_path, target)
        entry_to_disk(target.parent)


def _write(job: Job, journal: Journal, kept: Kept) -> None:
    sink = _open_sink(job, journal)
    try:
        for block in layout_of(job, journal.shown).blocks(kept.values):
            sink.write(block)
        sink.finish()
    except BaseException:
        sink.abandon()
        raise


def write_report(journal: Journal, kept: Kept) -> None:
    """The invalid histograms and why, in the file that `finish` puts beside the target."""
    with open(_report_in(journal), "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["row", "id", "side", "reason"])
        table.writerows(kept.told())
        file.flush()
        os.fsync(file.fileno())


def _report_in(journal: Journal) -> Path:
    return journal.folder / "invalid.csv"
