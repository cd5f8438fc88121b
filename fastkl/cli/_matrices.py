"""Files of histograms as the rows of matrices, compared all with all."""

import argparse
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from fastkl import _check
from fastkl._products import DIVERGENCES
from fastkl.cli._command import CommandError, UsageError, number
from fastkl.cli._options import add_divergence_options, add_output_options
from fastkl.cli._pairs import Histograms, check_bins
from fastkl.cli._sources import check_format, open_numbers
from fastkl.pairs import pairwise

Result = TypeVar("Result")
_ORDER = number(float, lambda value: _check.check_order(value, may_be_infinite=True), "a number")


def add_matrix_options(parser: argparse.ArgumentParser, formats: str) -> None:
    """The options of `fastkl.pairwise` and `fastkl.nearest`."""
    add = parser.add_argument
    add_output_options(parser, formats)
    add("--divergence", choices=DIVERGENCES, default="kl", metavar="NAME", help=f"{', '.join(DIVERGENCES)}")
    add("--alpha", type=_ORDER, metavar="A", help="the order of renyi and alpha")
    add_divergence_options(parser, "histograms as they are, not scaled to sum to one")


def options_of(args: argparse.Namespace, *more: str) -> dict[str, Any]:
    """What these options, and ``more``, are to the functions, which refuse bad ones here, before files are read."""
    names = ("divergence", "alpha", "base", "normalize", "pseudocount", "on_invalid", "dtype", "threads", *more)
    options = {name: getattr(args, name) for name in names}
    try:
        pairwise(np.empty((0, 1)), **options)
    except ValueError as error:
        raise UsageError(f"{error} (all options: --help)") from None
    return options


@contextmanager
def open_matrices(paths: dict[str, Path], shown: bool) -> Iterator[dict[str, Histograms]]:
    """Files whose rows are histograms, by the names that they have in the functions."""
    for path in paths.values():
        check_format(path)
    with ExitStack() as files:
        matrices = {}
        for name, path in paths.items():
            file = files.enter_context(open_numbers(path, shown))
            if (ndim := len(file.shape)) != 2:
                dimensions = f"{ndim} dimension{'s' * (ndim > 1)}"
                raise CommandError(f"{path} has {dimensions}; it must have two, a histogram a row")
            matrices[name] = Histograms(file, -1)
        sides = list(matrices.values())
        check_bins(sides[0], sides[-1])
        yield matrices


def naming_files(matrices: dict[str, Histograms], call: Callable[[], Result]) -> Result:
    """What ``call`` returns; what it says of a row of an argument is said of the file."""
    try:
        return call()
    except ValueError as error:
        found = re.match(r"([xyp])\[(\d+)\] (.*)", str(error), re.DOTALL)
        if found is None:
            raise
        place = matrices[found[1]].place((int(found[2]),))
        reason = found[3].replace(f" of {found[1]} are", " are")
        raise CommandError(f"{place} {reason} (--on-invalid nan goes on)") from None
