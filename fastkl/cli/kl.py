"""`fastkl kl`: the divergences between the histograms of two files, in bounded memory."""

import argparse
import math
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl._progress import Progress
from fastkl.cli._command import CommandError
from fastkl.cli._options import add_divergence_options, add_output_options, shows_progress
from fastkl.cli._pairs import Index, Pairs, check_file_labels
from fastkl.cli._results import Results, open_results
from fastkl.cli._sources import check_format, open_numbers
from fastkl.rowwise import kl_divergence

# Input read together: enough work to keep all threads busy for milliseconds, little enough for any machine.
BLOCK_BYTES = 64 << 20

_DESCRIPTION = """\
The Kullback-Leibler divergence KL(P||Q) of each histogram of file P from that of file Q: row against row, or,
where one of the files holds a single histogram, that one against all of the other.

Files are .npy (any real type and layout, mapped and never loaded whole) or .csv (one histogram a line, numbers
with commas between them; a first line without any number is a header, whose names must be the same in both files,
and one with numbers is a histogram). Without -o the divergences are printed, one a line."""

_EXAMPLES = """\
examples:
  fastkl kl p.npy q.npy -o kl.npy                 row i of p.npy against row i of q.npy
  fastkl kl days.csv reference.csv --base 2       every line of days.csv against the one of reference.csv, in bits
  fastkl kl p.npy q.npy | sort -g | tail -3       the three largest
  fastkl kl p.npy q.npy --pseudocount 0.5 --on-invalid nan -o kl.csv

Histograms are scaled to sum to one. An empty bin of Q where P has counts makes the divergence inf;
--pseudocount avoids that. A negative, NaN or infinite bin, or a histogram whose bins are all zero, is an error
that names the row, unless --on-invalid nan. Rows count from 0. OUT appears when it is complete: after an error
or Ctrl-C there is none. Arrays of more dimensions keep their shape in .npy, and are lines in C order elsewhere.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `fastkl.kl_divergence`, and where the result goes."""
    parser.description, parser.epilog = _DESCRIPTION, _EXAMPLES
    add = parser.add_argument
    add("p", metavar="P", type=Path, help="the histograms P, .npy or .csv")
    add("q", metavar="Q", type=Path, help="the histograms Q, as many, or one")
    add_output_options(parser, ".npy or .csv")
    add("--axis", type=int, default=-1, metavar="N", help="the axis of the bins (default: -1, the last)")
    add_divergence_options(parser, "generalised: sum p log(p/q) - p + q")
    add("--weights", type=Path, metavar="FILE", help="one weight for each bin, .npy or .csv: bin widths, say")


def run(args: argparse.Namespace) -> int:
    """Compute the divergences of two files and write them."""
    inputs = [path for path in (args.p, args.q, args.weights) if path is not None]
    for path in inputs:
        check_format(path)
    shown = shows_progress(args)
    with ExitStack() as files:
        results = files.enter_context(open_results(args.output, force=args.force, inputs=inputs))
        p, q = (files.enter_context(open_numbers(path, shown)) for path in (args.p, args.q))
        pairs = Pairs(p, q, args.axis)
        _compute(pairs, _divergence(args, pairs), args.on_invalid, results, shown)
    return 0


def _divergence(args: argparse.Namespace, pairs: Pairs) -> Callable[..., Any]:
    return partial(
        kl_divergence,
        base=args.base,
        normalize=args.normalize,
        weights=_weights(args.weights, pairs),
        pseudocount=args.pseudocount,
        dtype=args.dtype,
        threads=args.threads,
    )


def _weights(path: Path | None, pairs: Pairs) -> npt.NDArray[Any] | None:
    if path is None:
        return None
    with open_numbers(path) as file:
        if max(file.shape) != np.prod(file.shape):
            raise CommandError(f"{path} has shape {file.shape}; weights are one row, a number for each bin")
        p, q = pairs.p, pairs.q
        if (count := math.prod(file.shape)) != p.bins:
            raise CommandError(f"{path} has {count} weight{'s' * (count != 1)}, {p.file.path} has {p.bins} bins")
        for side in (p, q):
            check_file_labels("bin", side.file.path, side.bin_labels, path, file.labels)
        return np.array(file.array()).ravel()


def _compute(pairs: Pairs, divergence: Callable[..., Any], on_invalid: str, results: Results, shown: bool) -> None:
    started = time.monotonic()
    dtype = divergence(pairs.p.none, pairs.q.none).dtype
    results.begin(pairs.batch, dtype)
    done = invalid = 0
    with Progress("fastkl kl", pairs.count, shown) as progress:
        for index in pairs.blocks(BLOCK_BYTES):
            values = np.atleast_1d(divergence(pairs.p.at(index), pairs.q.at(index), on_invalid="nan"))
            is_nan = np.isnan(values)
            if is_nan.any():
                if on_invalid == "raise":
                    _raise_for_pair(pairs, done + int(np.argmax(is_nan)), divergence)
                invalid += int(np.count_nonzero(is_nan))
            results.write(values)
            done += values.size
            progress.advance(values.size)
    if shown:
        seconds = time.monotonic() - started
        bad = f", {invalid:,} of invalid histograms (nan)" if invalid else ""
        speed = f"{seconds:.1f} s, {done * pairs.bytes_each / max(seconds, 1e-9) / 1e9:.1f} GB/s"
        print(f"{done:,} divergences{bad} in {speed}", file=sys.stderr)


def _raise_for_pair(pairs: Pairs, position: int, divergence: Callable[..., Any]) -> None:
    """Let the function itself say what is wrong with a pair, and tell where in which file that is."""
    where = tuple(int(i) for i in np.unravel_index(position, pairs.batch or (1,)))
    index: Index = where
    try:
        divergence(pairs.p.at(index), pairs.q.at(index), on_invalid="raise")
    except ValueError as error:
        name, _, reason = str(error).partition(" ")
        side = {"p": pairs.p, "q": pairs.q}.get(name)
        message = f"{side.place(where)} {reason}" if side else f"pair {where[0]}: {error}"
        raise CommandError(f"{message} (--on-invalid nan goes on)") from None
