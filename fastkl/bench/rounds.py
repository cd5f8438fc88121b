"""Interleaved timing: in each round every contestant runs once, so that what disturbs the machine disturbs all of them.

Ratios are taken within rounds, and their median is what counts; the best times are given beside it.
"""

import math
import statistics
import time

from fastkl.bench.peers import Call

# Calls shorter than this are repeated until they take as long: a clock and a pause are worth microseconds.
_SHORTEST = 0.004
_FEWEST_ROUNDS = 3
# Other libraries' threads spin for a while after their work.
_PAUSE = 0.002


class Runner:
    """A contestant in the rounds: its calls timed, in ns per unit."""

    def __init__(self, call: Call, units: int, expected: float) -> None:
        self.call, self.times, self.spent = call, dict[int, float](), 0.0
        self.number = max(1, min(100_000, math.ceil(_SHORTEST / max(expected, 1e-8))))
        self.units = units * self.number

    def run(self, turn: int) -> None:
        """Time ``number`` calls."""
        time.sleep(_PAUSE)
        calls = range(self.number)
        start = time.perf_counter()
        for _ in calls:
            self.call()
        elapsed = time.perf_counter() - start
        self.times[turn] = elapsed / self.units * 1e9
        self.spent += elapsed


def runner_of(call: Call, units: int) -> Runner:
    call()  # compiles
    start = time.perf_counter()
    call()
    return Runner(call, units, time.perf_counter() - start)


def play(runners: list[Runner], seconds: float) -> None:
    """Rounds until each has had its time; who comes first changes from round to round."""
    turn = 0
    while active := [r for r in runners if r.spent < seconds or len(r.times) < _FEWEST_ROUNDS]:
        first = turn % len(active)
        for runner in active[first:] + active[:first]:
            runner.run(turn)
        turn += 1


def paired_ratio(a: Runner, b: Runner) -> tuple[float, float]:
    """Time of a over time of b: the median over the rounds of both, and that of the best times."""
    both = a.times.keys() & b.times.keys()
    median = statistics.median(a.times[turn] / b.times[turn] for turn in both)
    return median, min(a.times.values()) / min(b.times.values())
