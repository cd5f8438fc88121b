"""`fastkl demo`: the main job on made-up data, checked against SciPy and timed."""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl import __version__, kernels
from fastkl._check import check_threads
from fastkl._threads import available_cpus, for_each_chunk
from fastkl.cli._command import number
from fastkl.rowwise import kl_divergence

ROWS, BINS = 300_000, 256
# Enough rows to be past most caches, which would flatter fastkl; few enough for SciPy to do them several times.
SCIPY_ROWS = 20_000
SHOWN_ROWS = 5
_REPEATS = 5

_Array = npt.NDArray[np.float64]

_DESCRIPTION = """\
Makes a batch of random histograms, computes the KL divergence of each from its partner, does a part of them
by scipy.stats.entropy too, and shows the first answers, the largest difference and how long both took."""

_EXAMPLES = f"""\
examples:
  fastkl demo                  {ROWS:,} pairs of {BINS} bins: some seconds, {2 * ROWS * BINS * 8 / 1e9:.1f} GB
  fastkl demo --rows 20000     the same where memory is short
  fastkl demo --threads 1      the speed of one thread
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How much to do, on how many threads."""
    parser.description, parser.epilog = _DESCRIPTION, _EXAMPLES
    add = parser.add_argument
    count = number(int, _check_rows, "a whole number >= 1")
    add("--rows", type=count, default=ROWS, metavar="N", help=f"pairs of histograms (default: {ROWS:,})")
    count = number(int, check_threads, "a whole number >= 1")
    add("--threads", type=count, metavar="N", help="the most threads to use (default: all CPUs)")


def run(args: argparse.Namespace) -> int:
    """Make, compute, compare, and say so step by step."""
    threads = args.threads or available_cpus()
    _say(f"fastkl {__version__}: the divergence KL(P||Q) of {args.rows:,} pairs of histograms\n")
    p, q = _make(args.rows, threads)
    answers = _compute(p, q, threads)
    part = slice(0, SCIPY_ROWS)
    _compare_with_scipy(p[part], q[part], answers[part], threads)
    return 0


def _make(rows: int, threads: int) -> tuple[_Array, _Array]:
    seconds, (p, q) = _timed(lambda: tuple(_histograms(rows, seed, threads) for seed in (0, 1)))
    size = f"{rows:,} x {BINS} bins each, float64, {(p.nbytes + q.nbytes) / 1e9:.2f} GB together"
    _say(f"  data        {size}")
    _say(f"              gamma-distributed, seeds 0 and 1, made in {seconds:.1f} s")
    return p, q


def _compute(p: _Array, q: _Array, threads: int) -> _Array:
    seconds, _ = _timed(lambda: kl_divergence(p[:2], q[:2]))
    _say(f"  first call  {seconds * 1e3:.0f} ms on 2 rows: {_where_kernels_came_from()}")
    seconds, answers = min((_timed(lambda: kl_divergence(p, q, threads=threads)) for _ in range(3)), key=_seconds)
    rate = (p.nbytes + q.nbytes) / seconds / 1e9
    _say(f"  all rows    {seconds * 1e3:.1f} ms on {threads} thread{'s' * (threads > 1)}, best of 3")
    _say(f"              {seconds / p.size * 1e9:.2f} ns per bin, {rate:.1f} GB/s")
    return np.asarray(answers)


def _compare_with_scipy(p: _Array, q: _Array, answers: _Array, threads: int) -> None:
    from scipy.stats import entropy  # half a second that no other command should pay

    runs = [
        # In turns, so that a slow moment of the machine strikes both.
        (_timed(lambda: kl_divergence(p, q, threads=threads)), _timed(lambda: entropy(p, q, axis=1)))
        for _ in range(_REPEATS)
    ]
    ours, theirs = (min(map(_seconds, column)) for column in zip(*runs, strict=True))
    by_scipy = runs[0][1][1]
    _say("\nThe first answers, in nats:\n")
    _say("  row  fastkl.kl_divergence  scipy.stats.entropy")
    for row, (a, b) in enumerate(zip(answers[:SHOWN_ROWS].tolist(), by_scipy.tolist(), strict=False)):
        _say(f"  {row:>3}  {a!r:<20}  {b!r}")
    _say(f"\nThe first {len(p):,} rows by both, best of {_REPEATS} in turns:\n")
    _say(f"  fastkl.kl_divergence  {ours / p.size * 1e9:6.2f} ns per bin")
    _say(f"  scipy.stats.entropy   {theirs / p.size * 1e9:6.2f} ns per bin, {theirs / ours:.1f} times as long")
    _say(f"  largest relative difference of the answers: {np.max(np.abs(answers - by_scipy) / by_scipy):.1e}")


def _check_rows(rows: int) -> None:
    if rows < 1:
        raise ValueError


def _histograms(rows: int, seed: int, threads: int) -> _Array:
    """Random histograms that depend on the seed alone: each chunk of rows has a generator of its own."""
    histograms = np.empty((rows, BINS))
    chunk = 1 << 12
    seeds = np.random.SeedSequence(seed).spawn(-(-rows // chunk))

    def fill(k: int) -> None:
        np.random.default_rng(seeds[k]).standard_gamma(2.0, out=histograms[k * chunk : (k + 1) * chunk])

    for_each_chunk(fill, len(seeds), threads)
    return histograms


def _where_kernels_came_from() -> str:
    stats = getattr(kernels.rows, "stats", None)
    if stats is not None and stats.cache_hits:
        return "reads compiled kernels from disk, once in a process"
    kept = stats is not None and stats.cache_path is not None
    return "compiles kernels for this CPU" + (" and keeps them on disk for later processes" if kept else "")


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def _seconds(timed: tuple[float, Any]) -> float:
    return timed[0]


def _say(line: str) -> None:
    print(line, flush=True)
