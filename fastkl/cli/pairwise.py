"""`fastkl pairwise`: the divergences of all histograms of a file from all of another."""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from fastkl._check import check_rtol
from fastkl.cli._command import number
from fastkl.cli._matrices import add_matrix_options, naming_files, open_matrices, options_of
from fastkl.cli._options import shows_progress
from fastkl.cli._results import Table, check_target, complete_or_absent, mapped_npy, open_table, suffix_of, texts
from fastkl.pairs import pairwise

_DESCRIPTION = """\
The divergence of each histogram of file X from each one of file Y, or of X: entry i, j of the result is D(x_i||y_j).
Almost all entries come from a product of matrices, by the BLAS; the few that it leaves too few digits, near 0, are
computed one by one.

Files are .npy (any real type and layout, mapped and never loaded whole) or .csv (one histogram a line). An OUT in
.npy is mapped too: it may be larger than memory. Without -o, or in .csv, row i is line i."""

_EXAMPLES = """\
examples:
  fastkl pairwise x.npy y.npy -o d.npy                      KL(x_i||y_j)
  fastkl pairwise topics.csv --divergence js --base 2       topics against each other, in bits, printed
  fastkl pairwise x.npy -o d.npy --divergence renyi --alpha 0.5
  fastkl pairwise x.npy y.npy -o d.npy --rtol 1e-13         every entry to the last digits, as `fastkl kl` gives it

An empty bin of Y where X has counts makes an entry inf; --pseudocount avoids that. OUT appears when it is complete:
after an error or Ctrl-C there is none.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `fastkl.pairwise`, and where the result goes."""
    parser.description, parser.epilog = _DESCRIPTION, _EXAMPLES
    add = parser.add_argument
    rtol = number(float, partial(check_rtol, default=0.0), "a number between 0 and 1")
    add("x", metavar="X", type=Path, help="histograms, .npy or .csv")
    add("y", metavar="Y", type=Path, nargs="?", help="the histograms to compare with (default: X itself)")
    add_matrix_options(parser, ".npy or .csv")
    add("--method", choices=("auto", "blas", "direct"), default="auto", help="how entries are computed (default: auto)")
    add("--rtol", type=rtol, metavar="R", help="the largest relative error (default: 1e-9, 1e-4 of float32)")


def run(args: argparse.Namespace) -> int:
    """Compute the matrix of two files, or of one, and write it."""
    paths = {name: path for name, path in (("x", args.x), ("y", args.y)) if path is not None}
    is_npy = args.output is not None and suffix_of(args.output, (".npy", ".csv")) == ".npy"
    if args.output is not None:
        check_target(args.output, args.force, list(paths.values()))
    shown, options = shows_progress(args), options_of(args, "method", "rtol")
    with open_matrices(paths, shown) as matrices:
        sides = list(matrices.values())
        dtype = naming_files(matrices, partial(pairwise, *(side.none for side in sides), **options)).dtype
        arrays = [side.file.array() for side in sides]
        compute: Any = partial(pairwise, *arrays, progress=shown, **options)
        if not is_npy:
            with open_table(args.output, args.force) as table:
                _write(table, naming_files(matrices, compute))
            return 0
        with complete_or_absent(args.output, args.force) as file:
            out = mapped_npy(file, (sides[0].file.shape[0], sides[-1].file.shape[0]), dtype)
            naming_files(matrices, partial(compute, out=out))
            del out  # which writes the map to the file
    return 0


def _write(table: Table, matrix: Any) -> None:
    for row in matrix:
        table.write(texts(row))
