"""The command `fit`: what the function gives, in a table, in arrays or in pictures; one line for what is wrong."""

from pathlib import Path

import numpy as np
import pytest
from test_cli import _in_empty_folder, save  # noqa: F401 (every test has a folder of its own)

import fastkl
from fastkl.cli import main

EDGES = np.linspace(-8, 8, 33)


@pytest.fixture
def p():
    x = 0.5 * (EDGES[1:] + EDGES[:-1])
    means = np.array([[-2.0], [0.0], [1.5]])
    save("e.npy", EDGES)
    return save("p.npy", np.exp(-((x - means) ** 2)) + 0.3 * np.exp(-((x - 4) ** 2)) + 1e-6)


def test_lines_are_what_the_function_gives(p, capsys):
    assert (
        main(
            [
                "fit",
                "p.npy",
                "--edges",
                "e.npy",
                "--grid",
                "loc=-8:8:17",
                "--grid",
                "scale=0.5:4:9:log",
                "--objective",
                "both",
            ]
        )
        == 0
    )
    head, *lines = capsys.readouterr().out.splitlines()
    assert head == "objective,row,loc,scale,divergence,grid_index,converged"
    grid = {"loc": np.linspace(-8, 8, 17), "scale": np.geomspace(0.5, 4, 9)}
    for start, objective in ((0, "forward"), (3, "reverse")):
        found = fastkl.fit(p, edges=EDGES, grid=grid, objective=objective)
        for row in range(3):
            cells = lines[start + row].split(",")
            assert cells[:2] == [objective, str(row)]
            assert [float(cell) for cell in cells[2:5]] == [
                found.params["loc"][row], found.params["scale"][row], found.divergence[row]
            ]  # fmt: skip


def test_files_hold_the_same_numbers(p):
    import pyarrow.parquet

    options = "fit p.npy --edges e.npy --objective reverse --minima 2 --no-refine"
    found = fastkl.fit(p, edges=EDGES, objective="reverse", minima=2, refine=False)
    assert main(f"{options} -o f.npz --plot pictures".split()) == 0
    with np.load("f.npz") as arrays:
        np.testing.assert_array_equal(arrays["loc"], found.params["loc"])
        np.testing.assert_array_equal(arrays["divergence"], found.divergence)
    assert len(list(Path("pictures").glob("*.png"))) == 3
    assert main(f"{options} -o f.parquet".split()) == 0
    table = pyarrow.parquet.read_table("f.parquet").to_pydict()
    np.testing.assert_array_equal(table["scale"], found.params["scale"].ravel())
    assert table["minimum"] == [0, 1] * 3


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ("", 2, "one of --edges and --points"),
        ("--points e.npy", 1, "there must be 32"),
        ("--edges e.npy --grid loc=1:2", 2, "FROM:TO:COUNT"),
        ("--edges e.npy --family foo", 2, "'foo' is not known"),
        ("--edges e.npy --fixed df=3", 1, "'df', which is no parameter of norm"),
        ("--edges e.npy --objective kl", 2, "is not forward, reverse, both"),
        ("--edges e.npy -o there.csv", 2, "--force replaces it"),
    ],
)
def test_wrong_calls_get_one_line(p, capsys, options, status, words):
    Path("there.csv").write_text("kept")
    assert main(["fit", "p.npy", *options.split()]) == status
    message = capsys.readouterr().err
    assert words in message
    assert message.count("\n") == 1
    assert Path("there.csv").read_text() == "kept"
