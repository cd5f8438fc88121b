"""The options of comparisons of all with all."""

import argparse
from typing import Any

import numpy as np

from fastkl._products import DIVERGENCES
from fastkl.cli._command import UsageError
from fastkl.cli._options import ORDER, add_divergence_options, add_run_options, check_has_order
from fastkl.pairs import pairwise


def add_matrix_options(parser: argparse.ArgumentParser, formats: str) -> None:
    """The options of `fastkl.pairwise` and `fastkl.nearest`."""
    add = parser.add_argument
    add_run_options(parser, formats)
    add("--divergence", choices=DIVERGENCES, default="kl", metavar="NAME", help=f"{', '.join(DIVERGENCES)}")
    add("--alpha", type=ORDER, metavar="A", help="the order of renyi and alpha")
    add_divergence_options(parser, "histograms as they are, not scaled to sum to one")


def options_of(args: argparse.Namespace, *more: str) -> dict[str, Any]:
    """What these options, and ``more``, are to the functions, which refuse bad ones here, before files are read."""
    check_has_order(args)
    names = ("divergence", "alpha", "base", "normalize", "pseudocount", "dtype", *more)
    options = {name: getattr(args, name) for name in names}
    try:
        pairwise(np.empty((0, 1)), **options)
    except ValueError as error:
        raise UsageError(f"{error} (all options: --help)") from None
    return options
