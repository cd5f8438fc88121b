"""`fastkl bench`, its jobs and contestants: they run and say the truth. Times are not judged."""

import io
import json
import math
import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest

from fastkl.bench import data, jobs, measure, report, rounds
from fastkl.bench.case import Case
from fastkl.bench.machine import Others, free_memory
from fastkl.bench.pairs import PairsCase
from fastkl.bench.peers import KL, Unsuitable
from fastkl.bench.rounds import Runner, paired_ratio, play
from fastkl.bench.tables import SCIPY_TABLE, TABLE
from fastkl.bench.truth import Truth, extended_divergence, has_extended_precision
from fastkl.cli import main

# Libraries that fastkl is compared with warn of each other, and jax's threads of forks.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """The printed table and the JSON of all jobs, on as little data and time as there can be."""
    figures = tmp_path_factory.mktemp("bench") / "figures.json"
    with redirect_stdout(io.StringIO()) as printed, pytest.MonkeyPatch.context() as patch:
        patch.setattr(rounds, "_FEWEST_ROUNDS", 1)
        assert main(["bench", "--scale", "5e-4", "--seconds", "1e-4", "--json", str(figures)]) == 0
    return printed.getvalue(), json.loads(figures.read_text())


def test_table_lists_every_job_contestant_and_target(session: tuple[str, dict[str, Any]]) -> None:
    text, _ = session
    for job in jobs.ROWS:
        section = text.split(f"\n{job.name}: ")[1].split("\n\n")[0]
        assert job.about in section
        for peer in job.peers:
            assert f"  {peer.name}" in section
        for target in job.targets:
            assert f"-> {target.figure}" in section


def test_json_has_every_job_with_its_figures(session: tuple[str, dict[str, Any]]) -> None:
    _, stored = session
    assert [job["name"] for job in stored["jobs"]] == [job.name for job in jobs.ROWS]
    assert stored["machine"]["cpus"] >= 1
    assert stored["machine"]["versions"]["scipy"]
    for job in stored["jobs"]:
        for figure in job["figures"]:
            needs_a_peer = any(name in figure["name"] for name in ("jax", "numkong", "of the process"))
            assert needs_a_peer or math.isfinite(figure["value"])


def test_cpu_time_of_other_processes_is_told_from_our_own() -> None:
    others = Others()
    start = time.monotonic()
    while time.monotonic() < start + 0.3:
        pass
    alone = others.share()
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        others = Others()
        time.sleep(0.5)
        disturbed = others.share()
        process.kill()
    if alone is not None and disturbed is not None:
        assert 0 <= alone <= 1
        assert 0 < disturbed <= 1


@pytest.mark.parametrize(
    ("suite", "scale"), [("divergences", "5e-4"), ("pairs", "0.006"), ("fits", "1e-3"), ("volume", "1e-4")]
)
def test_the_other_suites_run(
    suite: str, scale: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = tmp_path / "figures.json"
    monkeypatch.setattr(rounds, "_prepare", lambda threads: None)  # which waits for quiet
    monkeypatch.setattr(rounds, "_FEWEST_ROUNDS", 1)
    assert main(["bench", "--suite", suite, "--scale", scale, "--seconds", "1e-4", "--json", str(figures)]) == 0
    text, stored = capsys.readouterr().out, json.loads(figures.read_text())
    assert [job["name"] for job in stored["jobs"]] == [job.name for job in jobs.SUITES[suite]]
    for job in jobs.SUITES[suite]:
        section = text.split(f"\n{job.name}: ")[1].split("\n\n")[0]
        for target in job.targets:
            assert f"-> {target.figure}" in section
    for job, result in zip(jobs.SUITES[suite], stored["jobs"], strict=True):
        peers = {peer.name: peer for peer in job.peers}
        for line in result["lines"]:
            assert "failed" not in line["note"], (job.name, line)
            if line["error"] is not None:
                assert line["error"] < peers[line["name"]].rtol[job.dtype == "float32"], (job.name, line["name"])
    if suite == "divergences":  # all pairs are as exact as they are asked to be
        assert_fastkl_is_exact(stored)


def test_truth_of_near_rows_agrees_with_mpmath() -> None:
    p, q = data.near_pairs(20, 64, "float64")
    case = PairsCase(p, q, 1, True)
    for i in range(20):
        with mpmath.workdps(50):
            terms = [a * mpmath.log(mpmath.mpf(a) / b) for a, b in zip(p[i].tolist(), q[i].tolist(), strict=True)]
            true = mpmath.fsum(terms) / mpmath.fsum(p[i].tolist())
            found = extended_divergence(p[i], q[i], case)
            assert not has_extended_precision() or abs(mpmath.mpf(float(found)) / true - 1) < 1e-15


def test_fastkl_is_exact_in_every_job(session: tuple[str, dict[str, Any]]) -> None:
    assert_fastkl_is_exact(session[1])


def assert_fastkl_is_exact(stored: dict[str, Any]) -> None:
    for job in stored["jobs"]:
        for line in job["lines"]:
            if line["name"].startswith("fastkl") and line["error"] is not None:
                assert line["error"] < (1e-5 if job["dtype"] == "float32" else 1e-13)


def test_readme_gets_the_table_between_its_markers(
    session: tuple[str, dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("figures.json").write_text(json.dumps(session[1]))
    readme = Path("README.md")
    readme.write_text("# Top\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nbottom\n")
    assert main(["bench", "--readme", "figures.json"]) == 0
    once = readme.read_text()
    assert once.startswith("# Top\n<!-- bench:begin -->\n| ")
    assert once.endswith("<!-- bench:end -->\nbottom\n")
    assert "old" not in once
    rows = [line for line in once.splitlines() if line.startswith("|")]
    assert len({row.count("|") for row in rows}) == 1
    assert all(any(job.about in row for row in rows) for job in jobs.ROWS if job.measured == "time")
    assert rows[-1].startswith("| largest relative error, single precision | ")
    assert main(["bench", "--readme", "figures.json"]) == 0
    assert readme.read_text() == once


def test_readme_without_markers_is_left_alone(
    session: tuple[str, dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("figures.json").write_text(json.dumps(session[1]))
    Path("README.md").write_text("# Top\n")
    assert main(["bench", "--readme", "figures.json"]) == 1
    assert Path("README.md").read_text() == "# Top\n"
    assert "bench:begin" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{}", " does not hold what `fastkl bench --json` writes"),
        ("[1]", " does not hold what `fastkl bench --json` writes"),
        ('{"jobs": [{"name": "float64"}]}', " does not hold what `fastkl bench --json` writes"),
        ("{", " is no JSON: Expecting property name"),
        ('{"jobs": []}', ": there is no job that SciPy does too"),
        (b"\xff\x00", ": 'utf-8' codec can't decode"),
    ],
)
def test_figures_for_the_readme_that_are_none_are_said_so_of_their_file(
    content: str | bytes, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("README.md").write_text("# Top\n<!-- bench:begin -->\nold\n<!-- bench:end -->\n")
    Path("e.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert main(["bench", "--readme", "e.json"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"fastkl: e.json{said}")
    assert error.count("\n") == 1
    assert "old" in Path("README.md").read_text()


@pytest.mark.parametrize(
    ("target", "said"),
    [("old.json", "old.json exists; --force replaces it"), ("nodir/x.json", "nodir is not a folder")],
)
def test_where_figures_can_not_go_is_said_before_anything_is_measured(
    target: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("old.json").write_text("precious")
    monkeypatch.setattr(measure, "measure", lambda *_: pytest.fail("measured before it was refused"))
    assert main(["bench", "--jobs", "one-pair", "--json", target]) == 2
    assert capsys.readouterr() == ("", f"fastkl: {said}\n")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["precious"]


def test_figures_are_replaced_when_told_so_and_grow_job_by_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(rounds, "_prepare", lambda threads: None)  # which waits for quiet
    call = ["bench", "--jobs", "float[36][24]", "--scale", "1e-4", "--seconds", "1e-4", "--json", "figures.json"]
    for more in ([], ["--force"]):
        assert main([*call, *more]) == 0
        stored = json.loads(Path("figures.json").read_text())
        assert [job["name"] for job in stored["jobs"]] == ["float64", "float32"]


def test_help_says_whose_the_targets_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--help"]) == 0
    text = capsys.readouterr().out
    assert '"at most" are bounds that the developers of fastkl hold it to' in text
    assert "MISSED" in text
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--jobs", "nothing"], "float64-normalize"),
        (["--suite", "nothing"], "rows"),
        (["--scale", "0"], "above zero"),
        (["--threads", "0"], "whole number"),
    ],
)
def test_wrong_options_are_one_line_and_status_2(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_absent_library_is_named_and_skipped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("jax", "numexpr", "numkong", "torch"):
        monkeypatch.setitem(sys.modules, name, None)
    assert main(["bench", "--jobs", "float64", "--scale", "1e-4", "--seconds", "1e-4"]) == 0
    assert capsys.readouterr().out.count("(not installed)") == 4


def test_absent_extras_cost_their_lines_alone_and_no_folder_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("dask.array", "distributed", "pyarrow", "zarr"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(rounds, "_prepare", lambda threads: None)  # which waits for quiet
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert main(["bench", "--suite", "volume", "--jobs", "volume-[pzd]*", "--scale", "1e-4", "--seconds", "1e-4"]) == 0
    text = capsys.readouterr().out
    assert text.count("not installed") == 7  # both formats, all four of dask in memory, the workers
    assert text.count("not measured (at least") == 2
    assert list(tmp_path.iterdir()) == []


def test_jobs_shrink_to_the_room_that_there_is() -> None:
    job = replace(jobs.VOLUME[0], room=lambda bins, dtype: 12345)
    assert job.scaled(1e-3).that_fits() == job.scaled(1e-3)
    fits = job.that_fits()
    assert fits.rows == 12345
    assert fits.about == f"{job.about}; there is no room for 1,953,125 rows"
    rows = jobs.VOLUME[0].room
    assert rows is not None
    assert rows(1 << 50, "float64") == 1
    assert rows(256, "float64") <= free_memory() / (2 * 2 * 256 * 8)


def test_import_of_fastkl_leaves_the_bench_alone(run_python: Any) -> None:
    assert run_python("import fastkl, sys; print([m for m in sys.modules if 'bench' in m])") == "[]\n"


CASES = {job.name: job.scaled(2e-4).case(threads=2) for job in jobs.ROWS if job.measured == "time"}


@pytest.mark.parametrize("peer", [peer for peer in KL if peer.rtol is not None], ids=lambda peer: peer.name)
@pytest.mark.parametrize("name", CASES)
def test_every_contestant_does_the_job_that_is_asked(name: str, peer: Any) -> None:
    case = CASES[name]
    try:
        call = peer.bind(case)
    except (ImportError, Unsuitable) as reason:
        pytest.skip(str(reason))
    error = Truth(case).error_of(call())
    assert error is None or error < peer.rtol[case.q.dtype == np.float32]


# Who does nothing but a part of the job, or what there must be of it.
YARDSTICKS = ("read floor", "bare product", "two bare products", "in memory", "reading alone")
LIBRARIES = ("scipy", "numpy", "numba", "numexpr", "torch", "jax", "numkong", "scikit-learn")
TIMED = {job.name: job for suite in jobs.SUITES.values() for job in suite if job.measured == "time" and job.peers}


@pytest.mark.parametrize("name", TIMED)
def test_scipy_and_two_further_libraries_have_a_line_in_each_job(name: str) -> None:
    others = [peer for peer in TIMED[name].peers if not peer.name.startswith(("fastkl", *YARDSTICKS))]
    found = {library for library in LIBRARIES for peer in others if library in f"{peer.name} {peer.package}"}
    assert "scipy" in found
    assert len(found) >= 3


def test_a_library_that_has_nothing_for_a_job_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rounds, "_prepare", lambda threads: None)  # which waits for quiet
    words = ["--suite", "divergences", "--jobs", "renyi", "--scale", "1e-4", "--seconds", "1e-4"]
    assert main(["bench", *words]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  scipy ")]
    assert line.endswith("(has no divergence of powers)")


@pytest.mark.parametrize("family", ["norm", "gamma", "t"])
def test_tables_of_other_libraries_have_the_masses_of_scipy_stats(family: str) -> None:
    job = next(job for job in jobs.FITS if job.name == f"fits-table-{family}")
    whole = job.case(threads=2)
    case = replace(whole, every=64)
    (of_scipy,) = [peer.bind(case)() for peer in job.peers if peer is SCIPY_TABLE]
    assert of_scipy.shape == (128, 256)
    for peer in TABLE:
        try:
            found = np.asarray(peer.bind(case)())
        except (ImportError, Unsuitable):
            continue
        assert np.allclose(found, of_scipy, rtol=0, atol=1e-9), peer.name  # torch has ten digits of the gamma one


@pytest.mark.parametrize("normalize", [True, False])
def test_truth_agrees_with_mpmath(normalize: bool) -> None:
    p, q = data.half_zero(2, 40, "float64")
    q[1, p[1] == 0] = 0
    truth = Truth(Case(p, q, 1, normalize))
    with mpmath.workdps(40):
        row_p, row_q = ([mpmath.mpf(float(value)) for value in array[1]] for array in (p, q))
        if normalize:
            row_p, row_q = ([value / sum(row) for value in row] for row in (row_p, row_q))
        terms = [x * mpmath.log(x / y) if x else mpmath.mpf(0) for x, y in zip(row_p, row_q, strict=True)]
        value = float(sum(terms) - (0 if normalize else sum(row_p) - sum(row_q)))
    error = truth.error_of(np.array([np.inf, value]))
    assert error is None or error < 1e-15
    assert truth.error_of(np.array([np.inf, value * 1.5])) == pytest.approx(0.5)
    assert truth.error_of(np.array([1.0, value])) == math.inf
    assert truth.error_of(np.array([np.inf, np.nan])) == math.inf


@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize("items", [1, 5, 12, 100])
def test_head_of_a_case_keeps_rows_whole_or_at_least_their_totals(axis: int, items: int) -> None:
    q = np.arange(1.0, 29).reshape(4, 7)
    head = Case(q, q, 1, True, axis).head(items)
    bins = q.shape[axis]
    expected = {axis: min(bins, items), -1 - axis % 2: min(q.size // bins, max(1, items // bins))}
    assert head.q.shape == tuple(expected.get(d, expected.get(d - 2)) for d in range(2))
    assert np.array_equal(head.p, head.q)
    assert head.q.sum(axis) == pytest.approx(q.sum(axis)[: head.q.shape[-1 - axis % 2]])


def test_slow_contestants_sit_out_rounds_evenly() -> None:
    slow, quick = Runner(lambda: None, 1), Runner(lambda: None, 1)
    slow.expected, quick.expected = 0.05, 0.004
    play([slow, quick], seconds=0.3, threads=1)
    assert len(quick.times) == 8
    assert list(slow.times) == [2, 5, 7]


def test_contestants_take_turns() -> None:
    order: list[str] = []
    runners = [Runner(lambda name=name: order.append(name), 1) for name in "abc"]
    for runner in runners:
        runner.number = 1
    order.clear()
    play(runners, seconds=0, threads=1)
    assert order == list("abcbcacab")
    assert paired_ratio(runners[0], runners[0]) == (1, 1)


def test_short_calls_are_repeated_however_long_the_first_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    now, taken = [0.0], iter([0.003])

    def call() -> None:
        now[0] += next(taken, 1e-5)

    monkeypatch.setattr(rounds.time, "perf_counter", lambda: now[0])
    assert Runner(call, 1).number == 512  # of 10 us each
    taken = iter([0.005])
    assert Runner(call, 1).number == 1


STORED_SUMS = {
    "positive": 7.1826815,
    "histograms": 0.15985823,
    "counts": 7656,
    "two_positive": 15.975285,
    "two_histograms": 0.31600714,
    "two_counts": 15332,
    "half_zero": 15.913316,
    "columns": 14.44872,
    "one_against_many": 11.284703,
    "one_pair": 5.0667287,
    "overlapping": 21.500016,
}


def test_data_stay_as_they_are() -> None:
    sums = {
        "positive": data.positive(3, 5, "float64", 1).sum(),
        "histograms": data.histograms(3, 5, "float32", 3)[1, 2],
        "counts": data.counts(3, 5, "uint16", 5).sum(),
        "two_positive": sum(array.sum() for array in data.two_positive(3, 5, "float64")),
        "two_histograms": sum(array[0, 0] for array in data.two_histograms(3, 5, "float64")),
        "two_counts": sum(array.sum() for array in data.two_counts(3, 5, "uint32")),
        "half_zero": sum(array.sum() for array in data.half_zero(3, 5, "float64")),
        "columns": sum(array.sum() for array in data.columns(3, 5, "float64")),
        "one_against_many": sum(array.sum() for array in data.one_against_many(3, 5, "float64")),
        "one_pair": sum(array.sum() for array in data.one_pair(3, 5, "float64")),
        "overlapping": sum(array.sum() for array in data.overlapping(4, 5, "float64")),
    }
    assert {name: float(value) for name, value in sums.items()} == pytest.approx(STORED_SUMS, rel=1e-6)


def test_missed_targets_are_said_so() -> None:
    figure = {"name": "a / b", "value": 0.5, "bound": 0.75, "aim": 0.9, "at_most": False, "at_best": 0.6}
    result = {"name": "job", "figures": [figure, figure | {"value": 0.8}, figure | {"at_most": True}]}
    assert report.missed([result]) == ["job: a / b 0.50, 0.60 at best (at least 0.75, aim 0.9)"]
