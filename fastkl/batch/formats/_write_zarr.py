"""Results as arrays in zarr, format 3: the store itself where there is one, else a group of several."""

from pathlib import Path
from typing import Any

from fastkl.batch.formats._checks import extra
from fastkl.batch.formats._sink import Layout
from fastkl.batch.formats._write_arrays import ArraysWriter


class ZarrWriter(ArraysWriter):
    """An array for each column, in the shape of the rows, and one for the ids; a block of rows is a chunk."""

    is_folder = True

    def __init__(self, path: Path, layout: Layout) -> None:
        zarr = extra("zarr", "zarr", "zarr", ".zarr")
        super().__init__(layout)
        if len(layout.columns) == 1 and layout.ids is None:
            (name,) = layout.columns
            self._arrays[name] = zarr.create_array(path, **self._described(layout, name), overwrite=True)
            return
        group = zarr.create_group(path, overwrite=True)
        for name in layout.columns:
            self._arrays[name] = group.create_array(name, **self._described(layout, name))
        if layout.ids is not None:
            kind = str if layout.ids.dtype == object else layout.ids.dtype
            chunks = (min(self.rows_at_once, max(1, layout.rows)),)
            self._arrays[layout.ids.name] = group.create_array(
                layout.ids.name, shape=(layout.rows,), chunks=chunks, dtype=kind
            )

    def _described(self, layout: Layout, name: str) -> dict[str, Any]:
        column, shape = layout.columns[name], layout.shape_of(name)
        wide = shape[len(layout.shape) :]
        return {"shape": shape, "chunks": (*_chunks(layout.shape, self.rows_at_once), *wide), "dtype": column.dtype}

    def close(self, complete: bool) -> None:
        """Nothing is open between writes."""


def _chunks(shape: tuple[int, ...], rows: int) -> tuple[int, ...]:
    """The shape of chunks of about so many rows: whole trailing axes, a part of one, single entries before it."""
    chunks: list[int] = []
    for size in reversed(shape):
        chunks.append(max(1, min(size, rows)))
        rows //= max(1, size)
    return tuple(reversed(chunks))
