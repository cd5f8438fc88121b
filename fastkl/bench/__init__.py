"""``fastkl bench``: this machine's read floor, fastkl and whatever else is installed, timed in turn, in one table.

::

    jobs      the table of what is measured        contestant   who can do a job, or says why not
    measure   runs a job, memory in a new process  floor    the least possible time
    rounds    times calls in turn                  case     the question and the true answer
    report    prints what was measured             machine  where it was measured
    data      seeded arrays, only ever added to    html     the page that shows the figures
    guard     compares jobs with what was stored   check    measures them for that
    verdict   what measurements say, how sure      files    p and q in files too
    trials    what is no matter of time            peak, kills   its processes
    scaling   jobs over threads and sizes          knees    why their curves bend

The contestants: ``peers`` and ``numkong_rows`` of rows, ``divergences``, ``logits``, ``sparse_rows``; ``pairs`` with
``pairs_peers`` and ``nearest_peers``; ``fits`` with ``fits_peers`` and ``tables``; ``volume``, with ``lazy_rows`` for
arrays of dask. ``loops`` are what Numba compiles for them, ``frameworks`` hand jobs to torch and JAX.
"""

import argparse
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastkl.bench.job import Job

__all__ = ["add_arguments", "run"]

_DESCRIPTION = """\
Times fastkl, NumPy, SciPy, loops compiled by Numba and, where they are installed, numexpr, torch, JAX, NumKong,
scikit-learn and dask on one job after another, beside the least time there can be: that of reading the arrays, for all
pairs that of a product of matrices. The contestants of a job run in turn, many times.

Lines that begin with -> have a target: "at least" and "at most" are bounds that the developers of fastkl hold it to on
their machine, "aim" is where they want to get. MISSED says that a bound was not kept here, which on another machine
is no fault of yours; the exit status is 0 all the same.

--check asks another thing: have jobs become slower than what was stored for this machine, by more than --margin? It
times them and the floor, or the product, in turn; tells the interval that holds the slowdown with a probability of
99 %; measures again what looks slower; and has the exit status 1 only if that says so again. On a machine that
nothing is stored for it passes. It takes a tenth of the data and one thread, --quick half the time."""

_EXAMPLES = """\
examples:
  fastkl bench --quick                       a first look, in two minutes
  fastkl bench --jobs 'float64*'             the jobs whose names begin so
  fastkl bench --suite pairs                 all pairs and nearest rows, beside the bare product of matrices
  fastkl bench --suite scaling               over threads and sizes: where caches end, threads join and memory rules
  fastkl bench --json here.json              all jobs, the figures kept, after each job those so far
  fastkl bench --readme here.json            the table in README.md from such figures
  fastkl bench --html page                   all jobs, and a page of tables and charts, to open in a browser
  fastkl bench --html page --from a.json b.json   that page from such figures
  fastkl bench --check                       the jobs of all suites, compared with what is stored for this machine
  fastkl bench --check --update              store how fast they are
  fastkl bench --check --update --expected before.json   so do two builds compare: store with the one,
  fastkl bench --check --expected before.json            check with the other, on the same machine

The jobs hold up to 6 GB of arrays at a time, those of volume 8 GB and as much in files of the temporary folder (fewer
rows where there is no room); --scale 0.1 needs a tenth of that.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to measure, how thoroughly, and where the figures go."""
    from fastkl._check import check_threads
    from fastkl.cli._command import number

    parser.description, parser.epilog = _DESCRIPTION, _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    positive, count = number(float, _check_positive, "above zero"), number(int, check_threads, "a whole number >= 1")
    add(
        "--suite",
        help="rows (default, of --check: all); divergences: others than KL, logits, sparse rows; "
        "pairs: all pairs, nearest rows; fits; volume: files, dask, memory, runs that are killed; "
        "scaling: over threads, sizes, lengths and numbers of rows",
    )
    add("--jobs", default="*", metavar="PATTERN", help="only jobs whose names match")
    add("--quick", action="store_true", help="a quarter of the data and of the time")
    add("--scale", type=positive, metavar="X", help="this part of each job's data (default: 1)")
    add("--seconds", type=positive, metavar="S", help="for each contestant of each job (default: 1.5)")
    add("--threads", type=count, metavar="N", help="the most threads to use (default: all CPUs)")
    add("--large", action="store_true", help="follow the growth of batches, and sizes, to 10^9 bins, which takes 12 GB")
    add("--json", type=Path, metavar="FILE", help="also write the figures to FILE")
    add("--html", type=Path, metavar="DIR", help="also make a page of the figures, a folder with an index.html")
    add(
        "--from",
        type=Path,
        nargs="+",
        metavar="FILE",
        dest="figures",
        help="measure nothing: the page of these figures",
    )
    add("--force", action="store_true", help="replace FILE, or the page in DIR, if it exists")
    add("--check", action="store_true", help="exit with status 1 if jobs are slower than what is stored")
    add("--update", action="store_true", help="with --check: store how fast they are, for this machine")
    add("--expected", type=Path, metavar="FILE", help="with --check: what is stored (default: fastkl's own)")
    add("--margin", type=positive, metavar="X", help="with --check: slower by this part is no matter (default: 0.15)")
    add("--readme", type=Path, metavar="FILE", help="measure nothing: put the figures of FILE into ./README.md")


def run(args: argparse.Namespace) -> int:
    """Measure and print, or bring the README up to date."""
    if args.readme:
        _update_readme(args.readme, Path("README.md"))
        return 0
    if args.figures:
        _make_page(args)
        return 0
    if args.check or args.update or args.expected or args.margin:
        from fastkl.bench import guard
        from fastkl.bench.jobs import SUITES

        return guard.command(_chosen([args.suite] if args.suite else list(SUITES), args.jobs), args)
    from fastkl._threads import available_cpus
    from fastkl.bench import html, report
    from fastkl.bench.machine import describe
    from fastkl.bench.measure import Settings, measure
    from fastkl.cli._results import check_target

    jobs = _chosen([args.suite or "rows"], args.jobs)
    if args.json:
        check_target(args.json, args.force)
    if args.html:
        html.check_folder(args.html, args.force)
    scale, seconds = (0.25, 0.35) if args.quick else (1.0, 1.5)
    settings = Settings(args.scale or scale, args.seconds or seconds, args.threads or available_cpus(), args.large)
    session: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe({peer.package for job in jobs for peer in job.peers if peer.package}),
        "scale": settings.scale,
        "seconds": settings.seconds,
        "threads": settings.threads,
        "jobs": [],
    }
    print(report.heading(session), flush=True)
    for job in jobs:
        result = measure(job, settings).as_dict()
        session["jobs"].append(result)
        print(f"\n{report.text_of(result)}", flush=True)
        force = args.force or len(session["jobs"]) > 1  # else ours, written after the job before
        if args.json:
            _write(args.json, json.dumps(session, indent=1, allow_nan=False), force)
        if args.html:
            html.write_page([session], args.html, force)
    if missed := report.missed(session["jobs"]):
        print("\ntargets of the project that were missed:", *missed, sep="\n  ")
    return 0


def _chosen(suites: "Sequence[str]", pattern: str) -> "Sequence[Job]":
    from fastkl.bench.jobs import SUITES
    from fastkl.cli._command import UsageError

    if unknown := [suite for suite in suites if suite not in SUITES]:
        raise UsageError(f"there is no suite {unknown[0]}, only {', '.join(SUITES)}")
    known = [job for suite in suites for job in SUITES[suite]]
    jobs = [job for job in known if fnmatch(job.name, pattern)]
    if not jobs:
        raise UsageError(f"no job is called {pattern}; there are {', '.join(job.name for job in known)}")
    return jobs


def _make_page(args: argparse.Namespace) -> None:
    from fastkl.bench import html
    from fastkl.cli._command import UsageError

    if not args.html:
        raise UsageError("--from needs --html DIR, where the page goes")
    sessions = [session for path in args.figures for session in html.read_sessions(path)]
    html.write_page(sessions, args.html, args.force)
    print(args.html / "index.html")


def _update_readme(figures: Path, readme: Path) -> None:
    from fastkl.bench.report import with_table

    table = _table_of(figures)
    _write(readme, with_table(readme.read_text(), table), force=True)
    print(table)


def _table_of(figures: Path) -> str:
    from fastkl.bench.report import markdown_of
    from fastkl.cli._command import CommandError

    try:
        return markdown_of(json.loads(figures.read_text()))
    except json.JSONDecodeError as error:
        raise CommandError(f"{figures} is no JSON: {error}") from None
    except ValueError as error:
        raise CommandError(f"{figures}: {error}") from None
    except (LookupError, TypeError, AttributeError):  # other keys, other types
        raise CommandError(f"{figures} does not hold what `fastkl bench --json` writes") from None


def _write(path: Path, text: str, force: bool) -> None:
    from fastkl.cli._results import complete_or_absent

    with complete_or_absent(path, force) as file:
        file.write(text.encode())


def _check_positive(value: float) -> None:
    if not value > 0:
        raise ValueError
