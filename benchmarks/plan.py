"""What a trillion histograms cost: measures this machine for about a minute, then does the sum.

::

    python benchmarks/plan.py                  each histogram against one reference: time, bytes, core hours, machines
    python benchmarks/plan.py --rows 200000    with less to measure on

A histogram has 256 bins, in double or single precision or as counts of 16 bits. It is compared with one reference in
memory, or read from a warm file by `fastkl.batch.run`: .npy and .arrow are mapped, Parquet is unpacked. What counts is
the time of all CPUs, that of the system included. Values are random, which compress the worst: real counts take less
room in Parquet.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastkl
from fastkl import batch
from fastkl.bench import data
from fastkl.bench.files import write_rows
from fastkl.bench.machine import describe

BINS = 256
TRILLION = 10**12
DTYPES = ("float64", "float32", "uint16")
SOURCES = ("memory", ".npy", ".arrow", ".parquet")
STORAGE = (1.0, 10.0, 100.0)  # GB/s


@dataclass(frozen=True)
class Cost:
    """What was measured of one kind of histogram in one kind of place."""

    source: str
    dtype: str
    bytes_each: float  # that are read for a histogram
    core_seconds: float  # that a core works on it

    @property
    def gb_per_core(self) -> float:
        """What one core takes in in a second: if storage gives it less, it waits.

        >>> Cost(".npy", "float64", 2048, 4e-7).gb_per_core
        5.12
        """
        return self.bytes_each / self.core_seconds / 1e9

    def core_hours(self, histograms: int = TRILLION) -> float:
        """Of work.

        >>> round(Cost(".npy", "float64", 2048, 4e-7).core_hours(), 1)
        111.1
        """
        return self.core_seconds * histograms / 3600

    def petabytes(self, histograms: int = TRILLION) -> float:
        """That are read.

        >>> Cost(".npy", "float64", 2048, 4e-7).petabytes()
        2.048
        """
        return self.bytes_each * histograms / 1e15

    def days(self, storage: float, histograms: int = TRILLION) -> float:
        """That storage of so many GB/s takes to give all the bytes, however many cores there are.

        >>> round(Cost(".npy", "float64", 2048, 4e-7).days(10), 2)
        2.37
        """
        return self.petabytes(histograms) * 1e6 / storage / 86_400

    def cores(self, storage: float) -> float:
        """That such storage keeps busy: more of them wait for it, with fewer it waits.

        >>> round(Cost(".npy", "float64", 2048, 4e-7).cores(100), 1)
        19.5
        """
        return storage / self.gb_per_core


def cost_of(source: str, dtype: str, rows: int, repeats: int, folder: Path) -> Cost:
    """Measure: the median of some calls or runs, after one that compiles."""
    make = data.counts if dtype.startswith("uint") else data.positive
    p, reference = make(rows, BINS, dtype, 1), make(1, BINS, dtype, 2)[0]
    if source == "memory":
        seconds, size = _median(lambda: fastkl.kl_divergence(p, reference), repeats), p.nbytes
    else:
        path, out = folder / f"p{source}", folder / f"kl{source}"
        write_rows(path, p)
        seconds, size = _median(lambda: batch.run("kl", path, reference, out, force=True), repeats), path.stat().st_size
        path.unlink()
    return Cost(source, dtype, size / rows, seconds / rows)


def _median(call: Callable[[], Any], repeats: int) -> float:
    call()
    found = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        found.append(time.process_time() - start)
    return statistics.median(found)


def report(costs: Iterable[Cost], cpus: int) -> str:
    """The tables, and what limits; machines are such as this one with its CPUs."""
    costs = list(costs)
    lines = [
        f"10^12 histograms of {BINS} bins, each against one reference",
        f"{'':22}{'bytes':>8}{'core µs':>10}{'GB/s of a core':>16}{'core hours':>12}{'PB':>8}",
    ]
    for cost in costs:
        each = f"{cost.bytes_each:8.0f}{cost.core_seconds * 1e6:10.3f}{cost.gb_per_core:16.2f}"
        lines.append(f"{_name(cost):22}{each}{cost.core_hours():12,.0f}{cost.petabytes():8.2f}")
    heads = "".join(f"{f'{storage:,.0f} GB/s':>33}" for storage in STORAGE)
    lines += ["", f"{'storage that gives':22}{heads}"]
    for cost in (cost for cost in costs if cost.source != "memory"):
        lines.append(f"{_name(cost):22}" + "".join(f"{_plan(cost, storage, cpus):>33}" for storage in STORAGE))
    return "\n".join([*lines, "", limits(costs)])


def _name(cost: Cost) -> str:
    return f"{cost.dtype}, {cost.source}"


def _plan(cost: Cost, storage: float, cpus: int) -> str:
    cores = cost.cores(storage)
    return f"{cost.days(storage):.2f} days, {cores:,.1f} cores, {cores / cpus:,.1f} x"


def limits(costs: Iterable[Cost]) -> str:
    """Between what the work waits for its storage."""
    found = sorted((cost for cost in costs if cost.source != "memory"), key=lambda cost: cost.gb_per_core)
    return (
        "(x: machines like this one.) Cores beyond these wait for the storage, which sets the days.\n"
        f"A core takes in {found[0].gb_per_core:.2f} ({_name(found[0])}) to {found[-1].gb_per_core:.2f} GB/s"
        f" ({_name(found[-1])})."
    )


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=400_000, help="histograms to measure on (default: 400,000)")
    parser.add_argument("--repeats", type=int, default=5, help="times that each is measured (default: 5)")
    args = parser.parse_args()
    machine: dict[str, Any] = describe(set())
    print(
        f"{machine['cpu']}, {machine['cpus']} CPUs, {machine['memory_gb']} GB; fastkl {fastkl.__version__}", flush=True
    )
    with tempfile.TemporaryDirectory() as folder:
        costs = [
            cost_of(source, dtype, args.rows, args.repeats, Path(folder)) for dtype in DTYPES for source in SOURCES
        ]
    print(report(costs, machine["cpus"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
