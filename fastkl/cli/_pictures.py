"""Pictures of fits in a folder."""

from pathlib import Path

import numpy as np

from fastkl.cli._command import CommandError, UsageError
from fastkl.cli._results import complete_or_absent
from fastkl.fitting._result import Fit

PICTURES = 12  # the first so many histograms are drawn


def check_folder(folder: Path, force: bool) -> None:
    """Raise, before anything is computed, unless pictures can be drawn and put there."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise CommandError("--plot needs matplotlib: pip install 'fastkl[plot]'") from None
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is not a folder")
    if not folder.parent.is_dir():
        raise UsageError(f"{folder.parent} is not a folder")
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise UsageError(f"{folder} has files in it; --force puts the pictures there all the same")


def draw(fits: list[Fit], count: int, folder: Path) -> None:
    """Write pictures of the first of ``count`` histograms with their fits, for each objective."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from fastkl import plot

    folder.mkdir(exist_ok=True)
    shape = fits[0].shape
    digits = len(str(max(count - 1, 0)))
    for row in range(min(count, PICTURES)):
        figure = Figure(figsize=(8, 5), layout="constrained")
        FigureCanvasAgg(figure)
        index = tuple(int(i) for i in np.unravel_index(row, shape)) if shape else ()
        plot.fits(fits, index, ax=figure.add_subplot())
        with complete_or_absent(folder / f"fit_{row:0{digits}d}.png", True) as file:
            figure.savefig(file, format="png", dpi=120)
