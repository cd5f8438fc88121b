"""Where fits are written: a table in a file or on stdout, arrays, pictures."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl.cli._command import CommandError, UsageError
from fastkl.cli._results import complete_or_absent, open_table, texts
from fastkl.fitting._result import Fit

_Columns = dict[str, npt.NDArray[Any]]
_PICTURES = 12  # the first so many histograms are drawn


def write(fits: dict[Any, Fit], target: Path | None, suffix: str | None, force: bool) -> None:
    """Write the fits by each objective, one below the other; as arrays, side by side."""
    if suffix == ".npz":
        assert target is not None
        arrays: dict[str, Any] = {
            f"{objective}_{name}" if len(fits) > 1 else name: array
            for objective, found in fits.items()
            for name, array in (found.params | _results_of(found)).items()
        }
        with complete_or_absent(target, force) as file:
            np.savez(file, **arrays)
    elif suffix == ".parquet":
        _write_parquet(_table_of(fits), target, force)
    else:
        _write_lines(_table_of(fits), target, force)


def _results_of(found: Fit) -> _Columns:
    return {name: getattr(found, name) for name in ("divergence", "grid_index", "converged")}


def _table_of(fits: dict[Any, Fit]) -> _Columns:
    """Columns, a row for each objective, histogram and minimum."""
    tables = [_columns(objective if len(fits) > 1 else None, found) for objective, found in fits.items()]
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def _columns(objective: Any, found: Fit) -> _Columns:
    shape = np.shape(found.divergence)
    shape = shape if found.minima > 1 else (*shape, 1)
    rows, minima = (place.ravel() for place in np.indices((int(np.prod(shape[:-1])), shape[-1])))
    columns: _Columns = {} if objective is None else {"objective": np.full(len(rows), str(objective))}
    columns["row"] = rows
    if found.minima > 1:
        columns["minimum"] = minima
    return columns | {name: np.ravel(array) for name, array in (found.params | _results_of(found)).items()}


def _write_lines(columns: _Columns, target: Path | None, force: bool) -> None:
    with open_table(target, force) as table:
        table.write(columns)
        for cells in zip(*(_cells(column) for column in columns.values()), strict=True):
            table.write(cells)


def _cells(column: npt.NDArray[Any]) -> Iterator[str]:
    return (str(value).lower() for value in column.tolist()) if column.dtype == np.bool_ else texts(column)


def _write_parquet(columns: _Columns, target: Path | None, force: bool) -> None:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise CommandError("writing .parquet needs pyarrow: pip install 'fastkl[arrow]'") from None
    assert target is not None
    with complete_or_absent(target, force) as file:
        pyarrow.parquet.write_table(pyarrow.table(columns), file)


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


def draw(fits: list[Fit], folder: Path) -> None:
    """Write pictures of the first histograms with their fits, for each objective."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from fastkl import plot

    folder.mkdir(exist_ok=True)
    shape = fits[0].shape
    count = int(np.prod(shape))
    digits = len(str(max(count - 1, 0)))
    for row in range(min(count, _PICTURES)):
        figure = Figure(figsize=(8, 5), layout="constrained")
        FigureCanvasAgg(figure)
        index = tuple(int(i) for i in np.unravel_index(row, shape)) if shape else ()
        plot.fits(fits, index, ax=figure.add_subplot())
        with complete_or_absent(folder / f"fit_{row:0{digits}d}.png", True) as file:
            figure.savefig(file, format="png", dpi=120)
