"""`fastkl kl`: the divergences between the histograms of two files, in bounded memory."""

import argparse
from pathlib import Path

from fastkl.batch._kinds import ROW_FUNCTIONS
from fastkl.cli._options import FILES, ORDER, RUNS, add_divergence_options, add_run_options, check_has_order
from fastkl.cli._runs import check_format, compute

_DESCRIPTION = f"""\
The Kullback-Leibler divergence KL(P||Q), or another one (--divergence), of each histogram of file P from that of file
Q: row against row, or, where one of the files holds a single histogram, that one against all of the other.

{FILES}
Names of bins must be the same in both files. Without -o the divergences are printed, one a line; a .csv file begins
with a line of names if there are ids.

{RUNS}"""

_EXAMPLES = """\
examples:
  fastkl kl p.npy q.npy -o kl.npy                 row i of p.npy against row i of q.npy
  fastkl kl days.csv reference.csv --base 2       every line of days.csv against the one of reference.csv, in bits
  fastkl kl p.npy q.npy | sort -g | tail -3       the three largest
  fastkl kl p.npy q.npy --pseudocount 0.5 --on-invalid nan -o kl.csv
  fastkl kl p.npy q.npy --divergence js --base 2 -o js.npy
  fastkl kl p.npy q.npy --divergence jeffreys --pseudocount evidently
  fastkl kl p.npy q.npy --divergence renyi --alpha 0.5
  fastkl kl days.parquet q.npy --ids day -o kl.parquet --on-invalid report
  fastkl kl p.zarr q.zarr -o kl.npy --memory 512MiB --resume

Histograms are scaled to sum to one. An empty bin of Q where P has counts makes the divergence inf;
--pseudocount avoids that. A negative, NaN or infinite bin, or a histogram whose bins are all zero, is an error
that names the row, unless --on-invalid nan or report. Rows count from 0. Arrays of more dimensions keep their shape in
.npy, .npz, .h5 and .zarr, and are lines in C order elsewhere.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `fastkl.kl_divergence` and the like, and where the result goes."""
    parser.description, parser.epilog = _DESCRIPTION, _EXAMPLES
    add = parser.add_argument
    add("p", metavar="P", type=Path, help="the histograms P")
    add("q", metavar="Q", type=Path, help="the histograms Q, as many, or one")
    add_run_options(parser, "in any of those formats")
    add("--divergence", choices=ROW_FUNCTIONS, default="kl", metavar="NAME", help=", ".join(ROW_FUNCTIONS))
    add("--alpha", type=ORDER, metavar="A", help="the order of renyi and alpha")
    add("--axis", type=int, default=-1, metavar="N", help="the axis of the bins (default: -1, the last)")
    add_divergence_options(parser, "generalised: sum p log(p/q) - p + q", takes_tools=True)
    add("--weights", type=Path, metavar="FILE", help="one weight for each bin: bin widths, say")


def run(args: argparse.Namespace) -> int:
    """Compute the divergences of two files and write them."""
    names = ("axis", "base", "normalize", "pseudocount", "dtype", "weights")
    if args.weights is not None:
        check_format(args.weights)
    options = {name: getattr(args, name) for name in names}
    check_has_order(args)
    if args.alpha is not None:
        options["alpha"] = args.alpha
    return compute(args, args.divergence, args.p, args.q, **options)
