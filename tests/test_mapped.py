"""Mapped files: their pages do not stay memory of the process, and nothing written to a private map is lost."""

import mmap
from pathlib import Path

import numpy as np
import pytest

import fastkl
from fastkl._mapped import is_mapped, let_go

GRID = {"loc": np.linspace(-1, 1, 5), "scale": [0.5, 1.0]}


def resident_file_bytes():
    return int(Path("/proc/self/status").read_text().split("RssFile:")[1].split()[0]) * 1024


def written(path, rows=40_000):
    values = np.lib.format.open_memmap(path, "w+", np.float64, (rows, 64))
    values[:] = np.random.default_rng(0).random((rows, 64)) + 0.1
    values.flush()
    return np.array(values)


@pytest.mark.parametrize("objective", ["forward", "reverse"])
def test_a_fit_of_a_mapped_file_keeps_none_of_its_pages(tmp_path, objective):
    values = written(tmp_path / "p.npy")
    options = {"points": np.linspace(-2, 2, 64), "grid": GRID, "refine": False, "objective": objective}
    expected = fastkl.fit(values, **options).divergence
    p = np.load(tmp_path / "p.npy", mmap_mode="r")
    before = resident_file_bytes()
    np.testing.assert_array_equal(fastkl.fit(p, **options).divergence, expected)
    assert resident_file_bytes() - before < 0.2 * p.nbytes
    np.testing.assert_array_equal(p, values)


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_what_is_in_the_map_stays(tmp_path, mode):
    values = written(tmp_path / "p.npy", 1000)
    p = np.load(tmp_path / "p.npy", mmap_mode=mode)
    if mode != "r":
        p[3:700] *= 2  # of a private map these pages are nowhere else
        values[3:700] *= 2
    assert is_mapped(p[5:].reshape(-1)[7:]) == (mode != "c")
    for view in (p, p[1:900], p[::-1, ::3], np.asarray(p)[11:12], p[4:4], p[7, 5]):
        let_go(np.asanyarray(view))
    np.testing.assert_array_equal(p, values)
    assert not is_mapped(values)
    let_go(values)


def test_pages_of_a_map_without_numpy_are_given_back_where_nobody_can_write(tmp_path):
    values = written(tmp_path / "p.npy")
    with open(tmp_path / "p.npy", "rb") as file:
        pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    p = np.ndarray(values.shape, values.dtype, pages, len(pages) - values.nbytes)
    assert is_mapped(np.frombuffer(pages))
    before = resident_file_bytes()
    np.testing.assert_array_equal(p, values)
    assert resident_file_bytes() - before > 0.8 * p.nbytes
    let_go(p[10:][5:])
    assert is_mapped(p[10:])
    assert resident_file_bytes() - before < 0.2 * p.nbytes
    np.testing.assert_array_equal(p, values)
    pages.close()
    assert not is_mapped(p)


def test_other_maps_are_left_alone():
    values = np.frombuffer(mmap.mmap(-1, 8 * 4096), np.float64)  # which has no file to be read from again
    values[:] = 1
    assert not is_mapped(values)
    let_go(values)
    assert (values == 1).all()
