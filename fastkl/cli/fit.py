"""`fastkl fit`: for each histogram of a file the nearest distribution of a family."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl.batch._fitted import FitKind
from fastkl.batch._open import open_job
from fastkl.cli._command import UsageError, number
from fastkl.cli._options import FILES, PSEUDOCOUNT, RUNS, add_run_options
from fastkl.cli._pictures import PICTURES, check_folder, draw
from fastkl.cli._runs import check_format, compute, in_words_of_the_command
from fastkl.fitting._families import family_of

_Array = npt.NDArray[Any]

_DESCRIPTION = f"""\
For each histogram of file P the distribution of a family that is nearest to it: of the smallest divergence
D(P||Q) (forward: it covers all of P), D(Q||P) (reverse: it leaves out what it can't cover well), or one between. A grid
of parameters is searched whole, then the minimum is refined.

Say where the bins of P are: --edges (a file of one more number than there are bins) or --points (a file of as many).
OUT in .csv, .parquet, .arrow or .feather has a row for each histogram, or for each minimum of each: row, the
parameters, divergence, grid_index, converged. In .npz, .h5 and .zarr these are arrays.

{FILES}

{RUNS}"""

_EXAMPLES = """\
examples:
  fastkl fit P.npy --edges E.npy                                   normal distributions, printed
  fastkl fit P.npy --edges E.npy --grid loc=-8:8:128 --grid scale=0.2:6:64:log --objective both -o fits.parquet
  fastkl fit P.npy --points X.npy --family gamma --objective reverse --minima 3 -o fits.csv --plot pictures
  fastkl fit P.npy --edges E.npy --family t --fixed df=4 --no-refine -o fits.npz

A grid is FROM:TO:COUNT, with :log for steps of equal ratio, or values with commas between them. Where a bin of P is
empty the reverse divergence from what has mass there is inf; --pseudocount is the way out. DIR gets a picture of each
of the first histograms.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `fastkl.fit`, and where the result goes."""
    parser.description, parser.epilog = _DESCRIPTION, _EXAMPLES
    add = parser.add_argument
    add("p", metavar="P", type=Path, help="histograms")
    add("--edges", metavar="E", type=Path, help="file of the ends of the bins")
    add("--points", metavar="X", type=Path, help="file of the points at which P has densities or masses")
    add(
        "--family",
        default="norm",
        metavar="NAME",
        help="a distribution of scipy.stats, or norm_mixture (default: norm)",
    )
    add("--grid", action="append", type=_grid, metavar="NAME=VALUES", help="values of a parameter; once for each")
    add("--fixed", action="append", type=_fixed, metavar="NAME=VALUE", help="a parameter that is not fitted")
    add(
        "--objective",
        type=_objective,
        default="forward",
        metavar="O",
        help="forward (default), reverse, both, or an order between 0 (reverse) and 1 (forward)",
    )
    positive = number(int, _check_positive, "a whole number >= 1")
    add("--minima", type=positive, default=1, metavar="K", help="local minima of each histogram (default: 1)")
    add("--no-refine", dest="refine", action="store_false", help="the best points of the grid as they are")
    add("--pseudocount", type=PSEUDOCOUNT, default=0.0, metavar="C", help="added to every bin of P (default: 0)")
    add("--plot", metavar="DIR", type=Path, help="write pictures of the first histograms and their fits to this folder")
    add_run_options(parser, "in any of those formats but .npy")


def run(args: argparse.Namespace) -> int:
    """Fit the histograms and write what was found."""
    if (args.edges is None) == (args.points is None):
        raise UsageError("pass one of --edges and --points: where the bins of P are")
    if args.output is not None and args.output.suffix.lower() == ".npy":
        raise UsageError(f"{args.output}: .npy holds one array; results go to .npz, .csv, .parquet, .h5 or .zarr")
    if args.plot is not None:
        check_folder(args.plot, args.force)
    try:
        family_of(args.family)
    except ValueError as error:
        raise UsageError(str(error)) from None
    options: dict[str, Any] = {name: getattr(args, name) for name in ("family", "refine", "minima", "pseudocount")}
    options |= {"edges": args.edges, "points": args.points}
    check_format(args.edges or args.points)
    options["fixed"] = None if args.fixed is None else _once("--fixed", args.fixed)
    grid = None if args.grid is None else _once("--grid", args.grid)
    status = compute(args, "fit", args.p, None, grid=grid, objective=args.objective, **options)
    if args.plot is not None:
        with in_words_of_the_command(args):
            _draw(args, grid, options)
    return status


def _draw(args: argparse.Namespace, grid: Any, options: dict[str, Any]) -> None:
    with ExitStack() as files:
        opening: dict[str, Any] = {"memory": args.memory, "on_invalid": "nan", "ids": args.ids}
        opening |= {"header": args.header, "show_progress": False}
        given = {**options, "grid": grid, "objective": args.objective, "threads": args.threads}
        job = open_job("fit", args.p, None, files, options=given, **opening)
        assert isinstance(job.kind, FitKind)
        first = job.kind.row_source.read(0, min(PICTURES, job.rows))
        draw(job.kind.fits(first), job.rows, args.plot)


def _once(option: str, given: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in given]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{option} has {name} twice")
    return dict(given)


def _named(text: str) -> tuple[str, str]:
    name, equals, values = text.partition("=")
    if not (equals and name.isidentifier()):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE, as in scale=2")
    return name, values


def _fixed(text: str) -> tuple[str, float]:
    name, value = _named(text)
    return name, next(_numbers([value], text))


def _grid(text: str) -> tuple[str, _Array]:
    name, values = _named(text)
    if ":" not in values:
        return name, np.array(list(_numbers(values.split(","), text)))
    parts = values.split(":")
    is_log = parts[3:] == ["log"]
    if len(parts) != 3 + is_log or not parts[2].isdecimal() or int(parts[2]) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: values are FROM:TO:COUNT, FROM:TO:COUNT:log or a,b,c")
    low, high = _numbers(parts[:2], text)
    if is_log and not (low > 0 and high > 0):
        raise argparse.ArgumentTypeError(f"{text!r}: a grid of equal ratios lies above 0")
    space: Callable[..., _Array] = np.geomspace if is_log else np.linspace
    return name, space(low, high, int(parts[2]))


def _numbers(words: list[str], text: str) -> Iterator[float]:
    for word in words:
        try:
            yield float(word)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r}: {word!r} is not a number") from None


def _objective(text: str) -> Any:
    if text in ("forward", "reverse", "both"):
        return text
    try:
        order = float(text)
    except ValueError:
        order = -1.0
    if not 0 <= order <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not forward, reverse, both or a number between 0 and 1")
    return order


def _check_positive(value: int) -> None:
    if value < 1:
        raise ValueError
