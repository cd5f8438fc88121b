"""The command line: what it computes is what the functions compute, and what it refuses it refuses in one line."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastkl
from fastkl import kernels
from fastkl._progress import Progress
from fastkl.batch import _kinds, _open, _plan
from fastkl.batch.formats import csv as csv_format
from fastkl.cli import demo, info, main

Array = np.ndarray[Any, Any]

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(fastkl.__file__).parents[1])}
FASTKL = [sys.executable, "-m", "fastkl"]


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def pair() -> tuple[Array, Array]:
    rng = np.random.default_rng(1)
    return rng.standard_gamma(2.0, (50, 40)), rng.standard_gamma(2.0, (50, 40))


def save(name: str, array: Any, **options: Any) -> Array:
    array = np.asarray(array)
    if name.endswith(".npy"):
        np.save(name, array)
    else:
        np.savetxt(name, np.atleast_2d(array), delimiter=",", fmt="%.17g", comments="", **options)
    return array


def fails(capsys: pytest.CaptureFixture[str], arguments: str, status: int) -> str:
    """The message of a call that must fail with ``status`` and leave nothing behind."""
    before = sorted(os.listdir())
    assert main(arguments.split()) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("fastkl: ")
    assert err.count("\n") == 1
    assert sorted(os.listdir()) == before
    return err


# What is computed


@pytest.mark.parametrize("inputs", ["npy", "csv"])
@pytest.mark.parametrize("output", ["npy", "csv"])
def test_a_result_file_holds_the_bits_of_the_function(pair: tuple[Array, Array], inputs: str, output: str) -> None:
    p, q = save(f"p.{inputs}", pair[0]), save(f"q.{inputs}", pair[1])
    assert main(["kl", f"p.{inputs}", f"q.{inputs}", "-o", f"kl.{output}"]) == 0
    found = np.load("kl.npy") if output == "npy" else np.loadtxt("kl.csv")
    np.testing.assert_array_equal(found, fastkl.kl_divergence(p, q), strict=True)


def test_a_result_file_is_the_one_that_numpy_would_save(pair: tuple[Array, Array]) -> None:
    p, q = save("p.npy", pair[0]), save("q.npy", pair[1])
    assert main(["kl", "p.npy", "q.npy", "-o", "kl.npy"]) == 0
    np.save("by_numpy.npy", fastkl.kl_divergence(p, q))
    assert Path("kl.npy").read_bytes() == Path("by_numpy.npy").read_bytes()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_lines_on_stdout_read_back_as_the_same_bits(
    pair: tuple[Array, Array], dtype: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    p, q = save("p.npy", pair[0].astype(dtype)), save("q.npy", pair[1].astype(dtype))
    assert main(["kl", "p.npy", "q.npy"]) == 0
    lines = capsys.readouterr().out.splitlines()
    np.testing.assert_array_equal(np.array(lines, dtype), fastkl.kl_divergence(p, q))
    assert max(map(len, lines)) <= (22 if dtype == np.float64 else 13)


@pytest.mark.parametrize("shape", [(40,), (1, 40)])
def test_one_histogram_is_set_against_many_on_either_side(
    pair: tuple[Array, Array], shape: tuple[int, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    many, one = save("many.npy", pair[0]), save("one.npy", pair[1][0].reshape(shape))
    for first, second, expected in [
        ("many.npy", "one.npy", fastkl.kl_divergence(many, one)),
        ("one.npy", "many.npy", fastkl.kl_divergence(one, many)),
    ]:
        assert main(["kl", first, second]) == 0
        assert capsys.readouterr().out.split() == [str(value) for value in expected.tolist()]


def test_two_single_histograms_give_one_number(pair: tuple[Array, Array]) -> None:
    p, q = save("p.npy", pair[0][0]), save("q.csv", pair[1][0])
    assert main(["kl", "p.npy", "q.csv", "-o", "kl.npy"]) == 0
    np.testing.assert_array_equal(np.load("kl.npy"), fastkl.kl_divergence(p, q))


def test_options_are_those_of_the_function(pair: tuple[Array, Array]) -> None:
    p, q = save("p.npy", pair[0].T), save("q.npy", pair[1].T)
    weights = save("weights.csv", np.linspace(0.5, 2, 40))
    options = "--axis 0 --base 2 --no-normalize --weights weights.csv --pseudocount 0.25 --dtype float32 --threads 1"
    assert main(["kl", "p.npy", "q.npy", "-o", "kl.npy", *options.split()]) == 0
    expected = fastkl.kl_divergence(
        p, q, axis=0, base=2, normalize=False, weights=weights, pseudocount=0.25, dtype="float32", threads=1
    )
    np.testing.assert_array_equal(np.load("kl.npy"), expected, strict=True)


def test_empty_bins_are_treated_as_by_a_tool(pair: tuple[Array, Array]) -> None:
    p, q = save("p.npy", pair[0] * (pair[0] > 0.5)), save("q.npy", pair[1])
    options = ["--divergence", "jeffreys", "--pseudocount", "evidently"]
    assert main(["kl", "p.npy", "q.npy", "-o", "psi.npy", *options]) == 0
    np.testing.assert_array_equal(np.load("psi.npy"), fastkl.psi(p, q, pseudocount="evidently"), strict=True)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("block", [1, 3000, 1 << 20])
def test_batch_dimensions_and_bits_do_not_depend_on_the_blocks(
    axis: int, order: Any, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(2)
    p, q = (save(name, np.asarray(rng.exponential(size=(5, 6, 7)), order=order)) for name in ("p.npy", "q.npy"))
    one = save("one.npy", rng.exponential(size=p.shape[axis]))
    monkeypatch.setattr(_plan, "BLOCK_BYTES", block)
    for name, other in [("q.npy", q), ("one.npy", one)]:
        assert main(["kl", "p.npy", name, "-o", "kl.npy", "--force", "--axis", str(axis)]) == 0
        np.testing.assert_array_equal(np.load("kl.npy"), fastkl.kl_divergence(p, other, axis=axis), strict=True)


@pytest.mark.parametrize("dtype", ["float16", ">f8", "uint16", "bool"])
def test_any_real_type_is_read_from_npy(dtype: str) -> None:
    p = save("p.npy", np.array([[1, 1, 0], [1, 1, 1]], dtype))
    q = save("q.npy", np.array([1, 1, 1], dtype))
    assert main(["kl", "p.npy", "q.npy", "-o", "kl.npy"]) == 0
    np.testing.assert_array_equal(np.load("kl.npy"), fastkl.kl_divergence(p, q), strict=True)


def test_no_histograms_give_an_empty_result() -> None:
    save("p.npy", np.empty((0, 4), np.float32))
    assert main(["kl", "p.npy", "p.npy", "-o", "kl.npy"]) == 0
    assert np.load("kl.npy").shape == (0,)


def test_a_header_a_byte_order_mark_and_blank_lines_at_the_end_are_no_histograms(pair: tuple[Array, Array]) -> None:
    header = ",".join(f"bin{i}" for i in range(40))
    p, q = save("p.csv", pair[0], header=header), save("q.csv", pair[1])
    Path("p.csv").write_text("\ufeff" + Path("p.csv").read_text() + "\n \n")
    assert main(["kl", "p.csv", "q.csv", "-o", "kl.npy"]) == 0
    np.testing.assert_array_equal(np.load("kl.npy"), fastkl.kl_divergence(p, q))


# What is wrong with the data


@pytest.mark.parametrize("block", [400, 1 << 20])
@pytest.mark.parametrize("target", ["", "-o kl.npy", "-o kl.csv"])
def test_an_invalid_histogram_is_named_by_its_row_in_the_file(
    pair: tuple[Array, Array],
    block: int,
    target: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    p, q = pair
    q[47, 3] = -1.5
    q[48] = 0
    save("p.npy", p)
    save("q.npy", q)
    monkeypatch.setattr(_plan, "BLOCK_BYTES", block)
    before = sorted(os.listdir())
    assert main(["kl", "p.npy", "q.npy", *target.split()]) == 1
    out, err = capsys.readouterr()
    assert err.startswith("fastkl: q.npy[47] is not a histogram: bin 3 is -1.5;")
    assert err.count("\n") == 1
    assert sorted(os.listdir()) == before
    # Lines of the blocks before it are out by then; they are right.
    expected = fastkl.kl_divergence(p[:47], q[:47])[: len(out.split())]
    np.testing.assert_array_equal(np.array(out.split(), float), expected)


def test_an_invalid_histogram_is_named_by_its_line_in_csv_and_by_its_index_in_more_dimensions(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("p.csv").write_text("a,b\n1,2\n3,nan\n")
    Path("q.csv").write_text("0,0\n")
    save("good.npy", np.ones((2, 3, 2)))
    bad = np.ones((2, 3, 2))
    bad[1, 2] = 0
    save("bad.npy", bad)
    assert "p.csv, line 3 is not a histogram: bin 1 is nan" in fails(capsys, "kl p.csv p.csv", 1)
    assert "q.csv, line 1 is not a histogram: its total" in fails(capsys, "kl good.npy q.csv -o kl.npy", 1)
    assert "bad.npy[1, 2] is not a histogram: its total" in fails(capsys, "kl good.npy bad.npy -o a.csv", 1)


def test_a_vanishing_weighted_total_is_reported_with_its_row(capsys: pytest.CaptureFixture[str]) -> None:
    save("p.npy", [[1.0, 1.0], [1.0, 0.0]])
    save("w.npy", [0.0, 1.0])
    said = fails(capsys, "kl p.npy p.npy -o kl.npy --weights w.npy", 1)
    assert "p.npy[1] is not a histogram: its weighted total is zero" in said


def test_on_invalid_nan_marks_bad_rows_and_computes_the_others(pair: tuple[Array, Array]) -> None:
    p, q = pair
    p[3, 0] = np.inf
    save("p.npy", p)
    save("q.npy", q)
    assert main(["kl", "p.npy", "q.npy", "-o", "kl.npy", "--on-invalid", "nan"]) == 0
    np.testing.assert_array_equal(np.load("kl.npy"), fastkl.kl_divergence(p, q, on_invalid="nan"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2\n3,4,5\n", "line 2 has 3 numbers, line 1 has 2 fields"),
        ("a,b,c\n3,4\n", "line 2 has 2 numbers, line 1 has 3 fields"),
        ("1,2\n3,x\n", "line 2: field 2 is 'x', not a number"),
        ("1,2\n3,\n", "line 2: field 2 is empty, a number is wanted"),
        ("1,2\n3,1_0\n", "line 2: field 2 is '1_0', not a number"),
        ("1,2\n3,0x10\n", "line 2: field 2 is '0x10', not a number"),
        (
            ",0,1\n0,3,4\n",
            "line 1: field 1 is empty, a number is wanted (if this line is a header, say so: --header",
        ),  # pandas wrote its index
        ("1,2\n\n3,4\n", "line 2 is blank"),
        ("1,2\n3;4\n", "line 2: field 1 is '3;4', not a number"),
        ("1,2\n#3,4\n", "line 2: field 1 is '#3', not a number"),
        ("", "holds no numbers"),
        ("\n\n", "holds no numbers"),
        ("a,b\n", "holds no histograms, only a header"),
        (",a,b\n0,1,2\n", "line 1: the first column has no name; if it is an index, save without it"),
        ('"","a","b"\n"1",1,2\n', "line 1: the first column has no name"),
    ],
)
def test_csv_that_is_not_a_table_of_numbers_is_refused_with_the_line(
    text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("p.csv").write_text(text)
    assert f"p.csv{'' if message.startswith('holds') else ','} {message}" in fails(capsys, "kl p.csv p.csv", 1)


def test_quoted_numbers_are_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    Path("p.csv").write_text('"1","3"\n3,"1"\n')
    assert main(["kl", "p.csv", "p.csv"]) == 0
    assert capsys.readouterr().out.split() == ["0.0", "0.0"]


@pytest.mark.parametrize("line", ["1;2;3", "1\t2\t3", "1 2  3", "1|2|3"])
def test_numbers_between_other_separators_are_no_header(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("p.csv").write_text(f"{line}\n")
    assert "commas are wanted" in fails(capsys, "kl p.csv p.csv", 1)


def test_line_numbers_are_right_beyond_the_first_block(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_format, "_NUMBERS_AT_ONCE", 6)
    Path("p.csv").write_text("a,b\n" + "1,2\n" * 20 + "1,two\n" + "1,2\n" * 20)
    assert "p.csv, line 22: field 2 is 'two', not a number" in fails(capsys, "kl p.csv p.csv -o kl.npy", 1)


def test_bytes_that_are_not_text_are_refused_with_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("p.csv").write_bytes(b"1,2\n3,\xff\x00\n")
    assert "p.csv, line 2 is no text in UTF-8" in fails(capsys, "kl p.csv p.csv", 1)
    Path("p.csv").write_bytes(b"1,2\n3,\xff\n")
    assert r"p.csv, line 2: field 2 is '\\xff', not a number" in fails(capsys, "kl p.csv p.csv", 1)
    save("array.npy", np.ones((2, 3)))
    os.rename("array.npy", "p.csv")
    assert fails(capsys, "kl p.csv p.csv", 1) == "fastkl: p.csv, line 1 is no text in UTF-8, as a .csv file should be\n"


def test_names_of_bins_must_agree(capsys: pytest.CaptureFixture[str]) -> None:
    Path("p.csv").write_text("A,B,C\n1,2,3\n4,5,6\n")
    Path("same.csv").write_text('"A", "B", "C"\n3,2,1\n')
    Path("nameless.csv").write_text("3,2,1\n")
    Path("other.csv").write_text("B,A,C\n2,3,1\n")
    for q in ("same.csv", "nameless.csv"):
        assert main(["kl", "p.csv", q, "--weights", q]) == 0
        expected = fastkl.kl_divergence([[1, 2, 3], [4, 5, 6]], [3, 2, 1], weights=[3, 2, 1])
        assert capsys.readouterr().out.split() == [str(value) for value in expected.tolist()]
    said = "p.csv and other.csv must have the same bin labels in the same order: bin 0 is 'A' in p.csv and 'B' in"
    for call in ("p.csv other.csv", "p.csv p.csv --weights other.csv", "nameless.csv p.csv --weights other.csv"):
        assert said in fails(capsys, f"kl {call}", 1)
    assert "remove a header to compare by position" in fails(capsys, "kl other.csv p.csv -o kl.npy", 1)


def test_names_of_columns_that_are_histograms_must_agree(capsys: pytest.CaptureFixture[str]) -> None:
    Path("p.csv").write_text("A,B\n1,2\n4,5\n")
    Path("other.csv").write_text("B,A\n2,1\n5,4\n")
    Path("one.csv").write_text("reference\n2\n5\n")
    said = "same histogram labels in the same order: histogram 0 is 'A' in p.csv and 'B' in other.csv"
    assert said in fails(capsys, "kl p.csv other.csv --axis 0", 1)
    for q, array in (("p.csv", [[1, 2], [4, 5]]), ("one.csv", [[2], [5]])):
        assert main(["kl", "p.csv", q, "--axis", "0", "-o", "kl.npy", "--force"]) == 0
        np.testing.assert_array_equal(np.load("kl.npy"), fastkl.kl_divergence([[1, 2], [4, 5]], array, axis=0))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"1,2\n",
        b"\x93NUMPY",
        b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }".ljust(127) + b"\n",
        b"\x93NUMPY\x01\x00\x10\x00{'descr': (((((((",
        b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(127)
        + b"\ncos\nsystem\n",
    ],
    ids=["empty", "text", "cut in the magic", "cut in the data", "cut in the header", "pickle"],
)
def test_a_damaged_or_pickled_npy_file_is_refused(content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    Path("p.npy").write_bytes(content)
    save("q.npy", np.ones(3))
    assert "p.npy can't be read as .npy" in fails(capsys, "kl p.npy q.npy -o kl.npy", 1)


def test_arrays_that_do_not_fit_are_refused_before_any_work(capsys: pytest.CaptureFixture[str]) -> None:
    save("p.npy", np.ones((3, 4)))
    save("rows.npy", np.ones((2, 4)))
    save("bins.npy", np.ones((3, 5)))
    save("scalar.npy", 1.0)
    save("one.npy", [1.0])
    save("complex.npy", np.ones((3, 4), complex))
    save("words.npy", np.array(["a", "b", "c", "d"]))
    assert "p.npy has 3 histograms, rows.npy has 2" in fails(capsys, "kl p.npy rows.npy -o kl.npy", 1)
    assert "bins.npy has 5 bins, p.npy has 4" in fails(capsys, "kl p.npy bins.npy -o kl.npy", 1)
    assert "one.npy has 1 bin, p.npy has 4" in fails(capsys, "kl p.npy one.npy -o kl.npy", 1)
    assert "one.npy has 1 weight, p.npy has 4 bins" in fails(capsys, "kl p.npy p.npy --weights one.npy", 1)
    assert "scalar.npy holds a single number" in fails(capsys, "kl p.npy scalar.npy -o kl.npy", 1)
    assert "complex.npy has dtype complex128" in fails(capsys, "kl p.npy complex.npy -o kl.npy", 1)
    assert "words.npy has dtype <U1; it must have real numbers" in fails(capsys, "kl words.npy p.npy -o kl.npy", 1)
    assert "words.npy has dtype <U1" in fails(capsys, "kl p.npy p.npy -o kl.npy --weights words.npy", 1)
    assert "--axis 2 is out of bounds" in fails(capsys, "kl p.npy p.npy -o kl.npy --axis 2", 1)
    assert "weights are one row" in fails(capsys, "kl p.npy p.npy -o kl.npy --weights bins.npy", 1)
    assert "absent.npy: No such file" in fails(capsys, "kl p.npy absent.npy -o kl.npy", 1)


# What is wrong with the call


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("kl p.npy", "the following arguments are required: Q"),
        ("kl p.npy p.npy --base 1", "argument --base: '1' is not a positive number other than 1"),
        (
            "kl p.npy p.npy --pseudocount nan",
            "argument --pseudocount: 'nan' is not a finite number >= 0 or one of evidently, popmon",
        ),
        ("kl p.npy p.npy --threads 0", "argument --threads: '0' is not a whole number >= 1"),
        ("kl p.npy p.npy --threads two", "argument --threads: 'two' is not a whole number >= 1"),
        ("kl p.npy p.npy --dtype float16", "argument --dtype: invalid choice"),
        ("kl p.npy p.npy --on", "unrecognized arguments: --on (see `fastkl kl --help`)"),
        ("--on kl p.npy", "unrecognized arguments: --on p.npy (see `fastkl --help`)"),
        ("kl p.npy p.txt", "p.txt: files to read end in .npy, .npz, .csv"),
        ("kl p.npy p.npy -o kl.txt", "kl.txt: results go to files that end in .npy, .npz, .csv"),
        ("kl p.npy p.npy -o absent/kl.npy", "absent is not a folder"),
        ("kl p.npy p.npy -o folder.npy --force", "folder.npy is a folder"),
        ("kl p.npy q.npy -o q.npy --force", "q.npy is an input"),
        ("demo --rows 0", "argument --rows: '0' is not a whole number >= 1"),
        ("klx", "argument COMMAND: invalid choice: 'klx'"),
        ("--", "the following arguments are required: COMMAND"),
    ],
)
def test_a_wrong_call_is_refused_in_one_line(arguments: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    save("p.npy", np.ones((3, 4)))
    save("q.npy", np.ones((3, 4)))
    os.mkdir("folder.npy")
    assert message in fails(capsys, arguments, 2)


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="a folder that nobody can write to")
@pytest.mark.parametrize(
    "call", ["kl p.npy p.npy -o /proc/d.npy", "pairwise p.npy -o /proc/d.npy", "nearest p.npy p.npy -o /proc/d.npz"]
)
def test_a_file_that_can_not_be_written_is_named_before_any_work(
    call: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    save("p.npy", np.ones((3, 4)))
    monkeypatch.setattr(_open, "open_source", lambda *_, **__: pytest.fail("read before it was refused"))
    assert f"fastkl: {call.split()[-1]} can't be written: " in fails(capsys, call, 1)


@pytest.mark.parametrize("target", ["kl.npy", "kl.csv"])
def test_a_result_is_replaced_only_when_told_so(
    target: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    p = save("p.npy", np.eye(3) + 1)
    save("q.npy", np.ones(3))
    Path(target).write_text("precious")
    with monkeypatch.context() as patch:
        patch.setattr(_open, "open_source", lambda *_, **__: pytest.fail("read before it was refused"))
        assert f"{target} exists; --force" in fails(capsys, f"kl p.npy q.npy -o {target}", 2)
    assert Path(target).read_text() == "precious"
    assert main(["kl", "p.npy", "q.npy", "-o", target, "--force"]) == 0
    found = np.load(target) if target.endswith("npy") else np.loadtxt(target)
    np.testing.assert_array_equal(found, fastkl.kl_divergence(p, np.ones(3)))


def test_a_result_that_appears_while_computing_is_not_replaced(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def appear(*arrays: Any, **options: Any) -> Any:
        Path("kl.npy").write_text("of another process")
        return fastkl.kl_divergence(*arrays, **options)

    save("p.npy", np.ones((3, 4)))
    monkeypatch.setitem(_kinds.ROW_FUNCTIONS, "kl", appear)
    assert main(["kl", "p.npy", "p.npy", "-o", "kl.npy"]) == 2
    assert "kl.npy exists" in capsys.readouterr().err
    assert Path("kl.npy").read_text() == "of another process"
    assert sorted(os.listdir()) == ["kl.npy", "p.npy"]


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 1, "out of memory"),
        (OSError(28, "No space left on device"), 1, "No space left on device"),
    ],
)
@pytest.mark.parametrize("existing", [False, True])
def test_a_run_that_ends_in_the_middle_leaves_what_was_there(
    error: BaseException,
    status: int,
    message: str,
    existing: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = []

    def end_in_third_block(*arrays: Any, **options: Any) -> Any:
        calls.append(arrays)
        if len(calls) == 4:  # the first has no rows and checks the options
            raise error
        return fastkl.kl_divergence(*arrays, **options)

    save("p.npy", np.ones((30, 4)))
    if existing:
        Path("kl.npy").write_text("precious")
    monkeypatch.setitem(_kinds.ROW_FUNCTIONS, "kl", end_in_third_block)
    monkeypatch.setattr(_plan, "BLOCK_BYTES", 320)
    assert fails(capsys, "kl p.npy p.npy -o kl.npy --force", status) == f"fastkl: {message}\n"
    assert not existing or Path("kl.npy").read_text() == "precious"


# Whole processes


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on() -> None:
    # Work for some seconds in sparse files, whose zeros the pseudo-count makes histograms.
    for name in ("p.npy", "q.npy"):
        np.lib.format.open_memmap(name, "w+", np.float64, (10_000_000, 256))
    arguments = ["kl", "p.npy", "q.npy", "-o", "kl.npy", "--pseudocount", "1", "--threads", "1"]
    with subprocess.Popen([*FASTKL, *arguments], stderr=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        journal = Path(".kl.npy.fastkl/journal.json")
        while not (journal.exists() and json.loads(journal.read_text())["done"]):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
    assert process.returncode == 130
    found = re.fullmatch(r"fastkl: interrupted; ([\d,]+) of 10,000,000 rows are done and kept: `(.*)` continues\n", err)
    assert found is not None, err
    assert found[2] == f"fastkl {' '.join(arguments)} --resume"
    assert json.loads(journal.read_text())["done"] == int(found[1].replace(",", ""))
    assert sorted(os.listdir()) == [".kl.npy.fastkl", "p.npy", "q.npy"]


def test_a_reader_that_leaves_early_is_no_error() -> None:
    save("p.npy", np.random.default_rng(3).exponential(size=(100_000, 4)))
    with subprocess.Popen(
        [*FASTKL, "kl", "p.npy", "p.npy"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"0.0\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_commands_import_only_what_they_use() -> None:
    script = "import sys, fastkl.cli as c; c.main(['kl', 'p.npy', 'p.npy']); print(*sys.modules, sep='\\n')"
    save("p.npy", np.ones((2, 4)))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=ENVIRONMENT, check=True, timeout=60
    )
    loaded = set(done.stdout.split())
    assert "fastkl.cli.kl" in loaded
    assert not loaded & {"scipy.stats", "fastkl.bench", "fastkl.cli.demo", "fastkl.cli.info", "matplotlib"}


# The other commands, and help


def test_demo_shows_answers_that_scipy_confirms(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "SCIPY_ROWS", 300)
    assert main(["demo", "--rows", "1000", "--threads", "2"]) == 0
    out = capsys.readouterr().out
    assert "1,000 pairs of histograms" in out
    assert "first call" in out
    assert "The first 300 rows by both" in out
    answers = [line.split() for line in out.splitlines() if re.match(r" +\d+ +0\.\d+ ", line)]
    assert len(answers) == demo.SHOWN_ROWS
    assert float(out.rsplit(maxsplit=1)[-1]) < 1e-13


def test_demo_makes_the_same_data_on_any_number_of_threads() -> None:
    one, three = (demo._histograms(10_000, 0, threads) for threads in (1, 3))
    np.testing.assert_array_equal(one, three)


def test_info_tells_what_numba_compiles_for(capsys: pytest.CaptureFixture[str]) -> None:
    fastkl.kl_divergence(np.ones((2, 256)), np.ones((2, 256)))
    assert main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["versions"]["fastkl"] == fastkl.__version__
    assert facts["versions"]["numpy"] == np.__version__
    assert facts["cpu"]["vector_bits"] in (128, 256, 512)
    assert facts["threads"]["available"] >= 1
    if facts["kernels"]["folder"] is not None:
        assert facts["kernels"]["warm"]
        assert facts["kernels"]["files"] >= 2
    assert main(["info"]) == 0
    assert re.search(r"^numba +\d", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.parametrize(
    ("cpu", "bits"), [("nocona", 128), ("haswell", 256), ("skylake-avx512", 256), ("icelake-server", 512)]
)
def test_info_sees_another_cpu_and_its_cold_cache(cpu: str, bits: int) -> None:
    environment = {**ENVIRONMENT, "NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": ""}
    if os.uname().machine != "x86_64":
        pytest.skip("names a CPU of x86")
    out = subprocess.run(
        [*FASTKL, "info", "--json"], capture_output=True, env=environment, check=True, timeout=60
    ).stdout
    facts = json.loads(out)
    assert (facts["cpu"]["name"], facts["cpu"]["vector_bits"]) == (cpu, bits)
    assert not facts["kernels"]["warm"]


def test_info_does_without_a_kernel_cache(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "rows", kernels.rows.py_func if hasattr(kernels.rows, "py_func") else kernels.rows)
    assert info.gather()["kernels"] == {"folder": None, "files": 0, "bytes": 0, "ready": {}, "warm": False}
    assert main(["info"]) == 0
    assert "none: kernels are compiled in every process" in capsys.readouterr().out


@pytest.mark.parametrize("command", [[], ["demo"], ["kl"], ["info"]])
def test_help_teaches_by_examples(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--help"]) == 0
    out = capsys.readouterr().out
    assert "examples:\n  fastkl" in out
    assert max(map(len, out.splitlines())) <= 120


def test_no_command_shows_the_help_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "commands:" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"fastkl {fastkl.__version__}\n"


def test_a_bar_is_drawn_and_wiped_on_a_terminal_only(capsys: pytest.CaptureFixture[str]) -> None:
    for shown in (False, True):
        with Progress("reading", 10, shown) as progress:
            progress.advance(5)
        err = capsys.readouterr().err
        assert bool(err) == shown
    assert err.startswith("\rreading:")
    assert err.endswith("\r")
