"""Files in Arrow's columns, whatever their format: one long run of rows, of which any stretch can be had in batches."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from fastkl.batch._protocols import SourceError
from fastkl.batch.formats._arrow_values import first_line
from fastkl.batch.formats._checks import check_exists, extra
from fastkl.batch.formats._ipc import IpcRows
from fastkl.batch.formats._parquet import ParquetFolder, ParquetRows


class ArrowRows(Protocol):
    """The rows of a file in Arrow's columns."""

    schema: Any
    rows: int
    keeps_batches: bool  # unpacked ones, for the next call: rows are copied from them

    def batches(self, start: int, stop: int, columns: Sequence[str], row_bytes: int) -> Iterator[Any]:
        """Rows start to stop of these columns, cut into record batches."""

    def band_of(self, row: int) -> tuple[int, int]:
        """The rows that are stored together with one."""

    def working(self, columns: Sequence[str], row_bytes: int) -> int:
        """About how many bytes it takes to read rows of these columns, beside the rows."""

    def working_by_columns(self, columns: Sequence[str], row_bytes: int) -> int:
        """The same where what is stored together with a row is read one column after another, for all columns."""

    def close(self) -> None:
        """Close the file."""


def open_rows(path: Path) -> ArrowRows:
    """The rows of a file; SourceError where it is none of these formats."""
    pa = extra("pyarrow", "pyarrow", "arrow", path.suffix)
    check_exists(path)
    is_parquet = path.suffix.lower() == ".parquet"
    try:
        if is_parquet:
            return ParquetFolder(path) if path.is_dir() else ParquetRows(path)
        return IpcRows(path)
    except (PermissionError, IsADirectoryError):
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        kind = "Parquet" if is_parquet else "Arrow"
        raise SourceError(f"{path} can't be read as {kind}: {first_line(error)}") from None
