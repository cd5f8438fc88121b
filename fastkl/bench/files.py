"""Histograms in files: p and q in memory and, the same, in a temporary folder; and runs over them.

The files have just been written and are on the disk, so that they are warm: the system holds them in memory too.
"""

import os
import shutil
import statistics
import tempfile
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt

from fastkl.bench.case import Case
from fastkl.bench.machine import free_memory

_Array = npt.NDArray[Any]
JOURNAL = "part of a run in which its journal is written"
_COLUMN = "histogram"


class Files:
    """p and q in a temporary folder, which goes with this object, at the latest when the process ends."""

    def __init__(self, p: _Array, q: _Array, suffix: str) -> None:
        self.folder, self.suffix = Path(tempfile.mkdtemp(prefix="fastkl-bench-")), suffix
        weakref.finalize(self, shutil.rmtree, self.folder)
        self.journal_parts: list[float] = []  # of the seconds of each run, those in which its journal was written
        self.p, self.q, self.out = (self.folder / name for name in (f"p{suffix}", f"q{suffix}", "kl.npy"))
        for path, rows in ((self.p, p), (self.q, q)):
            write_rows(path, rows)


def write_rows(path: Path, rows: _Array) -> None:
    """Histograms into a file of any format, on the disk when done; into .npy as NumPy writes them."""
    if path.suffix == ".npy":
        with open(path, "wb") as file:
            np.save(file, rows)
            file.flush()
            os.fsync(file.fileno())
        return
    from fastkl.batch._protocols import Column
    from fastkl.batch.formats import open_sink

    sink = open_sink(path, {_COLUMN: Column(rows.dtype, rows.shape[1])}, rows.shape[:1])
    sink.write({_COLUMN: rows})
    sink.finish()


@dataclass(frozen=True, slots=True, eq=False)
class VolumeCase(Case):
    """Rows in memory, and the same in files; of a head of the case the files still hold all."""

    files: Files = field(kw_only=True)

    def figures(self, nanoseconds: Mapping[str, float]) -> dict[str, float]:
        """What resumability costs at most: the result that goes to the disk in the end is counted too."""
        return {JOURNAL: statistics.median(self.files.journal_parts)}


def stored(suffix: str) -> Callable[..., VolumeCase]:
    """A case whose rows are in files of that format too."""
    return partial(_stored, suffix)


def _stored(suffix: str, p: _Array, q: _Array, *about: Any) -> VolumeCase:
    return VolumeCase(p, q, *about, files=Files(p, q, suffix))


def room(bins: int, dtype: str, arrays: int = 2) -> int:
    """The most rows of so many arrays that fit into the free memory twice, as such and as warm files; once on disk."""
    row = arrays * bins * np.dtype(dtype).itemsize
    disk = shutil.disk_usage(tempfile.gettempdir()).free
    return max(1, int(min(0.8 * free_memory() / (2 * row), 0.8 * disk / row)))


def run_over(case: VolumeCase) -> Any:
    """The divergences of the rows of the files, by a run whose journal is timed."""
    from fastkl.batch._journal import Journal
    from fastkl.batch._kept import Kept

    spent: list[float] = []
    with (
        patch.object(Journal, "_write", _timed(Journal._write, spent)),
        patch.object(Kept, "to_disk", _timed(Kept.to_disk, spent)),
    ):
        divergences, seconds = run_untimed(case)
    case.files.journal_parts.append(sum(spent) / seconds)
    return divergences


def run_untimed(case: VolumeCase) -> tuple[Any, float]:
    """The divergences, and the seconds that the run says it took."""
    from fastkl import batch

    p, q, out = case.files.p, case.files.q, case.files.out
    summary = batch.run("kl", p, q, out, force=True, normalize=case.normalize, threads=case.threads)
    return np.load(out, mmap_mode="r"), summary.seconds


def _timed(call: Callable[..., Any], spent: list[float]) -> Callable[..., Any]:
    def timed(*arguments: Any) -> Any:
        start = time.perf_counter()
        try:
            return call(*arguments)
        finally:
            spent.append(time.perf_counter() - start)

    return timed
