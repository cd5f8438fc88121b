"""Interleaved timing: in each round every contestant runs once, so that what disturbs the machine disturbs all of them.

Ratios are taken within rounds, and their median is what counts; the best times are given beside it.
"""

import math
import statistics
import time
from collections.abc import Callable

from fastkl.bench.peers import Call

# Calls shorter than this are repeated until they take as long: a clock is worth a microsecond.
_SHORTEST = 0.004
_FEWEST_ROUNDS = 3


class Runner:
    """A contestant in the rounds: its calls timed, in ns per unit."""

    def __init__(self, call: Call, units: int, expected: float) -> None:
        self.call, self.times, self.spent = call, dict[int, float](), 0.0
        self.number = max(1, min(100_000, math.ceil(_SHORTEST / max(expected, 1e-8))))
        self.units = units * self.number

    def run(self, turn: int, prepare: Callable[[], None]) -> None:
        """Time ``number`` calls, and count the preparation as time spent too."""
        begin = time.perf_counter()
        prepare()
        calls = range(self.number)
        start = time.perf_counter()
        for _ in calls:
            self.call()
        end = time.perf_counter()
        self.times[turn] = (end - start) / self.units * 1e9
        self.spent += end - begin


def runner_of(call: Call, units: int) -> Runner:
    call()  # compiles
    start = time.perf_counter()
    call()
    return Runner(call, units, time.perf_counter() - start)


def play(runners: list[Runner], seconds: float, prepare: Callable[[], None]) -> None:
    """Rounds until each has had its time; who comes first changes from round to round."""
    turn = 0
    while active := [r for r in runners if r.spent < seconds or len(r.times) < _FEWEST_ROUNDS]:
        first = turn % len(active)
        for runner in active[first:] + active[:first]:
            runner.run(turn, prepare)
        turn += 1


def paired_ratio(a: Runner, b: Runner) -> tuple[float, float]:
    """Time of a over time of b: the median over the rounds of both, and that of the best times."""
    both = a.times.keys() & b.times.keys()
    median = statistics.median(a.times[turn] / b.times[turn] for turn in both)
    return median, min(a.times.values()) / min(b.times.values())
