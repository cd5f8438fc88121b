"""`fastkl bench --suite scaling`: what its curves ask, what they keep, and what they say of their knees."""

import io
import json
import os
from contextlib import redirect_stdout
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import entropy

from fastkl.bench import knees, rounds, scaling
from fastkl.bench.case import Case
from fastkl.bench.contestant import Peer
from fastkl.bench.jobs import ROWS, SCALING, SUITES
from fastkl.bench.machine import Cache, caches, cores, describe
from fastkl.bench.measure import Settings, measure
from fastkl.bench.peers import FASTKL, FLOOR
from fastkl.cli import main

JOBS = {job.name: job for job in SCALING}
_CACHES = [Cache(1, 32 << 10), Cache(2, 1 << 20), Cache(3, 16 << 20)]


@pytest.fixture(scope="module")
def printed_and_stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """The suite on as little data and time as there can be, for two threads."""
    figures = tmp_path_factory.mktemp("scaling") / "figures.json"
    words = ["bench", "--suite", "scaling", "--threads", "2", "--scale", "2e-3", "--seconds", "1e-4"]
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as printed:
        patch.setattr(rounds, "_prepare", lambda threads: None)  # which waits for quiet
        assert main([*words, "--json", str(figures)]) == 0
    return printed.getvalue(), json.loads(figures.read_text())


@pytest.fixture
def a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """One with three caches, and 8 cores that are 16 CPUs."""
    monkeypatch.setattr(knees, "caches", lambda: _CACHES)
    monkeypatch.setattr(knees, "cores", lambda: 8)


def test_every_contestant_is_measured_at_every_value(printed_and_stored: tuple[str, dict[str, Any]]) -> None:
    _, stored = printed_and_stored
    assert [job["name"] for job in stored["jobs"]] == list(JOBS)
    for job in stored["jobs"]:
        curve, peers = job["curve"], [peer.name for peer in JOBS[job["name"]].peers]
        values = list(dict.fromkeys(line["at"] for line in job["lines"]))
        assert values == sorted(values)
        assert len(values) >= 2
        names = [f"{who}, {scaling.counted(value, curve['variable'])}" for value in values for who in peers]
        assert [line["name"] for line in job["lines"]] == names
        for line in job["lines"]:
            assert 0 < line["best"] <= line["median"]
            assert line["rounds"] >= 3
    by_name = {job["name"]: job["curve"] for job in stored["jobs"]}
    assert by_name["threads-float64"]["per_item"] == by_name["sizes"]["per_item"] == 16
    assert by_name["threads-float32"]["per_item"] == 8
    assert (by_name["threads-pairs"]["per_item"], by_name["threads-pairs"]["unit"]) == (2, "GFLOP/s")


def test_what_the_curves_show_is_printed_below_them(printed_and_stored: tuple[str, dict[str, Any]]) -> None:
    text, stored = printed_and_stored
    for job in stored["jobs"]:
        section = text.split(f"\n{job['name']}: ")[1].split("\n\n")[0]
        assert section.count("  note: ") == len(job["curve"]["notes"]) >= 2
        for note in job["curve"]["notes"]:
            assert note in " ".join(section.split())
        assert max(map(len, section[section.index("  note:") :].splitlines())) <= 120


def test_ratios_are_to_the_floor_on_as_many_threads(printed_and_stored: tuple[str, dict[str, Any]]) -> None:
    peers = {peer.name: peer for peer in scaling.ONE_AND_ALL_THREADS}
    floors = {name: scaling.floor_of(peer, list(peers.values())) for name, peer in peers.items()}
    assert {name: floor.name for name, floor in floors.items() if floor} == {
        name: name.replace("fastkl", "read floor") for name in peers
    }
    assert {scaling.floor_of(peer, scaling.BOTH_SCALINGS) for peer in scaling.BOTH_SCALINGS} == {FLOOR}
    assert scaling.floor_of(FASTKL, [FASTKL]) is None
    for job in printed_and_stored[1]["jobs"]:
        key, other = ("floor_ratio", "scipy_ratio")[:: -1 if job["name"] == "threads-pairs" else 1]
        for line in job["lines"]:
            assert line[key] > 0
            assert line[other] is None
            if not line["name"].startswith("fastkl"):
                assert line[key] == 1


def test_the_threads_of_a_point_are_those_that_are_said() -> None:
    case = Case(np.ones((4, 3)), np.ones((4, 3)), 5, False)
    assert [scaling.OVER_THREADS.at(case, value).threads for value in (1, 4)] == [1, 4]
    one, _, everyone, _ = (peer.change(case).threads for peer in scaling.ONE_AND_ALL_THREADS)
    assert (one, everyone) == (1, 5)


@pytest.mark.parametrize(
    ("most", "numbers"),
    [
        (1, [1]),
        (2, [1, 2]),
        (3, [1, 2, 3]),
        (4, [1, 2, 3, 4]),
        (6, [1, 2, 4, 6]),
        (16, [1, 2, 4, 8, 16]),
        (96, [1, 2, 4, 8, 16, 32, 64, 96]),
    ],
)
def test_numbers_of_threads(most: int, numbers: list[int]) -> None:
    assert scaling.numbers_of_threads(most) == numbers


@pytest.mark.parametrize("first", [1, 2, 7, 390, 1000])
@pytest.mark.parametrize("last", [1, 2, 3, 1000, 1001, 123_456, 10**9])
@pytest.mark.parametrize("per_decade", [1, 2])
def test_steps_go_from_the_first_to_the_last_evenly(first: int, last: int, per_decade: int) -> None:
    found = scaling.steps(first, last, per_decade)
    assert found[-1] == last
    assert found[0] == min(first, last)
    assert found == sorted(set(found))
    ratios = np.array(found[1:]) / found[:-1]
    assert (ratios[np.array(found[:-1]) >= 30] < 10 ** (1.6 / per_decade)).all()


def test_the_whole_suite_covers_what_it_is_for() -> None:
    sizes, lengths, counts = (JOBS[name] for name in ("sizes", "row-lengths", "row-counts"))
    values = {job.name: job.trial.values(job, 2) for job in (sizes, lengths, counts)}  # type: ignore[union-attr]
    assert values["sizes"][0] == 768
    assert values["sizes"][-1] == 10**8
    assert sizes.trial.values(replace(sizes, rows=10 * sizes.rows), 2)[-1] == 10**9  # type: ignore[union-attr]
    assert values["row-lengths"][:2] == [2, 10]
    assert values["row-lengths"][-1] == 10**7
    assert [values["row-counts"][i] for i in (0, -1)] == [1, 10**6]
    assert SUITES["scaling"] is SCALING
    assert next(job for job in ROWS if job.name == "growth").trial.values(sizes, 2)[0] == 99_840  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["sizes", "row-lengths", "row-counts"])
def test_points_are_of_the_shapes_that_they_say(name: str) -> None:
    job = JOBS[name].scaled(1e-3)
    curve = job.trial
    assert isinstance(curve, scaling.Curve)
    whole = job.case(1)
    for value in curve.values(job, 1):
        case = curve.at(whole, value)
        rows, bins = case.q.shape
        assert case.p.shape == case.q.shape
        assert np.shares_memory(case.p, whole.p), "a copy"
        expected = {"bins": rows * bins, "rows": rows, "bins a row": bins}
        assert expected[curve.variable] == value
        assert curve.variable != "bins a row" or whole.items - bins < rows * bins <= whole.items
        found, true = FASTKL.bind(replace(case, normalize=True))(), entropy(case.p, case.q, axis=1)
        np.testing.assert_allclose(found, true, rtol=1e-9, atol=1e-14)
        assert len(FLOOR.bind(case)()) >= 1


def _settings(**options: Any) -> Settings:
    return replace(Settings(1, 1e-4, 1, False), **options)


def _small(**options: Any) -> Any:
    return replace(JOBS["sizes"], rows=1000, bins=4, peers=(FLOOR, FASTKL), **options)


def test_large_takes_ten_times_the_rows_or_those_that_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "_prepare", lambda threads: None)
    for room, rows, about in ((10**9, 10_000, ""), (5500, 5500, "; there is no room for 10,000 rows")):
        job = _small(room=lambda bins, dtype, room=room: room)
        result = measure(job, _settings(large=True))
        assert (result.rows, result.about) == (rows, job.about + about)
        assert result.lines[-1].at == 4 * rows
    assert measure(_small(), _settings()).lines[-1].at == 4000
    assert scaling.room_for_overlapping(1 << 50, "float64") == 1


def test_what_is_not_installed_costs_its_own_points_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def bind(case: Case) -> Any:
        raise ModuleNotFoundError("No module named 'absent'", name="absent")

    monkeypatch.setattr(rounds, "_prepare", lambda threads: None)
    for peers in ((Peer("absent one", bind), FASTKL), (FLOOR, replace(FASTKL, bind=bind))):
        result = measure(replace(_small(), peers=peers), _settings())
        assert [line.note for line in result.lines if line.median is None] == ["not installed: absent"]
        assert len([line for line in result.lines if line.median]) >= 2
        assert result.curve is not None
        assert result.curve["variable"] == "bins"
    result = measure(replace(_small(), peers=(replace(FASTKL, bind=bind),)), _settings())
    assert [line.note for line in result.lines] == ["not installed: absent"]
    assert (result.curve or {})["notes"] == []


def test_the_growth_of_batches_is_a_curve_whose_ends_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "_prepare", lambda threads: None)
    job = replace(next(job for job in ROWS if job.name == "growth"), rows=4000)
    result = measure(job, _settings())
    assert [line.at for line in result.lines] == [99_840, 99_840, 1_024_000, 1_024_000]
    fastkl = [line for line in result.lines if line.name.startswith("fastkl")]
    (figure,) = result.figures
    assert figure.value is not None
    assert fastkl[0].best is not None
    assert fastkl[1].best is not None
    assert figure.at_best == pytest.approx(fastkl[1].best / fastkl[0].best)


@pytest.mark.usefixtures("a_machine")
def test_notes_of_sizes_find_the_fixed_cost_and_the_caches() -> None:
    sizes = [1000, 10_000, 100_000, 10**6, 10**7]
    fastkl = {size: 5000 / size + (0.5 if size < 10**7 else 0.8) for size in sizes}
    floor = dict(zip(sizes, [0.1, 0.2, 0.25, 0.4, 0.64], strict=True))
    points = {"read floor, 1 thread": floor, "fastkl, 1 thread": fastkl,
              "fastkl, all threads": {size: time / 2 for size, time in fastkl.items()}}  # fmt: skip
    notes = knees.notes_of("bins", JOBS["sizes"], 16, "GB/s", points)
    assert notes == [
        "fastkl, 1 thread: a call costs about 5 µs beside its bins; that is as much as 9,900 bins cost, and less than "
        "a tenth of it all beyond 99,000 bins.",
        "In the L1 cache, up to 2,000 bins, at 1,000: fastkl, 1 thread 5.5 ns per bin, 2.9 GB/s; read floor, "
        "1 thread 0.1 ns per bin, 160 GB/s.",
        "In the L2 cache, up to 66,000 bins, at 10,000: fastkl, 1 thread 1 ns per bin, 16 GB/s; read floor, 1 thread "
        "0.2 ns per bin, 80 GB/s.",
        "In the L3 cache, up to 1,000,000 bins, at 1,000,000: fastkl, 1 thread 0.505 ns per bin, 32 GB/s; read "
        "floor, 1 thread 0.4 ns per bin, 40 GB/s.",
        "From memory, beyond 1,000,000 bins, at 10,000,000: fastkl, 1 thread 0.8 ns per bin, 20 GB/s; read floor, "
        "1 thread 0.64 ns per bin, 25 GB/s.",
        "From 262,144 bins on fastkl takes a second thread: fewer are not worth its start; at 10,000,000 bins all "
        "threads are 2.00 times as fast as one.",
    ]


@pytest.mark.usefixtures("a_machine")
def test_notes_of_rows_count_their_bins() -> None:
    job = JOBS["row-counts"]
    fastkl = {rows: 3200 / (32 * rows) + 0.5 for rows in (1, 100, 10_000, 1_000_000)}
    notes = knees.notes_of("rows", job, 16, "GB/s", {"fastkl": fastkl})
    assert notes[0].startswith("fastkl: a call costs about 3.2 µs beside its bins; that is as much as 6,400 bins")
    assert notes[1] == "In the L1 cache, up to 2,000 bins, at 32: fastkl 100 ns per bin, 0.16 GB/s."
    flat = knees.notes_of("rows", job, 16, "GB/s", {"fastkl": {1: 1.0, 10: 0.9}})
    assert flat[0] == "fastkl: what a call costs beside its bins is less than they do from the first size on, 32 bins."


def test_a_system_that_does_not_tell_of_its_caches_and_cores_is_not_guessed_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knees, "caches", list)
    monkeypatch.setattr(knees, "cores", lambda: None)
    notes = knees.notes_of("bins", JOBS["sizes"], 16, "GB/s", {"fastkl": {100: 2.0, 10**7: 1.0}})
    assert len(notes) == 2
    assert not any("cache" in note or "memory" in note for note in notes)
    assert knees.marks_of("bins", JOBS["sizes"], 16, 1) == []
    assert knees.marks_of("threads", JOBS["threads-float64"], 16, 16) == []


@pytest.mark.usefixtures("a_machine")
def test_notes_of_threads_tell_who_waits_for_whom() -> None:
    floor = {1: 1.6, 2: 0.8, 4: 0.4, 8: 0.4, 16: 0.41}
    fastkl = {1: 3.2, 2: 1.6, 4: 0.5, 8: 0.42, 16: 0.42}
    notes = knees.notes_of("threads", JOBS["threads-float64"], 16, "GB/s", {"read floor": floor, "fastkl": fastkl})
    assert notes == [
        "read floor: 10 GB/s on 1 thread, 39 on 16, which is 3.90 times as much; the most is 40, on 4.",
        "fastkl: 5 GB/s on 1 thread, 38.1 on 16, which is 7.62 times as much; the most is 38.1, on 8.",
        "The memory gives 40 GB/s, 90% of it to 4 threads: further ones wait for it.",
        "fastkl is at 90% of the floor's rate from 8 threads on: there reading rules it.",
        "The 16 CPUs are 8 cores: of more than 8 threads two share a core.",
    ]
    notes = knees.notes_of(
        "threads", JOBS["threads-float64"], 16, "GB/s", {"read floor": {1: 1.6, 2: 0.8}, "fastkl": {1: 3.2, 2: 1.6}}
    )
    assert notes[2:] == [
        "Reading gains from threads up to 2, 20 GB/s: fewer do not fill the memory's bandwidth.",
        "fastkl is below 90% of the floor's rate on 2 threads: arithmetic rules it.",
    ]
    products = knees.notes_of(
        "threads", JOBS["threads-pairs"], 2, "GFLOP/s", {"bare product": {1: 0.1}, "fastkl": {1: 0.2}}
    )
    assert products[0] == "bare product: 20 GFLOP/s on 1 thread."
    assert "arithmetic rules" in products[-1]
    assert knees.notes_of("threads", JOBS["threads-float64"], 16, "GB/s", {"read floor": floor}) == []


@pytest.mark.usefixtures("a_machine")
def test_marks_stand_where_caches_are_full_and_threads_join() -> None:
    def marks(name: str, threads: int) -> dict[str, int]:
        job = JOBS[name]
        assert isinstance(job.trial, scaling.Curve)
        return {mark["label"]: mark["at"] for mark in knees.marks_of(job.trial.variable, job, 16, threads)}

    assert marks("sizes", 16) == {
        "L1 full": 2048, "L2 full": 65_536, "2nd thread": 262_144, "L3 full": 1 << 20, "16 threads": 16 << 17
    }  # fmt: skip
    assert list(marks("sizes", 1)) == ["L1 full", "L2 full", "L3 full"]
    assert marks("row-counts", 2) == {"L1 full": 64, "L2 full": 2048, "2nd thread": 8192, "L3 full": 32_768}
    assert list(marks("row-lengths", 2).values()) == [64, 1024, 262_144]
    assert marks("threads-float64", 16) == {"a thread on each core": 8}
    assert marks("threads-float64", 8) == {}


def test_a_second_thread_joins_where_the_mark_is(monkeypatch: pytest.MonkeyPatch) -> None:
    from fastkl import _engine

    asked: list[int] = []
    monkeypatch.setattr(_engine, "for_each_chunk", lambda work, chunks, threads: asked.append(min(chunks, threads)))
    for bins in (256, 32):
        for extra, threads in ((-1, []), (0, [2])):
            asked.clear()
            case = Case(*(np.ones((knees.SECOND_THREAD // bins + extra, bins)),) * 2, 2, False)
            FASTKL.bind(case)()
            assert [count for count in asked if count > 1] == threads, (bins, extra)


def test_caches_are_those_that_the_c_library_knows() -> None:
    names = {1: "SC_LEVEL1_DCACHE_SIZE", 2: "SC_LEVEL2_CACHE_SIZE", 3: "SC_LEVEL3_CACHE_SIZE"}
    known = {level: os.sysconf(name) for level, name in names.items() if name in os.sysconf_names}
    for cache in caches():
        assert known.get(cache.level, 0) in (0, cache.size)
    assert str(describe(set())["caches"]).count("L") == len(caches())
    assert (cores() or 1) <= int(str(describe(set())["cpus"]))
