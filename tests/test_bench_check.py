"""`fastkl bench --check`: the verdict on simulated machines, both of its errors counted; and the command around it."""

import importlib
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastkl.bench import check, guard, jobs, rounds
from fastkl.bench.measure import Settings
from fastkl.bench.verdict import (
    MOST_MEASUREMENTS,
    Measurement,
    Pair,
    Verdict,
    allowed,
    merged,
    slowdown,
    verdict,
)
from fastkl.cli import main

MARGIN = guard.MARGIN
STATES: tuple[Pair, Pair] = ((0.21, 0.30), (0.34, 0.38))  # ns of the floor, ns of the job, of two states of memory
QUICK, SLOW = STATES


class Machine:
    """Gives measurements of a job that is ``slower`` by a factor, with the noise of a real machine."""

    def __init__(self, seed: int, states: tuple[Pair, ...] = STATES, slower: float = 1, rounds: int = 40) -> None:
        self.rng, self.states, self.slower, self.rounds = np.random.default_rng(seed), states, slower, rounds
        self.measured = 0

    def measure(self, noise: float = 0.03, outliers: float = 0.1) -> Measurement:
        """One process' rounds: a state that may change, a bias, a drift of both times, noise and outliers in each."""
        rng, n = self.rng, self.rounds * (1 + self.measured)  # as `check` does, longer each time
        self.measured += 1
        state = np.cumsum(rng.random(n) < 0.02) + rng.integers(len(self.states))
        base = np.array(self.states)[state % len(self.states)]
        bias = np.exp(rng.normal(0, 0.02))
        drift = np.linspace(1, np.exp(rng.normal(0, 0.04)), n)[:, None]
        jitter = np.exp(rng.normal(0, noise, (n, 2)))
        jitter[rng.random((n, 2)) < outliers] *= rng.uniform(1.5, 4)
        times = base * drift * jitter * [1, bias * self.slower]
        return Measurement(tuple((float(a), float(b)) for a, b in times), 0.01)


def said(measure: Callable[[], Measurement], stored: list[Pair]) -> Verdict:
    measurements = [measure()]
    while (found := verdict(measurements, stored, MARGIN)) is None:
        measurements.append(measure())
    assert len(measurements) <= MOST_MEASUREMENTS
    return found


def stored_by(seed: int) -> list[Pair]:
    """What --update stores, of three runs in each state."""
    typical = [Machine(10_000 + seed + 1000 * k, (state,)).measure().typical for k in range(3) for state in STATES]
    return merged([], typical, MARGIN)


@pytest.mark.parametrize("count", [20, 40])
def test_a_thousand_clean_runs_and_no_false_alarm(count: int) -> None:
    verdicts = [said(Machine(seed, rounds=count).measure, stored_by(seed)) for seed in range(1000)]
    assert verdicts.count(Verdict.SLOWER) == 0
    assert verdicts.count(Verdict.EXPECTED) >= 980


@pytest.mark.parametrize("count", [20, 40])
def test_of_a_thousand_slowdowns_by_30_percent_hardly_one_is_missed(count: int) -> None:
    verdicts = [said(Machine(seed, slower=1.3, rounds=count).measure, stored_by(seed)) for seed in range(1000)]
    assert verdicts.count(Verdict.SLOWER) >= 990
    assert verdicts.count(Verdict.EXPECTED) <= 5


@pytest.mark.parametrize("stored", STATES)
@pytest.mark.parametrize("now", STATES)
def test_a_state_of_the_memory_that_was_never_stored_is_no_slowdown(stored: Pair, now: Pair) -> None:
    verdicts = [said(Machine(seed, (now,)).measure, [stored]) for seed in range(300)]
    assert Verdict.SLOWER not in verdicts


def test_a_noisy_machine_is_not_accused_either() -> None:
    def measure(machine: Machine) -> Callable[[], Measurement]:
        return lambda: machine.measure(noise=0.25, outliers=0.3)

    verdicts = [said(measure(Machine(seed)), stored_by(seed)) for seed in range(500)]
    assert verdicts.count(Verdict.SLOWER) <= 1


def test_ratio_alone_would_not_do() -> None:
    # In the slow state a job slower by 30 % takes as many floors as a sound one does in the quick state.
    assert SLOW[1] * 1.3 / SLOW[0] == pytest.approx(QUICK[1] / QUICK[0], rel=0.02)
    assert SLOW[1] * 1.3 / allowed(STATES, SLOW[0]) == pytest.approx(1.3)
    assert allowed(STATES, QUICK[0]) == QUICK[1]


def test_allowed_time_follows_the_yardstick_up_and_never_down() -> None:
    assert allowed([(2.0, 3.0)], 4.0) == 6.0
    assert allowed([(2.0, 3.0)], 1.0) == 3.0
    assert allowed([(2.0, 3.0), (4.0, 3.5)], 4.0) == 3.5


def test_interval_holds_the_median_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(4000):
        values = np.exp(rng.standard_t(2, 25))
        interval = slowdown(Measurement(tuple((1.0, float(v)) for v in values)), [(1.0, 1.0)])
        held += interval.low <= 1 <= interval.high
    # Of 25 values the 6th and the 20th: 1 - 2 P(at most 5 heads of 25) = 0.9959.
    assert held / 4000 == pytest.approx(0.9959, abs=0.004)


def test_ranks_of_the_interval() -> None:
    pairs = tuple((1.0, float(v)) for v in range(1, 26))
    interval = slowdown(Measurement(pairs), [(1.0, 1.0)])
    assert (interval.low, interval.median, interval.high) == (6, 13, 20)
    few = slowdown(Measurement(pairs[:7]), [(1.0, 1.0)])  # 2 / 2^7 is more than 1 %
    assert (few.low, few.median, few.high) == (-math.inf, 4, math.inf)


def flat(factor: float, others: float = 0.0, spread: float = 0.01) -> Measurement:
    """A measurement whose interval is narrow, about a factor."""
    return Measurement(tuple((1.0, float(factor * v)) for v in np.linspace(1 - spread, 1 + spread, 25)), others)


@pytest.mark.parametrize(
    ("measurements", "expected"),
    [
        ([flat(1.0)], Verdict.EXPECTED),
        ([flat(1.1)], Verdict.EXPECTED),
        ([flat(0.5)], Verdict.FASTER),
        ([flat(1.3)], None),
        ([flat(1.3), flat(1.3)], Verdict.SLOWER),
        ([flat(1.3), flat(1.0)], Verdict.EXPECTED),
        ([flat(1.3), flat(1.2, spread=0.3)], None),
        ([flat(1.3), flat(1.2, spread=0.3), flat(1.3)], Verdict.SLOWER),
        ([flat(1.3), flat(1.2, spread=0.3), flat(1.2, spread=0.3)], Verdict.UNCLEAR),
        ([flat(1.3, others=0.5)] * 2, None),
        ([flat(1.3, others=0.5)] * 3, Verdict.UNCLEAR),
        ([flat(1.0, others=0.5)], Verdict.EXPECTED),
        ([flat(1.3, others=0.5), flat(1.3), flat(1.3)], Verdict.SLOWER),
    ],
)
def test_one_acquits_two_accuse_the_disturbed_accuse_nobody(
    measurements: list[Measurement], expected: Verdict | None
) -> None:
    assert verdict(measurements, [(1.0, 1.0)], 0.15) == expected


def test_without_anything_stored_there_is_no_verdict() -> None:
    assert verdict([flat(9.0)], [], 0.15) is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ([], [QUICK], [QUICK]),
        ([QUICK], [SLOW], [QUICK, SLOW]),  # another state: both stay
        ([SLOW], [QUICK], [QUICK, SLOW]),
        ([QUICK], [(0.212, 0.29)], [(0.212, 0.29)]),  # the same state: the new one
        ([QUICK], [(0.34, 0.6)], [(0.34, 0.6)]),  # slower than the old one allows: it goes
        ([], [(0.21, 0.30), (0.21, 0.35), (0.21, 0.31)], [(0.21, 0.31)]),  # of one state: the middle one
    ],
)
def test_what_update_keeps(old: list[Pair], new: list[Pair], expected: list[Pair]) -> None:
    assert merged(old, new, MARGIN) == expected


def test_update_always_keeps_something_new_and_allows_what_that_takes() -> None:
    rng = np.random.default_rng(3)
    for _ in range(2000):
        old, new = (
            [(float(a), float(b)) for a, b in np.exp(rng.normal(0, 0.5, (rng.integers(least, 6), 2)))]
            for least in (0, 1)
        )
        pairs = merged(old, new, MARGIN)
        kept = set(pairs) & set(new)
        assert kept
        for at, time in kept:
            assert time <= allowed(pairs, at) * (1 + MARGIN)


def test_every_job_with_a_floor_or_a_product_is_checked() -> None:
    chosen = {job.name: check.yardstick_of(job) for suite in jobs.SUITES.values() for job in suite}
    names = {name: peer.name for name, peer in chosen.items() if peer}
    assert names["float64"] == names["js"] == names["logits"] == "read floor"
    assert names["pairs"] == names["nearest"] == names["fits-reverse"] == "bare product"
    assert names["fits-table-norm"] == "scipy.stats cdf"
    without = {name for name, peer in chosen.items() if not peer}
    assert {name for name in without if not name.endswith("memory")} == {
        "growth", "sparse", "fits-volume", "fits-refined-reverse", "fits-refined-forward",
        "volume-npy", "volume-parquet", "volume-zarr", "volume-dask", "volume-distributed", "volume-kills",
        "threads-float64", "threads-float32", "threads-pairs", "sizes", "row-lengths", "row-counts",
    }  # fmt: skip


def test_a_measurement_has_the_times_of_both_in_every_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "_prepare", lambda threads: None)  # which waits for quiet
    job = next(job for job in jobs.ROWS if job.name == "float64")
    found = check.measure(job, Settings(1e-4, 0.1, 1, False))
    assert len(found.pairs) >= 2
    assert all(a > 0 and b > 0 for a, b in found.pairs)
    assert found.typical[1] == pytest.approx(found.typical[0] * found.ratio)


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    """The command with `measure` simulated: its jobs are so many times slower."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str, slower: float = 1.0, others: float = 0.0) -> int:
        for module in (check, guard):
            monkeypatch.setattr(module, "measure", lambda *_: flat(1.5 * slower, others))
        return main(["bench", "--check", "--jobs", "float*", "--expected", "stored.json", *words])

    return call


def test_command_stores_passes_and_fails(simulated: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulated("--update") == 0
    entries = json.loads(Path("stored.json").read_text())
    assert [sorted(each) for each in entries.values()] == [
        ["float32", "float32-normalize", "float64", "float64-normalize"]
    ]
    assert Path("stored.json").read_text().count("\n") == 8  # a line a job
    capsys.readouterr()
    assert simulated() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("compared with what was stored on 2")
    assert " ".join(lines[4].split()) == "float64 1.50 read floor 1.00 0.99 to 1.01 1 as expected"
    assert simulated(slower=1.3) == 1
    text = capsys.readouterr().out
    assert text.count("SLOWER") == 4
    assert text.endswith("measured twice: float64, float64-normalize, float32, float32-normalize\n")
    assert simulated("--margin", "0.5", slower=1.3) == 0
    capsys.readouterr()
    assert simulated(slower=1.3, others=0.4) == 0
    assert "unclear (other processes took 40% of the CPUs)" in capsys.readouterr().out


def test_update_of_some_jobs_leaves_others_and_other_machines_alone(simulated: Any) -> None:
    assert simulated("--update") == 0
    stored = json.loads(Path("stored.json").read_text())
    stored["another machine"] = {"float64": {"stored": "2020-01-01", "pairs": [[1.0, 2.0]]}}
    Path("stored.json").write_text(json.dumps(stored))
    assert simulated("--update", "--jobs", "float64", slower=2.0) == 0
    machine = next(name for name in stored if name != "another machine")
    stored[machine]["float64"]["pairs"] = [[1.0, 3.0]]
    assert json.loads(Path("stored.json").read_text()) == stored


def test_on_an_unknown_machine_it_says_so_and_passes(simulated: Any, capsys: pytest.CaptureFixture[str]) -> None:
    Path("stored.json").write_text("{}")
    assert simulated(slower=9.0) == 0
    text = capsys.readouterr().out
    assert "nothing is stored for this machine" in text
    assert text.count("nothing stored") == 4


def test_threads_and_scale_are_part_of_what_is_compared(simulated: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulated("--update") == 0
    for words in (["--threads", "2"], ["--scale", "0.2"]):
        assert simulated(*words, slower=9.0) == 0
        assert "nothing is stored for this machine" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "words", "status", "said"),
    [
        (None, [], 2, "stored.json does not exist; --update makes it"),
        ("{", [], 1, "stored.json does not hold what `fastkl bench --check --update` writes"),
        ('{"a": {"float64": {"pairs": [1]}}}', ["--update"], 1, "stored.json does not hold what"),
        ('{"a": {"float64": {"pairs": [[1, 2]]}}}', [], 1, "stored.json does not hold what"),
        ('{"a": {"float64": {"stored": "x", "pairs": [[0, 2]]}}}', [], 1, "stored.json does not hold what"),
        ('{"a": {"float64": {"stored": "x", "pairs": []}}}', [], 1, "stored.json does not hold what"),
        ("{}", ["--json", "x.json"], 2, "--check takes no --json, --html or --large"),
        ("{}", ["--jobs", "one-p-memory"], 2, "no job called one-p-memory has a floor or a product"),
        ("{}", ["--margin", "0"], 2, "above zero"),
        ("{}", ["--suite", "nothing"], 2, "there is no suite nothing, only rows"),
        ("{}", ["--update", "--expected", "no/x.json"], 2, "no is not a folder"),
    ],
)
def test_wrong_words_and_files_are_one_line(
    content: str | None, words: list[str], status: int, said: str, simulated: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        Path("stored.json").write_text(content)
    assert simulated(*words) == status
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert content is None or Path("stored.json").read_text() == content


def test_update_without_check_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--update"]) == 2
    assert capsys.readouterr().err == "fastkl: --update, --expected and --margin need --check\n"


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The experiment on real machines, `benchmarks/planted.py`."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
    return importlib.import_module("benchmarks.planted")


def test_a_planted_slowdown_is_as_large_as_it_says(planted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 0.0

    def now() -> float:
        nonlocal clock
        clock += 1e-3
        return clock

    def call() -> str:
        nonlocal clock
        clock += 10
        return "answer"

    monkeypatch.setattr(planted.time, "perf_counter", now)
    assert planted.slowed(call, 0.3)() == "answer"
    assert clock == pytest.approx(13, abs=0.01)


def test_a_planted_job_differs_in_its_own_call_alone(planted: Any) -> None:
    job = next(job for job in jobs.ROWS if job.name == "float64")
    slow = planted.planted(job, 0.3)
    changed = [old.name for old, new in zip(job.peers, slow.peers, strict=True) if old.bind is not new.bind]
    assert changed == ["fastkl"]
    case = job.scaled(1e-4).case(1)
    before, after = (next(p for p in each.peers if p.name == "fastkl").bind(case)() for each in (job, slow))
    assert np.array_equal(before, after)


@pytest.mark.parametrize(
    ("clean", "slow", "wrong"),
    [
        (Verdict.EXPECTED, Verdict.SLOWER, 0),
        (Verdict.SLOWER, Verdict.SLOWER, 4),
        (Verdict.EXPECTED, Verdict.UNCLEAR, 4),
        (Verdict.EXPECTED, Verdict.EXPECTED, 4),
    ],
)
def test_experiment_counts_both_errors(
    clean: Verdict,
    slow: Verdict,
    wrong: int,
    planted: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(part: float, expected: Path, args: Any) -> dict[str, Any]:
        return {name: [str(slow if part else clean), 1 + part, 0.01] for name in args.jobs}

    monkeypatch.setattr(planted, "_in_a_new_process", run)
    monkeypatch.setattr(sys, "argv", ["planted.py", "--runs", "4", "--expected", "x.json", "--jobs", "js"])
    assert planted.main() == (1 if wrong else 0)
    assert f"{wrong} wrong verdicts" in capsys.readouterr().out


def test_what_comes_with_fastkl_can_be_read() -> None:
    for entries in guard.read(guard.STORED).values():
        assert set(entries) <= {job.name for suite in jobs.SUITES.values() for job in suite}
