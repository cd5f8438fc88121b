"""The options that commands share, under the names that they have in the functions."""

import argparse
import sys
from pathlib import Path

from fastkl import _check
from fastkl._products import ORDERED
from fastkl._zero_policies import ZERO_POLICIES
from fastkl.batch._plan import memory_of
from fastkl.cli._command import UsageError, number

BASE = number(float, _check.check_base, "a positive number other than 1")
THREADS = number(int, _check.check_threads, "a whole number >= 1")
PSEUDOCOUNT = number(float, _check.check_pseudocount, "a finite number >= 0")
_TOOLS = ", ".join(ZERO_POLICIES)
_PSEUDOCOUNT_OR_TOOL = number(
    float, _check.check_pseudocount, f"a finite number >= 0 or one of {_TOOLS}", ZERO_POLICIES
)
ORDER = number(float, lambda value: _check.check_order(value, may_be_infinite=True), "a number")
_MEMORY = number(str, memory_of, "a size like 512MiB or 2GB")

FILES = """\
Files of histograms are .npy (any real type and layout, mapped), .csv (a histogram a line; a first line without any
number, or with --header, is a header), .npz, .zarr, .h5, .parquet, .arrow and .feather; where one holds several arrays
or columns, its name follows after a colon: run.h5:/day/p, days.parquet:histogram. Of a table with a column for each bin
all columns are bins but that of --ids and the index of a frame of pandas. Rows are paired by place; ids are carried,
not compared."""
RUNS = """\
Files are read block by block, within --memory. OUT appears when it is complete. What a run that was ended (Ctrl-C, a
kill, a full disk) had done is kept beside it, in .OUT.fastkl; the same command with --resume goes on from there, to the
same file bit for bit, and begins at the beginning where nothing was kept. With --force alone it is discarded. A run
with --resume that is complete leaves a note, .OUT.fastkl.json: the same command again does nothing then."""


def add_divergence_options(parser: argparse.ArgumentParser, generalised: str, takes_tools: bool = False) -> None:
    """What the functions take; ``generalised`` is the help of --no-normalize.

    ``takes_tools`` says that they take the names of tools as pseudo-counts.
    """
    add = parser.add_argument
    add("--base", type=BASE, metavar="B", help="base of the logarithm; 2: bits (default: e)")
    add("--no-normalize", dest="normalize", action="store_false", help=generalised)
    kind, added = PSEUDOCOUNT, "added to every bin (default: 0)"
    if takes_tools:
        kind, added = _PSEUDOCOUNT_OR_TOOL, f"{added}; {_TOOLS}: what this tool does with empty bins"
    add("--pseudocount", type=kind, default=0.0, metavar="C", help=added)
    add("--dtype", choices=("float64", "float32"), help="of the result (default: float32 if the inputs are)")


def add_run_options(parser: argparse.ArgumentParser, formats: str) -> None:
    """Where results go, what is done about bad histograms, and how the run goes."""
    add = parser.add_argument
    add("-o", "--output", metavar="OUT", type=Path, help=f"write to this file, {formats} (default: print)")
    add("--force", action="store_true", help="replace OUT if it exists, and discard an unfinished run to it")
    add("--resume", action="store_true", help="go on with an unfinished run to OUT")
    add(
        "--on-invalid",
        choices=("raise", "nan", "report"),
        default="raise",
        help="error (default), nan, or nan and a line with the reason in OUT.invalid.csv",
    )
    add("--ids", metavar="NAME", help="the column or array that names the rows; OUT gets it too")
    add(
        "--header",
        action=argparse.BooleanOptionalAction,
        help="whether .csv files begin with a line of names (default: if that line has no number in it)",
    )
    add("--memory", type=_MEMORY, default="1GiB", metavar="SIZE", help="the most memory to use (default: 1GiB)")
    add("--threads", type=THREADS, metavar="N", help="the most threads to use (default: all CPUs)")
    add("--json", action="store_true", help="print a summary: rows, seconds, gb_per_s, invalid_rows, out ...")
    add("--progress", action="store_true", help="a line every few seconds where there is no terminal for a bar")
    add("--quiet", action="store_true", help="no progress bar")


def shows_progress(args: argparse.Namespace) -> bool:
    """Whether a bar is welcome. Lines printed to a terminal are progress enough, and it would run through them."""
    if args.quiet or (args.output is None and sys.stdout.isatty()):
        return False
    return args.progress or sys.stderr.isatty()


def check_has_order(args: argparse.Namespace) -> None:
    """Raise unless there is an order where the divergence has one, and only there."""
    if (args.divergence in ORDERED) != (args.alpha is not None):
        names = " and ".join(f"--divergence {name}" for name in ORDERED)
        raise UsageError(f"--alpha is the order of {names}, which need one")
