"""`fastkl nearest`: for each histogram of a file the nearest ones of another."""

import argparse
from pathlib import Path

from fastkl.cli._command import number
from fastkl.cli._matrices import add_matrix_options, options_of
from fastkl.cli._options import FILES, RUNS
from fastkl.cli._runs import compute

_DESCRIPTION = f"""\
For each histogram of file X the K histograms of file Y of the smallest divergence D(x_i||y_j), nearest first, exactly:
what a sort of the whole matrix would give, which is never held.

{FILES}
OUT has two arrays, `indices` and `divergences`, each with a row for each row of X. Without -o, or in .csv, each line is
the row of X, then the index and the divergence of the nearest, of the second nearest, and so on; the first line names
them: row,index_1,divergence_1,index_2,divergence_2 ...

{RUNS}"""

_EXAMPLES = """\
examples:
  fastkl nearest queries.npy base.npy -k 10 -o found.npz
  fastkl nearest days.csv months.csv --divergence js        the nearest month of each day, printed
  fastkl nearest x.npy x.npy -k 2 -o found.npz              the second nearest: the nearest is the row itself
  python -c "import numpy; print(numpy.load('found.npz')['indices'])"

Rows count from 0. Of equal divergences the smaller index comes first. With --on-invalid nan invalid histograms of Y
are nobody's neighbours; where there are none the index is -1 and the divergence nan.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `fastkl.nearest`, and where the result goes."""
    parser.description, parser.epilog = _DESCRIPTION, _EXAMPLES
    add = parser.add_argument
    add("x", metavar="X", type=Path, help="histograms")
    add("y", metavar="Y", type=Path, help="the histograms among which to look")
    add("-k", type=number(int, _check_positive, "a whole number >= 1"), default=1, help="how many to find (default: 1)")
    add_matrix_options(parser, "in any of those formats but .npy, which holds one array")


def run(args: argparse.Namespace) -> int:
    """Find the nearest histograms and write them."""
    return compute(args, "nearest", args.x, args.y, k=args.k, **options_of(args))


def _check_positive(value: int) -> None:
    if value < 1:
        raise ValueError
