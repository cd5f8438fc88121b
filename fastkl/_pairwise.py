"""Fills the matrix of all pairs."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl._blas import one_blas_thread
from fastkl._progress import Progress
from fastkl._threads import for_each_chunk
from fastkl._tiles import Panel, Tiles

_Array = npt.NDArray[Any]


def fill(tiles: Tiles, out: _Array, shown: bool) -> None:
    """Write the divergences of all pairs to ``out``."""
    with one_blas_thread(), Progress("fastkl pairwise", out.size, shown) as progress:
        for rows in tiles.panels():
            _fill_panel(tiles, tiles.panel(rows), rows, out, progress)


def _fill_panel(tiles: Tiles, panel: Panel, rows: slice, out: _Array, progress: Progress) -> None:
    # Neighbouring tasks are of different rows: new pages of ``out`` come slowly where threads ask for the same.
    tasks = [(block, group) for group in tiles.groups_of(rows) for block in tiles.blocks()]
    is_mirrored = tiles.y is tiles.x and tiles.ask.plan.is_symmetric

    def work(k: int) -> None:
        block, group = tasks[k]
        wanted = [part for part in group if not (is_mirrored and part.stop <= block.start)]
        if wanted:
            with tiles.block(block) as side:
                for part in wanted:
                    tile = tiles.exact(block, side, part, panel)
                    if is_mirrored:
                        _write_mirrored(tile, out, block, part)
                    else:
                        _write(tile, out[block, part])
        progress.advance((block.stop - block.start) * sum(part.stop - part.start for part in group))

    for_each_chunk(work, len(tasks), tiles.threads)


def _write_mirrored(tile: _Array, out: _Array, rows: slice, columns: slice) -> None:
    """Write what is on and above the diagonal, twice."""
    if columns.start >= rows.stop:
        _write(tile, out[rows, columns])
        _write(tile.T, out[columns, rows])
        return
    for i in range(rows.start, min(rows.stop, columns.stop)):
        first = max(i, columns.start)
        above = tile[i - rows.start, first - columns.start :]
        _write(above, out[i, first : columns.stop])
        _write(above, out[first : columns.stop, i])


def _write(divergences: _Array, out: _Array) -> None:
    with np.errstate(over="ignore"):  # beyond single precision it is inf
        np.copyto(out, divergences, casting="same_kind")
