"""The options that commands share, under the names that they have in the functions."""

import argparse
import sys
from pathlib import Path

from fastkl import _check
from fastkl.cli._command import number

BASE = number(float, _check.check_base, "a positive number other than 1")
THREADS = number(int, _check.check_threads, "a whole number >= 1")
PSEUDOCOUNT = number(float, _check.check_pseudocount, "a finite number >= 0")


def add_divergence_options(parser: argparse.ArgumentParser, generalised: str) -> None:
    """What the functions take; ``generalised`` is the help of --no-normalize."""
    add = parser.add_argument
    add("--base", type=BASE, metavar="B", help="base of the logarithm; 2: bits (default: e)")
    add("--no-normalize", dest="normalize", action="store_false", help=generalised)
    add("--pseudocount", type=PSEUDOCOUNT, default=0.0, metavar="C", help="added to every bin (default: 0)")
    add("--on-invalid", choices=("raise", "nan"), default="raise", help="error (default) or nan")
    add("--dtype", choices=("float64", "float32"), help="of the result (default: float32 if the inputs are)")
    add("--threads", type=THREADS, metavar="N", help="the most threads to use (default: all CPUs)")


def add_output_options(parser: argparse.ArgumentParser, formats: str) -> None:
    """Where results go, and what is shown meanwhile."""
    add = parser.add_argument
    add("-o", "--output", metavar="OUT", type=Path, help=f"write to this {formats} file (default: print)")
    add("--force", action="store_true", help="replace OUT if it exists")
    add("--quiet", action="store_true", help="no progress bar")


def shows_progress(args: argparse.Namespace) -> bool:
    """Whether a bar is welcome. Lines printed to a terminal are progress enough, and it would run through them."""
    return sys.stderr.isatty() and not args.quiet and not (args.output is None and sys.stdout.isatty())
