"""Runs that are called again, from elsewhere, or where nothing can be locked; and what makes them the same run."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from test_cli import _in_empty_folder, fails, save  # noqa: F401 (every test has a folder of its own)

import fastkl
from fastkl import batch
from fastkl.batch import _job
from fastkl.cli import main

EDGES = np.linspace(-4, 4, 9)


@pytest.fixture
def pair():
    rng = np.random.default_rng(7)
    return save("p.npy", rng.standard_gamma(2.0, (101, 8))), save("q.npy", rng.standard_gamma(2.0, (101, 8)))


def state_of(name):
    return Path(name).read_bytes(), os.stat(name).st_mtime_ns


def again(**options):
    return batch.run("kl", "p.npy", "q.npy", "out.npy", resume=True, **options)


# A run that has finished


@pytest.mark.parametrize("suffix", ["npy", "csv", "zarr"])
def test_a_finished_run_is_a_success_that_changes_nothing(suffix, pair):
    if suffix == "zarr":
        pytest.importorskip("zarr")
    out = f"out.{suffix}"
    first = batch.run("kl", "p.npy", "q.npy", out, resume=True, base=2)
    assert not first.was_finished
    names = sorted(os.listdir())
    before = {path: state_of(path) for path in Path(".").rglob("*") if path.is_file()}
    second = batch.run("kl", "p.npy", "q.npy", out, resume=True, base=2, normalize=True, threads=1, memory="2GiB")
    assert (second.was_finished, second.rows, second.resumed_from, second.bytes_read) == (True, 101, 101, 0)
    assert str(second) == f"{out} was finished before, of the same files and options: 101 rows"
    assert sorted(os.listdir()) == names
    assert {path: state_of(path) for path in Path(".").rglob("*") if path.is_file()} == before


def test_the_command_says_that_nothing_was_to_be_done(pair, capsys):
    command = ["kl", "p.npy", "q.npy", "-o", "out.npy", "--resume"]
    assert main(command) == 0
    assert capsys.readouterr() == ("", "")
    assert main(command) == 0
    assert capsys.readouterr().err == "out.npy was finished before, of the same files and options: 101 rows\n"
    assert main([*command, "--json"]) == 0
    assert '"was_finished": true' in capsys.readouterr().out
    assert "out.npy exists and is the result of another run: base was None and is 2.0; --force" in fails(
        capsys, " ".join([*command, "--base", "2"]), 2
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base": 2}, "another run: base was None and is 2; force=True replaces it"),
        ({"normalize": False}, "another run: normalize was None and is False"),
        ({"kind": "js"}, "another run: kind was 'kl' and is 'js'"),
    ],
)
def test_a_finished_run_with_other_options_is_refused(options, message, pair):
    again()
    before = state_of("out.npy")
    with pytest.raises(batch.Refused, match=message):
        batch.run(options.pop("kind", "kl"), "p.npy", "q.npy", "out.npy", resume=True, **options)
    assert state_of("out.npy") == before


def test_a_finished_run_of_other_files_or_versions_is_refused(pair, monkeypatch):
    again()
    with monkeypatch.context() as patch:
        patch.setattr(fastkl, "__version__", "9.9")
        with pytest.raises(batch.Refused, match=r"the version of fastkl was '.*' and is '9\.9'"):
            again()
    os.utime("q.npy", ns=(1, 1))
    with pytest.raises(batch.Refused, match=r"the time of change of q was 20.* and is 19"):
        again()
    batch.run("kl", "p.npy", "q.npy", "out.npy", force=True, resume=True)
    assert again().was_finished


def test_a_result_that_is_no_longer_what_the_run_made_is_refused(pair):
    again()
    save("out.npy", np.zeros(101))
    with pytest.raises(batch.Refused, match=r"out\.npy exists and has been changed since its run finished"):
        again()
    os.remove("out.npy")
    assert not again().was_finished
    Path(".out.npy.fastkl.json").write_text("{")
    with pytest.raises(batch.Refused, match=r"out\.npy exists, and the note of its run is damaged"):
        again()


def test_a_finished_run_is_no_success_without_its_report(pair):
    again()
    with pytest.raises(batch.Refused, match=r"out\.npy exists and its report out\.npy\.invalid\.csv does not"):
        again(on_invalid="report")
    again(on_invalid="report", force=True)
    assert again(on_invalid="report").invalid_out == "out.npy.invalid.csv"


def test_without_resume_no_note_is_left_and_an_old_one_is_removed(pair):
    again()
    batch.run("kl", "p.npy", "q.npy", "out.npy", base=2, force=True)
    assert sorted(os.listdir()) == ["out.npy", "p.npy", "q.npy"]
    with pytest.raises(batch.Refused, match=r"out\.npy exists; force=True replaces it"):
        again(base=2)


# What is the same run


@pytest.fixture
def unfinished(pair, monkeypatch):
    """Leave a run with some rows done."""
    monkeypatch.setattr(_job, "rows_together", lambda *_: 20)
    monkeypatch.setattr(batch._journal, "SECONDS_BETWEEN", 0.0)

    def stop(now):
        if now.rows_done == 40:
            raise KeyboardInterrupt

    def leave(kind="kl", out="out.npy", **options):
        with pytest.raises(batch.Interrupted):
            batch.run(kind, "p.npy", "q.npy", out, on_progress=stop, **options)

    return leave


def test_defaults_said_explicitly_are_the_same_run(unfinished):
    unfinished(normalize=True, axis=-1)
    assert again(pseudocount=0.0, weights=None).resumed_from == 40
    unfinished("pairwise", "d.npy", method="auto", divergence="kl")
    assert batch.run("pairwise", "p.npy", "q.npy", "d.npy", resume=True).resumed_from == 40


def test_other_ids_are_another_run(unfinished):
    unfinished(out="out.csv", ids=[f"d{i}" for i in range(101)])
    for ids in (None, [f"e{i}" for i in range(101)], range(101)):
        with pytest.raises(batch.Refused, match=r"can't be resumed: ids was '101 names [0-9a-f]{16}' and is"):
            batch.run("kl", "p.npy", "q.npy", "out.csv", resume=True, ids=ids)
    assert batch.run("kl", "p.npy", "q.npy", "out.csv", resume=True, ids=[f"d{i}" for i in range(101)]).rows == 101


# Places


@pytest.mark.parametrize("suffix", ["npy", "csv", "zarr", "parquet"])
def test_a_program_may_go_to_another_folder_meanwhile(suffix, pair, monkeypatch):
    if suffix in ("zarr", "parquet"):
        pytest.importorskip({"zarr": "zarr", "parquet": "pyarrow"}[suffix])
    from batch_files import write

    p, q = pair
    os.mkdir("elsewhere")
    for name, rows in (("a", p), ("b", q)):
        if suffix == "parquet":
            os.mkdir(f"{name}.parquet")
            for part in (0, 1):
                half = rows[part * 50 : 50 + part * 51]
                write(f"{name}.parquet/{part}.parquet", {"h": half}, half.shape[:1], 9)
        elif suffix == "csv":
            save(f"{name}.csv", rows)
        else:
            write(f"{name}.{suffix}", {"h": rows}, (101,), 9)
    monkeypatch.setattr(_job, "rows_together", lambda *_: 20)
    told = []

    def go(now):
        told.append(now)
        os.chdir("elsewhere") if len(told) == 1 else None

    home = os.getcwd()
    out = f"out.{suffix}"
    summary = batch.run("kl", f"a.{suffix}", f"b.{suffix}", out, on_progress=go, on_invalid="report", resume=True)
    assert os.listdir() == []
    os.chdir(home)
    assert (summary.out, summary.invalid_out) == (out, f"{out}.invalid.csv")
    assert {out, f"{out}.invalid.csv", f".{out}.fastkl.json"} <= set(os.listdir())
    assert not os.path.exists(f".{out}.fastkl")


def test_files_of_options_and_reports_are_not_replaced(pair):
    save("e.csv", EDGES)
    save("out.npy.invalid.csv", pair[1])
    for kind, q, out, options in (
        ("fit", None, "e.csv", {"edges": "e.csv"}),
        ("kl", "out.npy.invalid.csv", "out.npy", {"on_invalid": "report"}),
    ):
        with pytest.raises(batch.Refused, match=r"csv is an input; name another file for the result"):
            batch.run(kind, "p.npy", q, out, force=True, **options)
    np.testing.assert_array_equal(np.loadtxt("e.csv", delimiter=","), EDGES)


def test_the_command_does_not_replace_its_edges(pair, capsys):
    save("e.csv", EDGES)
    assert "e.csv is an input" in fails(capsys, "fit p.npy --edges e.csv -o e.csv --force", 2)


def test_edges_in_a_file_are_those_of_an_array(pair):
    save("e.npy", EDGES[:, None])
    batch.run("fit", "p.npy", None, "a.npz", edges="e.npy")
    batch.run("fit", "p.npy", None, "b.npz", edges=EDGES)
    assert Path("a.npz").read_bytes() == Path("b.npz").read_bytes()
    save("m.npy", np.ones((3, 3)))
    with pytest.raises(ValueError, match=r"m\.npy has shape \(3, 3\); it must be one row of numbers, or one column"):
        batch.run("fit", "p.npy", None, "c.npz", points="m.npy")


@pytest.mark.skipif(os.name == "nt", reason="another lock there")
def test_a_file_system_without_locks_is_one_clear_sentence(pair, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    with pytest.raises(
        OSError, match=r"out\.npy is on a file system that gives no locks \(No locks available\)"
    ) as caught:
        batch.run("kl", "p.npy", "q.npy", "out.npy")
    assert caught.value.errno == errno.ENOLCK
    assert sorted(os.listdir()) == ["p.npy", "q.npy"]


def test_numbers_in_messages_are_for_people(pair):
    with pytest.raises(batch.Refused, match="memory of 10 bytes is too little for this run; it needs 129 MiB"):
        batch.run("kl", "p.npy", "q.npy", "out.npy", memory=10)
    with pytest.raises(batch.Refused, match=r"memory of 1\.5 MiB is too little"):
        batch.run("kl", "p.npy", "q.npy", "out.npy", memory="1.5MiB")


# Arguments that are none


@pytest.mark.parametrize(
    ("arguments", "options", "error", "said"),
    [
        (("kl", {"a": 1}, [1], "out.npy"), {}, TypeError, "p is a dict; .* pass a list of its values"),
        (("kl", "p.npy", "q.npy", None), {}, TypeError, "out is None; it must be the path of a file"),
        (("kl", "p.npy", "q.npy", "out.npy"), {"memory": None}, ValueError, "memory must be a number of bytes"),
        (("kl", "p.npy", "q.npy", "out.npy"), {"resume": "yes"}, TypeError, "resume must be True or False, not 'yes'"),
    ],
)
def test_what_is_no_argument_is_named(arguments, options, error, said, pair):
    with pytest.raises(error, match=said):
        batch.run(*arguments, **options)
    assert sorted(os.listdir()) == ["p.npy", "q.npy"]


@pytest.mark.parametrize("kind", ["pairwise", "nearest"])
def test_all_pairs_tell_the_memory_that_they_need(kind, pair):
    options = {"k": 2} if kind == "nearest" else {}
    with pytest.raises(
        batch.Refused, match=r"memory of 10 bytes is too little for this run; it needs [0-9]+ MiB"
    ) as error:
        batch.run(kind, "p.npy", "q.npy", "out.npz", memory=10, **options)
    least = int(str(error.value).split()[-2])
    batch.run(
        kind, "p.npy", "q.npy", "out.npz" if kind == "nearest" else "out.npy", memory=f"{least + 1}MiB", **options
    )


def test_slow_rows_of_all_pairs_are_noted_about_every_second(pair, monkeypatch):
    monkeypatch.setattr("fastkl.batch._pace.SECONDS", 1e-9)
    p, done = save("p.npy", np.random.default_rng(8).standard_gamma(2.0, (200, 8))), []
    batch.run("pairwise", "p.npy", "q.npy", "out.npy", on_progress=lambda state: done.append(state.rows_done))
    assert done[:3] == [64, 128, 129]  # one block is read ahead
    assert done[-1] == 200
    np.testing.assert_array_equal(np.load("out.npy"), fastkl.pairwise(p, pair[1]))
