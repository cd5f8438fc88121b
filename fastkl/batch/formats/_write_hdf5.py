"""Results as datasets in HDF5, each in one piece."""

from pathlib import Path

from fastkl.batch.formats._checks import extra
from fastkl.batch.formats._sink import Layout
from fastkl.batch.formats._write_arrays import ArraysWriter


class Hdf5Writer(ArraysWriter):
    """A dataset for each column, in the shape of the rows, and one for the ids."""

    is_folder = False

    def __init__(self, path: Path, layout: Layout) -> None:
        h5py = extra("h5py", "h5py", "hdf5", ".h5")
        super().__init__(layout)
        self._file = h5py.File(path, "w", track_order=True)
        try:
            if layout.ids is not None:
                kind = h5py.string_dtype() if layout.ids.dtype == object else layout.ids.dtype
                self._arrays[layout.ids.name] = self._create(layout.ids.name, (layout.rows,), kind)
            for name, column in layout.columns.items():
                self._arrays[name] = self._create(name, layout.shape_of(name), column.dtype)
        except BaseException:
            self._file.close()
            raise

    def _create(self, name: str, shape: tuple[int, ...], dtype: object) -> object:
        return self._file.create_dataset(name, shape, dtype, track_times=False)

    def close(self, complete: bool) -> None:
        """Close the file."""
        self._file.close()
