"""A session in the form that `fastkl bench --json` writes, small and always the same."""

from typing import Any

from fastkl.bench.measure import Figure, Result, Row

MACHINE = {
    "cpu": "A processor (znver5)",
    "cpus": 2,
    "caches": "L1 48K, L2 1024K",
    "memory_gb": 8.4,
    "system": "Linux",
    "python": "3.11.7",
    "versions": {"numpy": "2.4.6", "scipy": "1.17.1"},
}


def row(name: str, median: float | None, error: float | None = None, note: str = "") -> Row:
    """A contestant; None as its median is one that was not measured."""
    best = None if median is None else median * 0.9
    ratios = (None, None) if median is None else (0.25 / median, 20.5 / median)
    return Row(name, note, best, median, 0 if median is None else 9, *ratios, error)


def job(name: str, rows: list[Row], figures: list[Figure] | None = None, unit: str = "bin") -> Result:
    """A job with these contestants."""
    result = Result(name, "histograms", 1000, 256, "float64", False, -1, unit, 2, "scipy.stats.entropy", 0.0, rows)
    result.figures = figures or []
    return result


def session(*jobs: Result) -> dict[str, Any]:
    """These jobs on a machine."""
    return {
        "date": "2026-11-25T12:00:00+00:00",
        "machine": MACHINE,
        "scale": 1.0,
        "seconds": 1.5,
        "threads": 2,
        "jobs": [job.as_dict() for job in jobs],
    }


def curve(threads: int = 2) -> Result:
    """A job over threads, on which the floor reads ever faster and fastkl comes nearer to it."""
    numbers = [1 << k for k in range(threads.bit_length())]
    rows = []
    for number in numbers:
        for who, time in (("read floor", 0.8 / number), ("fastkl", 1.6 / number**1.2)):
            rows.append(row(f"{who}, {number} thread{'s' * (number > 1)}", time))
            rows[-1].at = number
    result = job("threads-float64", rows)
    result.curve = {
        "variable": "threads",
        "unit": "GB/s",
        "per_item": 16,
        "marks": [{"at": 2, "label": "a thread on each core"}] if threads > 2 else [],
        "notes": ["Memory gives much.", "fastkl <waits> for it."],
    }
    return result


def sample() -> dict[str, Any]:
    """Bars, a call, something that was not measured, sizes, and a job that has figures alone."""
    contestants = [
        row("read floor", 0.25),
        row("fastkl", 0.3125, 3e-16),
        row("scipy.stats.entropy", 20.5, 7e-15, "timed on 4,194,304 bins"),
        row("numkong", 0.5, 2e-6),
        row("jax", None, None, "not installed"),
        row("read floor, 1 thread", 0.5),
        row("fastkl, 1 thread", 0.625, 0.0),
    ]
    call = [row("read floor", 900.0), row("fastkl", 4880.0, 1e-16), row("scipy.stats.entropy", 132720.0, 1e-15)]
    sizes = [
        row(f"{who}, {size:,} bins", time * (2 if size == 100_000 else 1))
        for size in (100_000, 10_000_000, 1_000_000_000)
        for who, time in (("read floor", 0.25), ("fastkl", 0.375))
    ]
    targets = [
        Figure("read floor / fastkl", 0.8, 0.75, 0.9, False, 0.82),
        Figure("jax / fastkl", None, 1.4, None, False),
        Figure("numkong / fastkl", 1.6, 2.0, None, False),
    ]
    memory = [Figure("MB beyond inputs and output, by tracemalloc", 0.05, 16, None, True)]
    return session(
        job("float64", contestants, targets),
        job("one-pair", call, unit="call"),
        job("growth", sizes),
        job("one-p-memory", [], memory),
    )
