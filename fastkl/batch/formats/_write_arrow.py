"""Results as Parquet or Arrow: a column of numbers, or of lists of one length, for each column."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl.batch.formats._checks import extra
from fastkl.batch.formats._sink import Layout

_GROUP_BYTES = 8 << 20
_GROUP_ROWS = 1 << 18


class _ArrowWriter:
    """Both formats: a row group or record batch for each block."""

    is_folder = False

    def __init__(self, path: Path, layout: Layout) -> None:
        self._pa = extra("pyarrow", "pyarrow", "arrow", ".parquet, .arrow and .feather")
        self.rows_at_once = max(1, min(_GROUP_ROWS, _GROUP_BYTES // layout.row_bytes))
        fields = []
        if layout.ids is not None:
            text = layout.ids.dtype == object
            fields.append((layout.ids.name, self._pa.string() if text else self._pa.from_numpy_dtype(layout.ids.dtype)))
        for name, column in layout.columns.items():
            kind = self._pa.from_numpy_dtype(column.dtype)
            fields.append((name, kind if column.width is None else self._pa.list_(kind, column.width)))
        self._schema = self._pa.schema(fields)
        self._writer = self._open(path)

    def _open(self, path: Path) -> Any:
        raise NotImplementedError

    def put(self, start: int, block: dict[str, npt.NDArray[Any]], ids: npt.NDArray[Any] | None) -> None:
        """Append rows."""
        arrays = [*([] if ids is None else [ids]), *block.values()]
        columns = [self._array(values, field.type) for values, field in zip(arrays, self._schema, strict=True)]
        self._write(self._pa.record_batch(columns, schema=self._schema))

    def _write(self, batch: Any) -> None:
        self._writer.write_batch(batch)

    def close(self, complete: bool) -> None:
        """Write the directory at the end of the file."""
        self._writer.close()

    def _array(self, values: npt.NDArray[Any], kind: Any) -> Any:
        if values.ndim == 1:
            return self._pa.array(values, kind)
        flat = self._pa.array(np.ascontiguousarray(values).reshape(-1), kind.value_type)
        return self._pa.FixedSizeListArray.from_arrays(flat, type=kind)


class ParquetWriter(_ArrowWriter):
    """Pages have checksums, so that damage is noticed."""

    def _open(self, path: Path) -> Any:
        parquet = extra("pyarrow.parquet", "pyarrow", "arrow", ".parquet")
        return parquet.ParquetWriter(
            path, self._schema, compression="zstd", use_dictionary=False, write_page_checksum=True
        )

    def _write(self, batch: Any) -> None:
        self._writer.write_batch(batch, row_group_size=batch.num_rows)


class IpcWriter(_ArrowWriter):
    """Uncompressed, so that it can be mapped."""

    def _open(self, path: Path) -> Any:
        return self._pa.ipc.new_file(str(path), self._schema)
