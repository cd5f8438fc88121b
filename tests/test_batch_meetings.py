"""Runs that meet others, or what others have left: at one target, in the middle, and where something is in the way."""

import errno
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from test_batch_faults import POSIX, script
from test_cli import _in_empty_folder, save  # noqa: F401 (every test has a folder of its own)

import fastkl
from fastkl import batch
from fastkl.batch import _finish, _job, _journal, _run
from fastkl.batch.formats import _target
from fastkl.cli import main

ROWS = 60
SETTINGS = """
import os
from fastkl import batch
from fastkl.batch import _job, _journal, _run

_job.rows_together = lambda *_: 20
_journal.SECONDS_BETWEEN = 0.0

def go(out="out.npy", **options):
    return batch.run("kl", "p.npy", "q.npy", out, **options)
"""


@pytest.fixture
def pair(monkeypatch):
    """Files of p and q, read in blocks of 20 rows, each noted."""
    monkeypatch.setattr(_job, "rows_together", lambda *_: 20)
    monkeypatch.setattr(_journal, "SECONDS_BETWEEN", 0.0)
    p, q = np.random.default_rng(3).standard_gamma(2.0, (2, ROWS, 8))
    return save("p.npy", p), save("q.npy", q)


def go(out="out.npy", **options):
    return batch.run("kl", "p.npy", "q.npy", out, **options)


def end_before_the_first_rows(**options):
    """Have a process begin a run and end where it would compute."""
    end = "_run._compute = lambda *_: print('computes', flush=True) or os._exit(0)"
    assert script(f"{SETTINGS}\n{end}\ngo(**{options!r})") == ["computes"]


def interrupt(now):
    raise KeyboardInterrupt


def before(function, act):
    """The function, and something else just before it."""

    def both(*arguments, **options):
        act()
        return function(*arguments, **options)

    return both


# Another process


@pytest.mark.parametrize("again", [{"force": True}, {"force": True, "resume": True}])
def test_a_finished_run_is_known_though_a_forced_one_ended_before_its_first_rows(pair, again):
    go(resume=True)
    end_before_the_first_rows(**again)
    assert os.path.exists(".out.npy.fastkl/journal.json")
    assert go(resume=True).was_finished
    assert sorted(os.listdir()) == [".out.npy.fastkl.json", "out.npy", "p.npy", "q.npy"]


def test_a_run_that_another_finishes_while_files_are_opened_is_a_success(pair, monkeypatch):
    opened = _run.open_job

    def other():
        monkeypatch.setattr(_run, "open_job", opened)
        go(resume=True)

    monkeypatch.setattr(_run, "open_job", before(opened, other))
    assert go(resume=True).was_finished


def test_what_another_run_keeps_meanwhile_is_not_removed(pair, monkeypatch):
    go(resume=True)
    opened = _run.open_job

    def forced():
        monkeypatch.setattr(_run, "open_job", opened)
        with pytest.raises(batch.Interrupted):
            go(force=True, on_progress=interrupt)

    monkeypatch.setattr(_run, "open_job", before(opened, forced))
    with pytest.raises(batch.Refused, match=r"out\.npy exists; force=True replaces it"):
        go(resume=True)
    assert go(force=True, resume=True).resumed_from == 20


# So many processes begin at once, twelve times; how each time ended, and what was left, is printed.
TOGETHER = """
go("whole.npy")
for _ in range(12):
    gate, opener = os.pipe()
    children = []
    for _ in range(5):
        children.append(os.fork())
        if not children[-1]:
            os.close(opener)
            os.read(gate, 1)  # until all are there
            try:
                go(resume=True)
                os._exit(0)
            except batch.Refused as error:
                is_told = "under way" in str(error) or "begin and end" in str(error)
                os._exit(3 if is_told else 4)
            finally:
                os._exit(5)
    os.close(gate), os.close(opener)
    ended = sorted({os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children})
    is_whole = open("out.npy", "rb").read() == open("whole.npy", "rb").read()
    print(ended in ([0], [0, 3]), is_whole, *sorted(os.listdir()))
    os.remove("out.npy"), os.remove(".out.npy.fastkl.json")
"""


@POSIX
def test_processes_that_begin_at_one_moment_are_told_of_each_other(pair):
    each_time = ["True", "True", ".out.npy.fastkl.json", "out.npy", "p.npy", "q.npy", "whole.npy"]
    assert script(SETTINGS + TOGETHER) == 12 * each_time


# Files that change


@pytest.mark.parametrize("changed", ["p.npy", "q.npy"])
def test_a_file_that_changes_after_it_was_opened_is_noticed(pair, changed, monkeypatch):
    save("q.npy", pair[1][:1])  # read when it is opened
    change = before(_journal.Journal.open_kept, lambda: np.save(changed, 2 * np.load(changed)))
    monkeypatch.setattr(_journal.Journal, "open_kept", change)
    with pytest.raises(ValueError, match=rf"{changed} was changed while it was read; nothing is kept"):
        go(resume=True)
    assert sorted(os.listdir()) == ["p.npy", "q.npy"]


def test_ids_that_change_while_the_result_is_made_are_noticed(pair, monkeypatch):
    def store(ids):
        np.savez("p.npz", p=np.vstack([pair[0][:-1], -pair[0][:1]]), ids=ids)

    store(np.arange(ROWS))
    monkeypatch.setattr(_finish, "_write", before(_finish._write, lambda: store(np.arange(ROWS) + 1)))
    with pytest.raises(ValueError, match=r"p\.npz:p was changed while it was read; nothing is kept"):
        batch.run("kl", "p.npz:p", "q.npy", "out.csv", ids="ids", on_invalid="report")
    assert sorted(os.listdir()) == ["p.npy", "p.npz", "q.npy"]


def test_a_path_may_be_written_in_another_way(pair):
    os.mkdir("s")
    go("s/../out.npy", resume=True)
    assert go("out.npy", resume=True).was_finished


# What is in the way


def test_a_report_that_is_not_its_own_is_not_replaced(pair):
    end_before_the_first_rows(on_invalid="report")
    Path("out.npy.invalid.csv").write_text("mine")
    for resume in (False, True):
        with pytest.raises(batch.Refused, match=r"out\.npy\.invalid\.csv exists; force=True replaces it"):
            go(on_invalid="report", resume=resume)
    assert Path("out.npy.invalid.csv").read_text() == "mine"


def test_a_report_that_is_not_its_own_is_not_replaced_when_it_goes_on(pair):
    with pytest.raises(batch.Interrupted):
        go(on_invalid="report", on_progress=interrupt)
    Path("out.npy.invalid.csv").write_text("mine")
    with pytest.raises(batch.Refused, match=r"out\.npy\.invalid\.csv exists; force=True replaces it"):
        go(on_invalid="report", resume=True)
    os.remove("out.npy.invalid.csv")
    assert go(on_invalid="report", resume=True).resumed_from == 20


@pytest.mark.parametrize("length", [243, 244, 255])
@pytest.mark.parametrize("options", [{}, {"resume": True}, {"on_invalid": "report"}])
def test_names_that_are_too_long_are_found_before_anything_is_read(pair, length, options, monkeypatch):
    name = "b" * (length - 4) + ".npy"
    monkeypatch.setattr(_run, "open_job", None)
    with pytest.raises(OSError, match=r"^\[Errno \d+\] b+\.npy can't be written with .* beside it: File name too long"):
        go(name, **options)
    assert sorted(os.listdir()) == ["p.npy", "q.npy"]


def test_the_longest_name_that_there_is_room_for(pair):
    name = "b" * 238 + ".npy"
    go(name, on_invalid="report", resume=True)
    assert go(name, on_invalid="report", resume=True).was_finished


@pytest.mark.parametrize("name", ["out.npy.invalid.csv", ".out.npy.fastkl.json"])
def test_a_folder_where_a_file_is_to_be_is_found_before_anything_is_read(pair, name, monkeypatch):
    os.mkdir(name)
    monkeypatch.setattr(_run, "open_job", None)
    with pytest.raises(batch.Refused, match="is a folder, which is not replaced"):
        go(on_invalid="report", force=True)


def test_a_file_where_the_state_is_to_be_is_found_before_anything_is_read(pair, monkeypatch):
    Path(".out.npy.fastkl").write_text("mine")
    monkeypatch.setattr(_run, "open_job", None)
    with pytest.raises(batch.Refused, match=r"\.out\.npy\.fastkl is a file, where a run keeps its state; move it"):
        go(force=True)


# What is damaged, full, or missing


FULL = '{"facts": {}, "rows": 60, "done": %s, "invalid_rows": 0, "told": 0}'


@pytest.mark.parametrize("journal", ["{}", "[]", "7", "null", '{"done": 1}', FULL % '"many"', ""])
def test_a_journal_that_is_none_is_refused(pair, journal):
    with pytest.raises(batch.Interrupted):
        go(on_progress=interrupt)
    Path(".out.npy.fastkl/journal.json").write_text(journal)
    for options in ({"resume": True}, {"resume": True, "force": True}):
        with pytest.raises(
            batch.Refused, match=r"journal\.json is damaged \(.*\): force=True without resume=True begin"
        ):
            go(**options)
    assert go(force=True).resumed_from is None


@pytest.mark.parametrize("content", [None, b"[0"])
def test_a_list_of_invalid_rows_that_is_damaged_is_refused(pair, content):
    save("p.npy", -pair[0])
    with pytest.raises(batch.Interrupted):
        go(on_invalid="report", on_progress=interrupt)
    told = Path(".out.npy.fastkl/invalid.jsonl")
    told.unlink() if content is None else told.write_bytes(content)
    with pytest.raises(batch.Refused, match=r"invalid\.jsonl is shorter than its journal says: force=True without"):
        go(on_invalid="report", resume=True)


def test_a_disk_that_is_full_when_the_file_is_made_keeps_what_is_done(pair, monkeypatch):
    def full(self, *_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))

    with monkeypatch.context() as patch:
        patch.setattr(_finish, "_write", before(_finish._write, lambda: patch.setattr(_target.Path, "touch", full)))
        with pytest.raises(OSError, match=r"No space left on device; 60 of 60 rows are done and kept: resume=True"):
            go("out.npz")
    assert go("out.npz", resume=True).resumed_from == ROWS


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="no room is asked for")
def test_a_file_system_that_can_give_no_room_beforehand_is_none_that_is_full(pair, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    go()
    np.testing.assert_array_equal(np.load("out.npy"), fastkl.kl_divergence(*pair))


def test_an_interrupt_stays_one_though_the_state_is_gone(pair):
    def lose(now):
        shutil.rmtree(".out.npy.fastkl")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        go(on_progress=lose)


def test_without_stderr(pair, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", None)
    go(progress=True)
    for status in (0, 2):  # the second time the result is in the way
        monkeypatch.setattr(sys, "stderr", None)
        assert main(["kl", "p.npy", "q.npy", "-o", "again.npy"]) == status
        sys.stderr.close()
    assert capsys.readouterr().out == ""


# Names of rows


@pytest.mark.parametrize(
    "ids", [np.arange(ROWS).astype("M8[ns]"), np.full(ROWS, b"a"), np.full(ROWS, np.float32(0.1)), ["Mon"] * ROWS]
)
def test_names_are_those_of_numpy(pair, ids):
    go("out.csv", ids=ids)
    found = np.loadtxt("out.csv", dtype=str, delimiter=",", skiprows=1)
    np.testing.assert_array_equal(found[:, 0], np.asarray(ids).astype(str))


def test_rows_without_a_name_have_none(pair):
    parquet = pytest.importorskip("pyarrow.parquet")
    names = [None, *map(str, range(1, ROWS))]
    go("out.parquet", ids=names)
    assert parquet.read_table("out.parquet")["id"].to_pylist() == names


@pytest.mark.parametrize(
    ("ids", "said"), [(np.ones((ROWS, 2)), "ndarray of 2 dimensions"), ((i for i in range(ROWS)), "generator of 0 dim")]
)
def test_names_that_are_no_list_are_refused(pair, ids, said):
    with pytest.raises(ValueError, match=f"^ids is a {said}.*it must be a list or an array of names, one for each row"):
        go("out.csv", ids=ids)
