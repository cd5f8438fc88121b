"""Runs that are killed, interrupted, out of disk, or whose files change: what is done is kept, and the end is the same.

Blocks are few rows, slowed, and noted one by one, so that there is a middle to be ended in.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from test_cli import ENVIRONMENT, _in_empty_folder, save  # noqa: F401 (every test has a folder of its own)

import fastkl
from fastkl import batch
from fastkl.batch import _job, _journal, _kinds, _run
from fastkl.cli import main

POSIX = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
ROWS = 1000

SLOWLY = """
import os, random, signal, sys, time
import fastkl
from pathlib import Path
from fastkl import batch
from fastkl.batch import _job, _journal, _kinds, _run
import fastkl.cli

_journal.SECONDS_BETWEEN = 0.0
_job.rows_together = lambda *_: 20
compute = _kinds.RowKind.compute

def slowly(self, start, blocks):
    time.sleep(0.008)
    return compute(self, start, blocks)

_kinds.RowKind.compute = slowly
fastkl.kl_divergence([[1.0] * 8] * 2, [[1.0] * 8] * 2)  # loads the kernels before forks

def run(out, **options):
    return batch.run("kl", "p.npy", "q.npy", out, on_invalid="report", **options)
"""

# Killed at a random moment after a random number of blocks.
KILLS = """
random.seed(int(sys.argv[2]))
reached = []
for kill in range(21):
    seen, tell = os.pipe()
    child = os.fork()
    if not child:
        try:
            run(sys.argv[1], resume=True, on_progress=lambda _: os.write(tell, b"."))
            os._exit(0)
        finally:
            os._exit(1)
    os.close(tell)  # so that a child that has ended is not waited for
    if kill < 20:
        for _ in range(random.randrange(4)):
            os.read(seen, 1)
        time.sleep(random.uniform(0.0, 0.01))
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    os.close(seen)
    journal = _journal.folder_of(Path(sys.argv[1])) / "journal.json"
    reached.append(journal.read_text().split('"done": ')[1].split(",")[0] if journal.exists() else "-")
    if status == 0:
        break
print(status, kill, *reached)
"""

# A process that ends at its n-th step to or on the disk, for every n; then another that goes on. What a first run
# without resume=True has finished is refused like any result, what one with it has finished is known by its note.
CRASHES = """
import shutil

_job.rows_together = lambda *_: 400

def crashing(n):
    def counted(call):
        def step(*arguments, **options):
            left[0] -= 1
            if left[0] == 0:
                os._exit(9)
            return call(*arguments, **options)
        return step
    left = [n]
    steps = (os, "replace"), (os, "fsync"), (Path, "unlink"), (Path, "mkdir"), (Path, "rmdir"), (Path, "touch")
    for module, name in steps:
        setattr(module, name, counted(getattr(module, name)))

def attempt(n, **options):
    child = os.fork()
    if not child:
        try:
            if n:
                crashing(n)
            run(sys.argv[1], **options)
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

expected, count, target, resume = None, 0, Path(sys.argv[1]), sys.argv[2] == "resume"
while True:
    status = attempt(count, resume=resume)
    if count:
        assert status in (0, 9), status
        if status == 0:
            break
        if resume or not target.exists() or (_journal.folder_of(target) / "journal.json").exists():
            assert attempt(0, resume=True) == 0, count
            assert not _journal.folder_of(target).exists(), count
    files = {path.name: path.read_bytes() for path in Path(".").iterdir() if path.suffix != ".json" and path.is_file()}
    expected = expected or files
    assert files == expected, (count, sorted(files))
    for path in Path(".").iterdir():
        if path.name not in ("p.npy", "q.npy"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    count += 1
print("crashes", count - 1)
"""


@pytest.fixture
def files():
    rng = np.random.default_rng(3)
    p, q = rng.standard_gamma(2.0, (ROWS, 8)), rng.standard_gamma(2.0, (ROWS, 8))
    p[[5, 333, 999]], q[70, 2] = 0, -1
    save("q.npy", q)
    return save("p.npy", p), q


@pytest.fixture
def noted(monkeypatch):
    """Blocks of 20 rows, each noted."""
    monkeypatch.setattr(_job, "rows_together", lambda *_: 20)
    monkeypatch.setattr(_journal, "SECONDS_BETWEEN", 0.0)


def stop_after(rows, act):
    """A callback that acts once so many rows are done."""

    def callback(now):
        if now.rows_done == rows:
            act()

    return callback


def interrupt():
    raise KeyboardInterrupt


def unfinished(out="out.npy", rows=400, **options):
    """Leave a run to ``out`` with so many rows done."""
    options = {"on_invalid": "nan", "on_progress": stop_after(rows, interrupt)} | options
    with pytest.raises(batch.Interrupted, match=rf"^interrupted; {rows} of 1,000 rows are done and kept: resume=True"):
        batch.run("kl", "p.npy", "q.npy", out, **options)


def script(text, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", text, *arguments], capture_output=True, text=True, env=ENVIRONMENT, timeout=80
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


# Killed


@POSIX
@pytest.mark.parametrize("suffix", ["npy", "parquet"])
def test_twenty_kills_in_a_row_change_no_bit(suffix, files):
    batch.run("kl", "p.npy", "q.npy", f"whole.{suffix}", on_invalid="report")
    status, kills, *reached = script(SLOWLY + KILLS, f"out.{suffix}", "1")
    assert status == "0"
    assert int(kills) >= 15  # else there was no middle to be killed in
    done = [int(rows) for rows in reached if rows != "-"]
    assert done == sorted(done)  # nothing that was done is done again
    assert len(set(done)) > 5
    for name in (f".{suffix}", f".{suffix}.invalid.csv"):
        assert Path(f"out{name}").read_bytes() == Path(f"whole{name}").read_bytes()
    results = [f"{name}.{suffix}{more}" for name in ("out", "whole") for more in ("", ".invalid.csv")]
    assert sorted(os.listdir()) == sorted(["p.npy", "q.npy", f".out.{suffix}.fastkl.json", *results])


@POSIX
@pytest.mark.parametrize("first", ["begin", "resume"])
@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_a_process_that_ends_at_any_step_leaves_what_another_can_finish(suffix, first, files):
    _, crashes = script(SLOWLY + CRASHES, f"out.{suffix}", first)
    assert int(crashes) > 12


@POSIX
def test_ctrl_c_says_how_to_go_on_and_that_is_so(files, capsys):
    command = ["kl", "p.npy", "q.npy", "-o", "out.csv", "--on-invalid", "nan"]
    text = SLOWLY + f"print(flush=True); sys.exit(fastkl.cli.main({command}))"
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", text], text=True, env=ENVIRONMENT, **streams) as process:
        assert process.stdout.readline() == "\n"
        while not Path(".out.csv.fastkl/journal.json").exists():
            time.sleep(0.01)
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    found = re.fullmatch(r"fastkl: interrupted; (\d+) of 1,000 rows are done and kept: `fastkl (.*)` continues\n", err)
    assert found is not None, err
    assert 0 < int(found[1]) < ROWS
    assert found[2].split() == [*command, "--resume"]
    assert main([*found[2].split(), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["resumed_from"] == int(found[1])
    expected = fastkl.kl_divergence(*files, on_invalid="nan")
    np.testing.assert_array_equal(np.loadtxt("out.csv"), expected)


# What a second run may do


def test_an_unfinished_run_is_continued_or_discarded_but_not_ignored(files, noted, capsys):
    unfinished()
    with pytest.raises(batch.Refused, match=r"run to out\.npy has 400 of 1,000 rows: resume=True continues"):
        batch.run("kl", "p.npy", "q.npy", "out.npy", on_invalid="nan")
    assert main(["kl", "p.npy", "q.npy", "-o", "out.npy", "--on-invalid", "nan"]) == 2
    err = capsys.readouterr().err
    assert "`fastkl kl p.npy q.npy -o out.npy --on-invalid nan --resume` continues it, --force alone discards it" in err
    summary = batch.run("kl", "p.npy", "q.npy", "out.npy", on_invalid="nan", resume=True)
    assert (summary.resumed_from, summary.rows, summary.invalid_rows) == (400, ROWS, 4)
    assert summary.bytes_read == 600 * 128
    unfinished("other.npy", on_invalid="nan", base=2)
    assert batch.run("kl", "p.npy", "q.npy", "other.npy", on_invalid="nan", force=True).resumed_from is None
    for name in ("out.npy", "other.npy"):
        np.testing.assert_array_equal(np.load(name), fastkl.kl_divergence(*files, on_invalid="nan"))
    assert sorted(os.listdir()) == [".out.npy.fastkl.json", "other.npy", "out.npy", "p.npy", "q.npy"]


def test_how_to_continue_beside_a_result_that_is_to_be_replaced(files, noted, capsys):
    Path("out.npy").write_text("of last week")
    unfinished(on_invalid="nan", force=True)
    with pytest.raises(batch.Refused, match=r"400 of 1,000 rows: force=True, resume=True continues it"):
        batch.run("kl", "p.npy", "q.npy", "out.npy", on_invalid="nan")
    command = ["kl", "p.npy", "q.npy", "-o", "out.npy", "--on-invalid", "nan"]
    assert main(command) == 2
    said = capsys.readouterr().err.split("`")[1]
    assert said == f"fastkl {' '.join(command)} --force --resume"
    assert main(said.split()[1:]) == 0
    np.testing.assert_array_equal(np.load("out.npy"), fastkl.kl_divergence(*files, on_invalid="nan"))


def test_with_nothing_to_resume_a_run_begins_at_the_beginning(files):
    assert batch.run("kl", "p.npy", "q.npy", "out.npy", on_invalid="nan", resume=True).resumed_from is None
    np.testing.assert_array_equal(np.load("out.npy"), fastkl.kl_divergence(*files, on_invalid="nan"))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"base": 2}, "base was None and is 2"),
        ({"pseudocount": 0.5}, "pseudocount was None and is 0.5"),
        ({"weights": np.ones(8)}, r"weights was None and is '\(8,\) float64 "),
        ({"on_invalid": "report"}, "on_invalid was 'nan' and is 'report'"),
        ({"kind": "js"}, "kind was 'kl' and is 'js'"),
    ],
)
def test_other_options_are_refused(changed, message, files, noted):
    unfinished()
    options = {"kind": "kl", "on_invalid": "nan", "resume": True} | changed
    with pytest.raises(batch.Refused, match=f"can't be resumed: {message}"):
        batch.run(options.pop("kind"), "p.npy", "q.npy", "out.npy", **options)
    threads_and_memory = {"threads": 1, "memory": "2GiB", "on_invalid": "nan"}
    assert batch.run("kl", "p.npy", "q.npy", "out.npy", resume=True, **threads_and_memory).resumed_from == 400


def test_another_version_is_refused(files, noted, monkeypatch):
    unfinished()
    monkeypatch.setattr(fastkl, "__version__", "9.9")
    with pytest.raises(batch.Refused, match=r"the version of fastkl was '.*' and is '9\.9'"):
        batch.run("kl", "p.npy", "q.npy", "out.npy", on_invalid="nan", resume=True)


def test_other_input_is_refused(files, noted):
    p, q = files
    unfinished()
    for change, message in (
        (lambda: save("q.npy", q[:500]), "500"),
        (
            lambda: (save("q.npy", q), os.utime("q.npy", ns=(1, 1))),
            r"the time of change of q was 20.* and is 19[67][0-9]-.*\.000000001",
        ),
    ):
        change()
        with pytest.raises(ValueError, match=message):
            batch.run("kl", "p.npy", "q.npy", "out.npy", on_invalid="nan", resume=True)
    with pytest.raises(batch.Refused, match="can't be resumed"):
        batch.run("kl", p, q, "out.npy", on_invalid="nan", resume=True)


def test_arrays_in_memory_are_known_again(files, noted):
    p, q = files
    with pytest.raises(batch.Interrupted):
        batch.run("kl", p, q, "out.npy", on_invalid="nan", on_progress=stop_after(400, interrupt))
    changed = q.copy()
    changed[ROWS - 1, 0] += 1
    with pytest.raises(batch.Refused, match="the digest of q was"):
        batch.run("kl", p, changed, "out.npy", on_invalid="nan", resume=True)
    assert batch.run("kl", p, q, "out.npy", on_invalid="nan", resume=True).resumed_from == 400


def test_a_second_run_to_a_target_is_refused_at_once(files, noted):
    def second():
        for options in ({}, {"resume": True}, {"force": True}):
            with pytest.raises(batch.Refused, match=r"another run to out\.npy is under way"):
                batch.run("kl", "p.npy", "q.npy", "out.npy", on_invalid="nan", **options)
        seen.append(True)

    seen: list[bool] = []
    batch.run("kl", "p.npy", "q.npy", "out.npy", on_invalid="nan", on_progress=stop_after(400, second))
    assert seen
    np.testing.assert_array_equal(np.load("out.npy"), fastkl.kl_divergence(*files, on_invalid="nan"))


@POSIX
def test_a_second_process_is_refused_and_the_first_goes_on(files):
    text = SLOWLY + "print(flush=True); run('out.npy')"
    with subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, env=ENVIRONMENT) as process:
        process.stdout.readline()
        while not Path(".out.npy.fastkl/journal.json").exists():
            time.sleep(0.01)
        with pytest.raises(batch.Refused, match=r"another run to out\.npy is under way"):
            batch.run("kl", "p.npy", "q.npy", "out.npy", on_invalid="report", force=True)
        assert process.wait(60) == 0
    np.testing.assert_array_equal(np.load("out.npy"), fastkl.kl_divergence(*files, on_invalid="nan"))


def test_a_state_without_its_results_is_no_success(files, noted):
    unfinished()
    Path(".out.npy.fastkl/values.bin").unlink()
    Path("out.npy").write_bytes(b"old")
    with pytest.raises(batch.Refused, match=r"state of the unfinished run to out\.npy is damaged: force=True without"):
        batch.run("kl", "p.npy", "q.npy", "out.npy", on_invalid="nan", resume=True, force=True)
    assert Path("out.npy").read_bytes() == b"old"
    batch.run("kl", "p.npy", "q.npy", "out.npy", on_invalid="nan", force=True)
    np.testing.assert_array_equal(np.load("out.npy"), fastkl.kl_divergence(*files, on_invalid="nan"))


def test_text_that_changes_while_it_is_read_is_refused(files, monkeypatch):
    np.savetxt("p.csv", files[0][:20], delimiter=",")
    opened = _run.open_job

    def open_late(*args, **options):
        job = opened(*args, **options)
        np.savetxt("p.csv", files[0][20:41], delimiter=",")
        return job

    monkeypatch.setattr(_run, "open_job", open_late)
    with pytest.raises(ValueError, match=r"p\.csv was changed while it was opened"):
        batch.run("kl", "p.csv", files[1][:1], "out.npy", on_invalid="nan")
    assert not os.path.exists("out.npy")


def test_a_folder_that_is_no_store_is_not_replaced(files):
    os.mkdir("notes.zarr")
    Path("notes.zarr/thesis.txt").write_text("all of it")
    with pytest.raises(batch.Refused, match=r"notes\.zarr is a folder that is no zarr store"):
        batch.run("kl", "p.npy", "q.npy", "notes.zarr", on_invalid="nan", force=True)
    assert Path("notes.zarr/thesis.txt").read_text() == "all of it"
    Path("f.zarr").write_text("a file")
    with pytest.raises(batch.Refused, match=r"f\.zarr is a file"):
        batch.run("kl", "p.npy", "q.npy", "f.zarr", on_invalid="nan", force=True)


def test_a_damaged_state_is_refused(files, noted):
    unfinished()
    Path(".out.npy.fastkl/values.bin").write_bytes(b"short")
    with pytest.raises(batch.Refused, match="shorter than its journal says: force=True without resume=True begins"):
        batch.run("kl", "p.npy", "q.npy", "out.npy", on_invalid="nan", resume=True)
    Path(".out.npy.fastkl/journal.json").write_text('{"done": 4')
    with pytest.raises(batch.Refused, match=r"is damaged .*: force=True without resume=True begins"):
        batch.run("kl", "p.npy", "q.npy", "out.npy", on_invalid="nan", resume=True)
    batch.run("kl", "p.npy", "q.npy", "out.npy", on_invalid="nan", force=True)
    assert sorted(os.listdir()) == ["out.npy", "p.npy", "q.npy"]


# Disks and files


@pytest.fixture
def file_limit():
    """A file that may not grow so far stands for the full disk."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_is_full_in_the_middle_keeps_what_is_done(files, noted, file_limit, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate", raising=False)  # as on systems that can't tell in advance
    file_limit(4000)
    said = "no room for out.npy: File too large; ([0-9]+) of 1,000 rows are done and kept: resume=True continues"
    with pytest.raises(OSError, match=said) as caught:
        batch.run("kl", "p.npy", "q.npy", "out.npy", on_invalid="nan")
    done = int(re.search(said, str(caught.value))[1])
    assert 400 <= done < 500
    file_limit(10**6)
    assert batch.run("kl", "p.npy", "q.npy", "out.npy", on_invalid="nan", resume=True).resumed_from == done
    np.testing.assert_array_equal(np.load("out.npy"), fastkl.kl_divergence(*files, on_invalid="nan"))


def test_a_disk_that_has_no_room_for_the_final_file_keeps_all_rows(files, noted, file_limit, capsys):
    file_limit(12_000)  # 8,000 bytes of results, some 20,000 of text
    assert main(["kl", "p.npy", "q.npy", "-o", "out.csv", "--on-invalid", "nan"]) == 1
    assert "no room for out.csv: File too large; 1,000 of 1,000 rows are done and kept" in capsys.readouterr().err
    assert not Path("out.csv").exists()
    file_limit(10**6)
    assert main(["kl", "p.npy", "q.npy", "-o", "out.csv", "--on-invalid", "nan", "--resume"]) == 0
    np.testing.assert_array_equal(np.loadtxt("out.csv"), fastkl.kl_divergence(*files, on_invalid="nan"))
    assert sorted(os.listdir()) == [".out.csv.fastkl.json", "out.csv", "p.npy", "q.npy"]


def test_a_disk_that_is_too_small_is_found_before_any_work(files, file_limit, monkeypatch):
    if not hasattr(os, "posix_fallocate"):
        pytest.skip("a system that can't tell in advance")
    monkeypatch.setattr(_kinds.RowKind, "compute", lambda *_: pytest.fail("computed in vain"))
    file_limit(4000)
    with pytest.raises(OSError, match="no room for a result of"):
        batch.run("kl", "p.npy", "q.npy", "out.npy")
    assert sorted(os.listdir()) == ["p.npy", "q.npy"]


def test_an_input_that_is_cut_in_the_middle_is_one_error_and_what_is_done_is_kept(files, noted):
    def cut():
        os.truncate("q.npy", os.path.getsize("q.npy") - 64 * 100)

    with pytest.raises(ValueError, match=r"q\.npy has been cut to .* bytes .*; 900 of 1,000 rows are done and kept"):
        batch.run("kl", "p.npy", "q.npy", "out.npy", on_invalid="nan", on_progress=stop_after(400, cut))
    assert not Path("out.npy").exists()
    with pytest.raises(ValueError, match=r"q\.npy can't be read as \.npy: it is cut short"):
        batch.run("kl", "p.npy", "q.npy", "out.npy", on_invalid="nan", resume=True)


@pytest.mark.parametrize("how", ["replaced", "written to", "removed"])
def test_an_input_that_changes_meanwhile_gives_no_result(how, files, noted):
    def change():
        if how == "replaced":
            save("new.npy", files[1][::-1])
            os.replace("new.npy", "q.npy")
        elif how == "written to":
            with open("q.npy", "r+b") as file:
                file.seek(-8, os.SEEK_END)
                file.write(b"\0" * 8)
            os.utime("q.npy", ns=(1, 1))
        else:
            os.remove("q.npy")

    with pytest.raises((ValueError, OSError), match=r"q\.npy"):
        batch.run("kl", "p.npy", "q.npy", "out.npy", on_invalid="nan", on_progress=stop_after(400, change))
    assert not Path("out.npy").exists()


def test_a_target_that_appears_meanwhile_is_not_replaced_and_the_work_is_kept(files, noted):
    def appear():
        Path("out.npy").write_text("of another")

    with pytest.raises(batch.Refused, match=r"out\.npy exists"):
        batch.run("kl", "p.npy", "q.npy", "out.npy", on_invalid="nan", on_progress=stop_after(400, appear))
    assert Path("out.npy").read_text() == "of another"
    summary = batch.run("kl", "p.npy", "q.npy", "out.npy", on_invalid="nan", resume=True, force=True)
    assert summary.resumed_from == ROWS
    np.testing.assert_array_equal(np.load("out.npy"), fastkl.kl_divergence(*files, on_invalid="nan"))


def test_an_invalid_row_late_in_a_run_keeps_what_is_done_for_a_run_that_bears_it(files, noted):
    p = files[0].copy()
    p[[5, 333]], p[70] = 1, 1
    save("p.npy", p)
    q = files[1].copy()
    q[70] = 1
    save("q.npy", q)
    with pytest.raises(batch.InvalidHistogram, match=r"p\.npy\[999\] is not .*; 980 of 1,000 rows are done"):
        batch.run("kl", "p.npy", "q.npy", "out.npy")
    summary = batch.run("kl", "p.npy", "q.npy", "out.npy", resume=True, on_invalid="report")
    assert (summary.resumed_from, summary.invalid_rows) == (980, 1)
    np.testing.assert_array_equal(np.load("out.npy"), fastkl.kl_divergence(p, q, on_invalid="nan"))
    assert len(Path("out.npy.invalid.csv").read_text().splitlines()) == 2


def test_a_run_that_ends_while_its_result_is_named_is_finished_by_the_next(files, noted, monkeypatch):
    for suffix in ("npy", "csv"):
        out = f"out.{suffix}"
        with monkeypatch.context() as patch:
            patch.setattr(_journal.Journal, "remove", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                batch.run("kl", "p.npy", "q.npy", out, on_invalid="nan")
        before = Path(out).read_bytes()
        assert batch.run("kl", "p.npy", "q.npy", out, on_invalid="nan", resume=True).resumed_from == ROWS
        assert Path(out).read_bytes() == before
    notes = [".out.csv.fastkl.json", ".out.npy.fastkl.json"]
    assert sorted(os.listdir()) == [*notes, "out.csv", "out.npy", "p.npy", "q.npy"]


def test_files_of_options_are_not_replaced(files):
    np.save("w.npy", np.ones(files[0].shape[1]))
    with pytest.raises(batch.Refused, match=r"w\.npy is an input; name another file"):
        batch.run("kl", "p.npy", "q.npy", "w.npy", weights="w.npy", on_invalid="nan", force=True)
