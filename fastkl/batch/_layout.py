"""How the results that a run keeps become the columns of a file.

In most formats they are columns as they are. In tables fits have a row for each objective, histogram and minimum, one
below the other; and in text each of several nearest rows has columns of its own.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastkl.batch._allpairs import NearestKind
from fastkl.batch._errors import Refused
from fastkl.batch._fitted import FitKind
from fastkl.batch._job import Job
from fastkl.batch._protocols import Column, Ids
from fastkl.batch.formats import WITH_IDS, carries_ids

_Array = npt.NDArray[Any]
_Kept = Callable[[np.dtype[Any]], Iterator[_Array]]  # from the type of a row to the rows, block by block
_TABLES = (".csv", ".parquet", ".arrow", ".feather")
_WHOLE = np.dtype(np.int64)


class Layout(NamedTuple):
    """What a file will have, and how its blocks are made of what is kept."""

    columns: dict[str, Column]
    shape: tuple[int, ...]
    ids: Ids | None
    blocks: Callable[[_Kept], Iterator[dict[str, _Array]]]


def row_type(columns: Mapping[str, Column]) -> np.dtype[Any]:
    """The type of what is kept of a row."""
    return np.dtype(
        [(name, column.dtype, () if column.width is None else (column.width,)) for name, column in columns.items()]
    )


def layout_of(job: Job, target: Path) -> Layout:
    """That of a target, by its suffix and what is computed."""
    suffix, kind = target.suffix.lower(), job.kind
    ids = job.ids if carries_ids(target) else None
    if ids is None and job.has_chosen_ids:
        raise Refused(f"{target} has no room for ids; {', '.join(WITH_IDS)} have")
    if isinstance(kind, FitKind) and suffix in _TABLES:
        return _fit_table(job, kind, ids)
    if isinstance(kind, NearestKind) and suffix == ".csv":
        return _nearest_text(job, kind, ids)

    def blocks(kept: _Kept) -> Iterator[dict[str, _Array]]:
        for rows in kept(row_type(kind.columns)):
            yield {name: rows[name] for name in kind.columns}

    return Layout(kind.columns, job.shape, ids, blocks)


def _nearest_text(job: Job, kind: NearestKind, ids: Ids | None) -> Layout:
    singular = {"indices": "index", "divergences": "divergence"}
    columns = {"row": Column(_WHOLE)}
    for n in range(kind.k):
        columns |= {f"{singular[name]}_{n + 1}": Column(column.dtype) for name, column in kind.columns.items()}

    def blocks(kept: _Kept) -> Iterator[dict[str, _Array]]:
        done = 0
        for rows in kept(row_type(kind.columns)):
            block = {"row": np.arange(done, done + len(rows))}
            for n in range(kind.k):
                block |= {f"{singular[name]}_{n + 1}": rows[name][:, n] for name in kind.columns}
            done += len(rows)
            yield block

    return Layout(columns, job.shape, ids, blocks)


def _fit_table(job: Job, kind: FitKind, ids: Ids | None) -> Layout:
    several, minima = len(kind.objectives) > 1, kind.minima
    first = kind.objectives[0]
    names = [
        name.removeprefix(f"{first}_") if several else name for name in kind.columns if several * str(first) in name
    ]
    columns: dict[str, Column] = {}
    if several:
        columns["objective"] = Column(np.array([str(objective) for objective in kind.objectives]).dtype)
    columns["row"] = Column(_WHOLE)
    if minima > 1:
        columns["minimum"] = Column(_WHOLE)
    columns |= {name: Column(kind.columns[kind.name_of(first, name)].dtype) for name in names}

    def blocks(kept: _Kept) -> Iterator[dict[str, _Array]]:
        for objective in kind.objectives:
            done = 0
            for rows in kept(row_type(kind.columns)):
                count = len(rows) * minima
                block: dict[str, _Array] = {"objective": np.full(count, str(objective))} if several else {}
                block["row"] = np.repeat(np.arange(done, done + len(rows)), minima)
                if minima > 1:
                    block["minimum"] = np.tile(np.arange(minima), len(rows))
                block |= {name: rows[kind.name_of(objective, name)].ravel() for name in names}
                done += len(rows)
                yield block

    repeated = None if ids is None else RepeatedIds(ids, job.rows, minima)
    return Layout(columns, (job.rows * minima * len(kind.objectives),), repeated, blocks)


class RepeatedIds:
    """Names of rows of which each stands so many times in turn, and all of them once or more."""

    def __init__(self, ids: Ids, rows: int, times: int) -> None:
        self._ids, self._rows, self._times = ids, rows, times
        self.name, self.dtype = ids.name, ids.dtype

    def read(self, start: int, stop: int) -> _Array:
        """The names of some rows of the table."""
        rows = np.arange(start, stop) // self._times % max(self._rows, 1)
        parts = np.split(rows, np.flatnonzero(np.diff(rows) < 0) + 1)  # a part for each time that all are gone through
        return np.concatenate([self._ids.read(int(part[0]), int(part[-1]) + 1)[part - part[0]] for part in parts])

    def close(self) -> None:
        """Give the file back."""
        self._ids.close()
