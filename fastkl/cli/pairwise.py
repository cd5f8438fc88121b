"""`fastkl pairwise`: the divergences of all histograms of a file from all of another."""

import argparse
from functools import partial
from pathlib import Path

from fastkl._check import check_rtol
from fastkl.cli._command import number
from fastkl.cli._matrices import add_matrix_options, options_of
from fastkl.cli._options import FILES, RUNS
from fastkl.cli._runs import compute

_DESCRIPTION = f"""\
The divergence of each histogram of file X from each one of file Y, or of X: entry i, j of the result is D(x_i||y_j).
Almost all entries come from a product of matrices, by the BLAS; the few that it leaves too few digits, near 0, are
computed one by one.

{FILES}
The result may be larger than memory. Without -o, or in .csv, row i is line i.

{RUNS}"""

_EXAMPLES = """\
examples:
  fastkl pairwise x.npy y.npy -o d.npy                      KL(x_i||y_j)
  fastkl pairwise topics.csv --divergence js --base 2       topics against each other, in bits, printed
  fastkl pairwise x.npy -o d.npy --divergence renyi --alpha 0.5
  fastkl pairwise x.npy y.npy -o d.npy --rtol 1e-13         every entry to the last digits, as `fastkl kl` gives it

An empty bin of Y where X has counts makes an entry inf; --pseudocount avoids that. Where Y has no room in --memory it
is read anew for each block of X.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `fastkl.pairwise`, and where the result goes."""
    parser.description, parser.epilog = _DESCRIPTION, _EXAMPLES
    add = parser.add_argument
    rtol = number(float, partial(check_rtol, default=0.0), "a number between 0 and 1")
    add("x", metavar="X", type=Path, help="histograms")
    add("y", metavar="Y", type=Path, nargs="?", help="the histograms to compare with (default: X itself)")
    add_matrix_options(parser, "in any of those formats")
    add("--method", choices=("auto", "blas", "direct"), default="auto", help="how entries are computed (default: auto)")
    add("--rtol", type=rtol, metavar="R", help="the largest relative error (default: 1e-9, 1e-4 of float32)")


def run(args: argparse.Namespace) -> int:
    """Compute the matrix of two files, or of one, and write it."""
    return compute(args, "pairwise", args.x, args.y, **options_of(args, "method", "rtol"))
