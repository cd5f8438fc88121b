"""Interleaved timing: in each round every contestant runs once, so that what disturbs the machine disturbs all of them.

Ratios are taken within rounds, and their median is what counts; the best times are given beside it.
"""

import statistics
import time

import numpy as np

from fastkl._threads import for_each_chunk
from fastkl.bench.floor import CHUNK, products
from fastkl.bench.peers import Call

# Calls shorter than this are repeated until they take as long: a clock is worth a microsecond.
_SHORTEST, _MOST_CALLS = 0.004, 1 << 17
_FEWEST_ROUNDS = 3
_QUIET = 0.012  # the CPU time of other threads is told in steps of up to 4 ms
_AWAKE = 0.02


class Runner:
    """A contestant in the rounds, whose code is compiled: its calls timed, in ns per unit."""

    def __init__(self, call: Call, units: int) -> None:
        self.call, self.units, self.times = call, units, dict[int, float]()
        # Doubled, not taken from one call: the first finds nothing in the caches, and takes that of twenty.
        self.number = 1
        while (seconds := self._seconds()) < _SHORTEST and self.number < _MOST_CALLS:
            self.number *= 2
        self.expected = seconds

    def run(self, turn: int) -> None:
        """Time ``number`` calls."""
        self.times[turn] = self._seconds() / (self.number * self.units) * 1e9

    def _seconds(self) -> float:
        calls = range(self.number)
        start = time.perf_counter()
        for _ in calls:
            self.call()
        return time.perf_counter() - start


def play(runners: list[Runner], seconds: float, threads: int) -> None:
    """About ``seconds`` for each contestant; the slow ones sit out rounds, evenly, and the first one changes."""
    rounds = [max(_FEWEST_ROUNDS, int(seconds / (r.expected + _QUIET + _AWAKE))) for r in runners]
    most = max(rounds)
    for turn in range(most):
        active = [r for r, n in zip(runners, rounds, strict=True) if turn * n // most < (turn + 1) * n // most]
        first = turn % len(active)
        for runner in active[first:] + active[:first]:
            _prepare(threads)
            runner.run(turn)


def _prepare(threads: int) -> None:
    """Leave nothing of the contestant before: wait for its threads, then wake all CPUs.

    JAX and OpenBLAS were seen to keep CPUs busy for 0.1 s after the result was there; and a virtual CPU that has slept
    came back 15 ms late, so that both threads of a call ran on the other one.
    """
    patience = time.perf_counter() + 1
    while time.perf_counter() < patience:
        before = time.process_time()
        time.sleep(_QUIET)
        if time.process_time() - before < 0.1 * _QUIET:
            break
    values, end, dot = np.ones(CHUNK), time.perf_counter() + _AWAKE, products()

    def stay_awake(_: int) -> None:
        while time.perf_counter() < end:
            dot(values, values)

    for_each_chunk(stay_awake, threads, threads)


def paired_ratio(a: Runner, b: Runner) -> tuple[float, float]:
    """Time of a over time of b: the median over the rounds of both, and that of the best times."""
    both = a.times.keys() & b.times.keys()
    median = statistics.median(a.times[turn] / b.times[turn] for turn in both)
    return median, min(a.times.values()) / min(b.times.values())
