"""The loop of a run: blocks of rows are computed and noted until all are there, then the file gets its name."""

import contextlib
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, NoReturn

from fastkl._check import check_flag
from fastkl.batch._beside import NAMES
from fastkl.batch._errors import Interrupted, InvalidHistogram, is_full
from fastkl.batch._facts import Identities, check_stamps, facts_of, stamps_of
from fastkl.batch._finish import check_absent, check_format, check_place, finish, npy_header, write_report
from fastkl.batch._finished import finished_run, is_noted, leave_note, remove_note
from fastkl.batch._job import Job
from fastkl.batch._journal import Journal, folder_of, report_of
from fastkl.batch._layout import row_type
from fastkl.batch._open import open_job
from fastkl.batch._protocols import SourceError
from fastkl.batch._report import Progressed, Summary, Watch


class _Changed(SourceError):
    """What was computed is of no known input."""


def run(
    kind: str,
    p: Any,
    q: Any,
    out: str | Path,
    *,
    memory: int | str = "1GiB",
    resume: bool = False,
    force: bool = False,
    on_invalid: Literal["raise", "nan", "report"] = "raise",
    ids: Any = None,
    header: bool | None = None,
    threads: int | None = None,
    progress: bool = False,
    on_progress: Callable[[Progressed], Any] | None = None,
    **options: Any,
) -> Summary:
    """Compute divergences or fits of histograms in files, and write them to a file that is complete or absent.

    Rows are computed in blocks, while others are read. The results have the bits of the functions, whatever
    the blocks and the memory; only of ``pairwise`` in single precision the last bits depend on the rows that are
    computed together, of which there are fixed numbers.

    Parameters
    ----------
    kind : str
        "kl", "js", "js_distance", "jeffreys", "renyi", "alpha" and "cross_entropy": row i of p against row i of q, or
        one histogram against all of the other. "pairwise" and "nearest": all rows of p against all of q. "fit": fits
        to p; q is None.
    p, q : path or array_like
        Histograms as rows. A file of several arrays is followed by ":" and a name: "run.h5:/day/p". For "pairwise"
        None as q stands for p itself.
    out : path
        The result, in the format of its suffix. In tables (.csv, .parquet, .arrow, .feather) a fit has a row for each
        objective, histogram and minimum. .npy holds one array: a divergence of rows, or a matrix.
    memory : int or str
        The most memory to use beside the interpreter with its imports: bytes, or "512MiB", "2GB". Runs need 130 MiB at
        least, "pairwise", "nearest" and "fit" some 330, and three rows of each file. Where q has no room in it,
        "pairwise" and "nearest" read q anew for each block of p.
    resume : bool
        Go on with an unfinished run to ``out``; begin at the beginning where there is none. The version of fastkl,
        the kind, the options and the files (their size and time of change) must be the same; ``memory`` and
        ``threads`` may differ, and ``on_invalid`` may be another one where it was "raise". The result is the same to
        the bit as that of an uninterrupted run. Of arrays in memory 1024 rows are compared. A run that finishes leaves
        a note, ``.OUT.fastkl.json``; the same call again then changes nothing, and says so (``was_finished``).
    force : bool
        Replace ``out``. Without ``resume`` an unfinished run is discarded.
    on_invalid : {"raise", "nan", "report"}
        As in the functions; "report" gives NaN and writes OUT.invalid.csv with the row, its id, the side and the
        reason of each invalid histogram.
    ids : str or array_like, optional
        The column or array in the file that names its rows, or the names. They become a column of ``out``. Beside a
        column of lists the only other one is taken, if it has integers, text, dates or times.
    header : bool, optional
        Whether p and q in .csv begin with a line of names. By default they do if that line has no number in it.
    threads : int, optional
        As in the functions. One more reads what is unpacked.
    progress : bool
        A bar on stderr if that is a terminal, else a line every few seconds.
    on_progress : callable, optional
        Called with a `Progressed` after each block.
    **options
        Those of the function: base, normalize, pseudocount, weights, axis, alpha, dtype; divergence, method, rtol; k;
        edges, points, family, grid, objective ("both" too), minima, refine, fixed. weights, edges and points are
        arrays or files.

    Returns
    -------
    Summary
        Rows, seconds, bytes read, GB/s, invalid rows, and where the result is.

    Raises
    ------
    Refused
        A file or an unfinished run is in the way, another run to ``out`` is under way, what is to be resumed is
        something else, or the memory is too little. Nothing was computed.
    InvalidHistogram, formats' SourceError : ValueError
        A row is no histogram, or a file can't be read or has changed. The message names file and row.
    OSError
        The disk is full, say.
    Interrupted : KeyboardInterrupt
        Ctrl-C. After this and the two before, what was done is kept in the folder ``.OUT.fastkl`` beside ``out``, if
        it was more than a second's work; if it was not, Ctrl-C raises KeyboardInterrupt itself.

    Notes
    -----
    .npy, .csv and uncompressed .npz are mapped. If another program cuts away the part that is being read, the system
    ends the process, as with every memory map; what was done can't be resumed then, as the input is another. A file
    that changes in other ways meanwhile is noticed, and nothing is made of it.

    What is done is on disk a second after it was computed, block by block, and slow blocks are made so small that they
    take about a second: a run that is killed loses no more than two. Blocks take longer only where a single row does,
    where q has no room in the memory, in all pairs in single precision, whose bits depend on the block, and where rows
    that are computed with care, hundreds of nanoseconds a bin, follow others: that first block takes some ten.

    The memory is kept whatever the layout of a file. Rows that lie across one are read in pieces. What is stored in
    pieces that there is no room for (chunks, the columns of a row group) is unpacked to a temporary file, one after
    another; where one alone has no room the run is refused, with the memory that it needs. Arrays that are passed are
    not counted.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> import fastkl.batch
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/days.npy", [[1, 2, 1], [1, 1, 2], [0, 0, 0]])
    ...     summary = fastkl.batch.run(
    ...         "kl", f"{folder}/days.npy", [1, 1, 2], f"{folder}/kl.npy", base=2, on_invalid="report"
    ...     )
    ...     print(np.load(f"{folder}/kl.npy"), summary.rows, summary.invalid_rows)
    [0.25 0.    nan] 3 1
    """
    if not isinstance(out, str | os.PathLike):
        raise TypeError(f"out is {out!r}; it must be the path of a file")
    for name, flag in (("force", force), ("resume", resume), ("progress", progress)):
        check_flag(name, flag)
    target = Path(out)
    beside = [options.get(name) for name in NAMES]
    report = report_of(target) if on_invalid == "report" else None
    is_again = resume and not force
    check_place(target, force, [p, q, *beside], report, is_again)
    found = stamps_of([p, q])
    with ExitStack() as files:
        opening: dict[str, Any] = {"memory": memory, "on_invalid": on_invalid, "ids": ids}
        opening |= {"header": header, "show_progress": progress}
        job = open_job(kind, p, q, files, options={**options, "threads": threads}, **opening)
        identities = job.identities()
        check_stamps(found, identities)
        facts = facts_of(kind, job, identities, {**job.options, "on_invalid": on_invalid})
        about: dict[str, Any] = {"kind": kind, "rows": job.rows, "out": str(target)}
        about["invalid_out"] = None if report is None else str(report)
        if is_again and is_noted(target) and not folder_of(target).exists():
            return Summary.of_finished(about, finished_run(target, facts, report).invalid_rows)
        journal = files.enter_context(Journal(target, facts, job.rows, resume=resume, force=force))
        if is_again and not journal.done and is_noted(target):
            # Finished by another process meanwhile, or by one that was killed before it had removed its state.
            try:
                return Summary.of_finished(about, finished_run(target, facts, report).invalid_rows)
            finally:
                journal.remove()
        row_bytes = job.kind.need.row
        try:
            with Watch(f"fastkl {kind}", job.rows, journal.done, row_bytes, progress, on_progress) as watch:
                _complete(job, journal, force, watch, identities)
                leave_note(journal) if resume else remove_note(journal.target)
                journal.remove()
        except BaseException as error:
            _stop(journal, error)
        seconds, read = watch.seconds, (job.rows - journal.resumed_from) * row_bytes
        return Summary(
            **about,
            invalid_rows=journal.invalid_rows,
            seconds=seconds,
            bytes_read=read,
            gb_per_s=read / max(seconds, 1e-9) / 1e9,
            resumed_from=journal.resumed_from or None,
        )


def _complete(job: Job, journal: Journal, force: bool, watch: Watch, identities: Identities) -> None:
    """Compute what is not done, and make the file, of files that stay what they were."""
    if journal.has_values:
        check_absent(journal.target, force, journal.shown)
        if job.on_invalid == "report":  # this run's own is not there before its values are in a file
            check_absent(journal.report_path, force)
        check_format(job, journal)
        kept = journal.open_kept(npy_header(job, journal.target), row_type(job.kind.columns).itemsize)
        _compute(job, journal, watch)
        _check_unchanged(job, identities)
        if job.on_invalid == "report":
            write_report(journal, kept)
    # Once more: ids are read while the file is made.
    finish(job, journal, force, lambda: _check_unchanged(job, identities))


def _compute(job: Job, journal: Journal, watch: Watch) -> None:
    if not journal.done:
        job.check_rest(journal.tell if job.on_invalid == "report" else None)
    for block in job.blocks(journal.done):
        journal.add(block, job.id_of)
        watch.tell(block.stop, block.stop - block.start)


def _check_unchanged(job: Job, identities: Identities) -> None:
    for name, identity in job.identities().items():
        if identity != identities[name]:
            raise _Changed(f"{job.sources[name].name} was changed while it was read; nothing is kept")


def _stop(journal: Journal, error: BaseException) -> NoReturn:
    """Keep what is done if it is worth that, and say so in the error."""
    if journal.recorded == 0 or isinstance(error, _Changed):
        with contextlib.suppress(OSError):  # of a folder that somebody has removed
            journal.remove()
        raise error
    with contextlib.suppress(OSError):  # of a disk that is full, too: what was recorded before is there
        journal.record()
    kept = f"{journal.recorded:,} of {journal.rows:,} rows are done and kept: resume=True continues"
    if isinstance(error, KeyboardInterrupt):
        raise Interrupted(f"interrupted; {kept}") from None
    if isinstance(error, OSError) and is_full(error):
        raise OSError(error.errno, f"no room for {journal.shown}: {error.strerror}; {kept}") from error
    if isinstance(error, InvalidHistogram | SourceError):
        raise type(error)(f"{error}; {kept}") from error
    raise error
