"""`fastkl nearest`: for each histogram of a file the nearest ones of another."""

import argparse
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from fastkl.cli._command import CommandError, number
from fastkl.cli._matrices import add_matrix_options, naming_files, open_matrices, options_of
from fastkl.cli._options import shows_progress
from fastkl.cli._results import check_target, complete_or_absent, open_table, suffix_of, texts
from fastkl.pairs import nearest

_DESCRIPTION = """\
For each histogram of file X the K histograms of file Y of the smallest divergence D(x_i||y_j), nearest first, exactly:
what a sort of the whole matrix would give, which is never held.

Files are .npy (any real type and layout, mapped and never loaded whole) or .csv (one histogram a line). An OUT in
.npz holds two arrays, `indices` and `divergences`, each with a row for each row of X. Without -o, or in .csv, each
line is the row of X, then the index and the divergence of the nearest, of the second nearest, and so on; the first
line names them: row,index_1,divergence_1,index_2,divergence_2 ..."""

_EXAMPLES = """\
examples:
  fastkl nearest queries.npy base.npy -k 10 -o found.npz
  fastkl nearest days.csv months.csv --divergence js        the nearest month of each day, printed
  fastkl nearest x.npy x.npy -k 2 -o found.npz              the second nearest: the nearest is the row itself
  python -c "import numpy; print(numpy.load('found.npz')['indices'])"

Rows count from 0. Of equal divergences the smaller index comes first. With --on-invalid nan invalid histograms of Y
are nobody's neighbours; where there are none the index is -1 and the divergence nan. OUT appears when it is complete.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `fastkl.nearest`, and where the result goes."""
    parser.description, parser.epilog = _DESCRIPTION, _EXAMPLES
    add = parser.add_argument
    add("x", metavar="X", type=Path, help="histograms, .npy or .csv")
    add("y", metavar="Y", type=Path, help="the histograms among which to look")
    add("-k", type=number(int, _check_positive, "a whole number >= 1"), default=1, help="how many to find (default: 1)")
    add_matrix_options(parser, ".npz or .csv")


def run(args: argparse.Namespace) -> int:
    """Find the nearest histograms and write them."""
    paths = {"x": args.x, "y": args.y}
    is_npz = args.output is not None and suffix_of(args.output, (".npz", ".csv")) == ".npz"
    if args.output is not None:
        check_target(args.output, args.force, list(paths.values()))
    shown, options = shows_progress(args), options_of(args)
    with open_matrices(paths, shown) as matrices:
        count = matrices["y"].file.shape[0]
        if args.k > count:
            raise CommandError(f"{args.y} has {count} histograms, fewer than -k {args.k}")
        x, y = (side.file.array() for side in matrices.values())
        find = partial(nearest, x, y, args.k, progress=shown, **options)
        divergences, indices = naming_files(matrices, find)
    if is_npz:
        with complete_or_absent(args.output, args.force) as file:
            np.savez(file, indices=indices, divergences=divergences)
        return 0
    with open_table(args.output, args.force) as table:
        table.write(["row", *(f"{name}_{n}" for n in range(1, args.k + 1) for name in ("index", "divergence"))])
        for row, (found, distances) in enumerate(zip(indices, divergences, strict=True)):
            table.write([str(row), *chain(*zip(texts(found), texts(distances), strict=True))])
    return 0


def _check_positive(value: int) -> None:
    if value < 1:
        raise ValueError
