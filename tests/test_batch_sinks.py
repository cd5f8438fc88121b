"""Results in files, against what NumPy and the formats' own libraries read."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
from batch_files import (  # noqa: F401 (every test has a folder of its own)
    IDS,
    SUFFIXES,
    Names,
    _in_a_folder,
    as_fixed_lists,
    as_lists,
    as_table,
    bytes_of,
    check_source,
    digest,
    open_source,
    read_back,
    some,
    write,
)

from fastkl.batch._protocols import Column, SinkError
from fastkl.batch.formats import (
    _write_arrays,
    _write_arrow,
    _write_csv,
    _write_npy,
    _write_npz,
    open_sink,
)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in [
        (_write_npy, "ROWS_BYTES"),
        (_write_npz, "ROWS_BYTES"),
        (_write_arrow, "_GROUP_BYTES"),
        (_write_arrays, "ROWS_BYTES"),
        (_write_csv, "_NUMBERS_AT_ONCE"),
    ]:
        monkeypatch.setattr(module, name, 160)


@pytest.mark.parametrize("dtype", ["f8", "f4", "i8", "bool"])
@pytest.mark.parametrize("suffix", [suffix for suffix in SUFFIXES if suffix != "csv"])
@pytest.mark.usefixtures("small_blocks")
def test_one_column_is_written_and_the_same_to_the_bit_in_any_blocks(suffix: str, dtype: str) -> None:
    values = some((101,), dtype) if dtype == "bool" else np.random.default_rng(1).normal(size=101).astype(dtype)
    digests = set()
    for step in (1, 7, 101):
        path = f"{step}.{suffix}"
        write(path, {"kl": values}, (101,), step)
        np.testing.assert_array_equal(read_back(path, "kl"), values, strict=True)
        digests.add(digest(path))
    assert len(digests) == 1


@pytest.mark.parametrize("ids", [None, IDS * 10, np.arange(80) * 3], ids=["none", "text", "int"])
@pytest.mark.parametrize("suffix", [suffix for suffix in SUFFIXES if suffix not in ("npy", "csv")])
@pytest.mark.usefixtures("small_blocks")
def test_several_columns_and_ids_are_written(suffix: str, ids: Any) -> None:
    rng = np.random.default_rng(2)
    columns = {
        "divergences": rng.random((80, 3)).astype("f4"),
        "indices": rng.integers(-1, 99, (80, 3)),
        "n": rng.random(80),
    }
    names = None if ids is None else Names(ids)
    digests = set()
    for step in (3, 80):
        path = f"{step}.{suffix}"
        write(path, columns, (80,), step, ids=names)
        for name, values in columns.items():
            np.testing.assert_array_equal(read_back(path, name), values, strict=True)
        if ids is not None:
            assert read_back(path, "day").tolist() == list(ids)
        digests.add(digest(path))
    assert len(digests) == 1


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("shape", [(0,), (1,), (2, 0, 3)])
def test_few_or_no_rows_are_written(suffix: str, shape: tuple[int, ...]) -> None:
    rows = int(np.prod(shape))
    path = f"a.{suffix}"
    write(path, {"kl": np.full(rows, 0.5)}, shape, 1)
    if suffix == "csv":
        assert Path(path).read_text() == "0.5\n" * rows
        return
    keeps_shape = suffix in ("npy", "npz", "zarr", "h5", "hdf5")
    np.testing.assert_array_equal(read_back(path, "kl"), np.full(shape if keeps_shape else rows, 0.5), strict=True)
    if suffix != "npy":
        write(f"b.{suffix}", {"kl": np.ones(rows), "i": np.ones((rows, 2), int)}, (rows,), 1, ids=Names(["a"] * rows))
        assert read_back(f"b.{suffix}", "i").shape == (rows, 2)
        assert len(read_back(f"b.{suffix}", "day")) == rows


@pytest.mark.parametrize("suffix", ["npy", "npz", "zarr", "h5"])
@pytest.mark.parametrize("shape", [(), (4, 5), (3, 2, 7), (1, 1, 50)])
@pytest.mark.usefixtures("small_blocks")
def test_arrays_keep_the_shape_of_the_rows(suffix: str, shape: tuple[int, ...]) -> None:
    rows = int(np.prod(shape))
    values = np.random.default_rng(3).random((rows, 3))
    digests = set()
    for step in (1, 4, 100):
        write(f"a{step}.{suffix}", {"d": values}, shape, step)
        np.testing.assert_array_equal(read_back(f"a{step}.{suffix}", "d"), values.reshape(*shape, 3), strict=True)
        write(f"b{step}.{suffix}", {"d": values[:, 0]}, shape, step)
        np.testing.assert_array_equal(read_back(f"b{step}.{suffix}", "d"), values[:, 0].reshape(shape), strict=True)
        digests.add(digest(f"a{step}.{suffix}"))
    assert len(digests) == 1


def test_npy_is_what_numpy_saves() -> None:
    values = np.random.default_rng(4).random((5, 3))
    write("a.npy", {"d": values}, (5,), 2)
    assert Path("a.npy").read_bytes() == bytes_of(values)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_written_is_read_as_histograms(suffix: str) -> None:
    values = np.random.default_rng(5).random((50, 4))
    write(f"a.{suffix}", {"d": values}, (50,), 9)
    check_source(f"a.{suffix}", values)


@pytest.mark.usefixtures("small_blocks")
def test_csv_names_its_columns_where_there_are_several() -> None:
    values = np.array([0.1, np.float64(1) / 3, np.inf, np.nan, 5e-324, -0.0])
    for step in (1, 6):
        write("a.csv", {"kl": values}, (6,), step, force=True)
        assert Path("a.csv").read_text() == "0.1\n0.3333333333333333\ninf\nnan\n5e-324\n-0.0\n"
        columns = {"d": values[:2, None].astype("f4").repeat(2, 1), "ok": np.array([True, False])}
        write("b.csv", columns, (2,), step, ids=Names(['a,"b"', None]), force=True)
        assert Path("b.csv").read_text() == (
            'day,d_1,d_2,ok\n"a,""b""",0.1,0.1,true\n,0.33333334,0.33333334,false\n'.replace("\n,0", '\n"",0')
        )


def test_ids_go_from_a_file_to_another() -> None:
    ids = ["a", "b", None, "d"] * 5
    pa.parquet.write_table(pa.table({"h": as_lists(np.ones((20, 4))), "day": ids}), "in.parquet", row_group_size=3)
    source = open_source("in.parquet")
    for suffix in ("parquet", "csv", "npz", "zarr", "h5"):
        write(f"out.{suffix}", {"kl": np.zeros(20)}, (20,), 6, ids=source.ids)
    assert pa.parquet.read_table("out.parquet")["day"].to_pylist() == ids
    for suffix in ("npz", "zarr", "h5"):
        assert read_back(f"out.{suffix}", "day").tolist() == [name or "" for name in ids]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_existing_target_is_kept_unless_forced(suffix: str) -> None:
    path, one = f"a.{suffix}", {"kl": np.ones(3)}
    write(path, one, (3,), 3)
    before = digest(path)
    with pytest.raises(SinkError, match=rf"a.{suffix} exists; --force \(force=True\) replaces it"):
        write(path, {"kl": np.zeros(3)}, (3,), 3)
    assert digest(path) == before
    write(path, {"kl": np.zeros(3)}, (3,), 3, force=True)
    assert digest(path) != before
    assert list(Path().iterdir()) == [Path(path)]


def test_a_target_that_appears_meanwhile_is_kept() -> None:
    sink = open_sink("a.npy", {"kl": Column(np.dtype(float))}, (1,))
    sink.write({"kl": np.ones(1)})
    Path("a.npy").write_text("mine")
    with pytest.raises(SinkError, match=r"a.npy exists"):
        sink.finish()
    assert list(Path().iterdir()) == [Path("a.npy")]
    assert Path("a.npy").read_text() == "mine"


@pytest.mark.parametrize("suffix", ["npy", "zarr"])
def test_a_folder_that_is_no_result_is_never_replaced(suffix: str) -> None:
    Path(f"a.{suffix}").mkdir()
    Path(f"a.{suffix}/thesis.txt").write_text("mine")
    with pytest.raises(SinkError, match=rf"a.{suffix} is a folder.* not replaced"):
        open_sink(f"a.{suffix}", {"kl": Column(np.dtype(float))}, (1,), force=True)
    with pytest.raises(SinkError, match=r"absent is not a folder"):
        open_sink(f"absent/a.{suffix}", {"kl": Column(np.dtype(float))}, (1,))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_abandoned_or_incomplete_result_leaves_nothing(suffix: str) -> None:
    sink = open_sink(f"a.{suffix}", {"kl": Column(np.dtype(float))}, (10,))
    sink.write({"kl": np.ones(4)})
    sink.abandon()
    sink.abandon()
    assert list(Path().iterdir()) == []
    sink = open_sink(f"a.{suffix}", {"kl": Column(np.dtype(float))}, (10,))
    sink.write({"kl": np.ones(4)})
    with pytest.raises(SinkError, match=rf"a.{suffix}: 4 of 10 rows were written"):
        sink.finish()
    assert list(Path().iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files there")
def test_a_disk_that_is_full_is_an_error_and_leaves_nothing(run_python: Callable[..., str]) -> None:
    found = run_python(
        f"""
        import os, resource
        import numpy as np
        from fastkl.batch.formats import open_sink
        from fastkl.batch._protocols import Column

        rng = np.random.default_rng(0)
        for suffix in {SUFFIXES}:
            sink = open_sink("a." + suffix, {{"d": Column(np.dtype(float), 8)}}, (20_000,))
            resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, -1))
            try:
                for _ in range(20):
                    sink.write({{"d": rng.random((1000, 8))}})
                sink.finish()
            except (OSError, RuntimeError):
                sink.abandon()
                print(suffix, os.listdir())
            resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
        """
    )
    assert found.splitlines() == [f"{suffix} ['script.py']" for suffix in SUFFIXES]


def test_blocks_other_than_announced_are_refused() -> None:
    sink = open_sink("a.npz", {"kl": Column(np.dtype(float)), "i": Column(np.dtype("i8"), 2)}, (3,))
    good = {"kl": np.ones(2), "i": np.ones((2, 2), "i8")}
    for change in ({"kl": np.ones(2, "f4")}, {"i": np.ones((2, 3), "i8")}, {"i": np.ones(2, "i8")}, {"kl": np.ones(3)}):
        with pytest.raises(SinkError, match=r"a.npz: column '\w+' was written as .* it was announced as"):
            sink.write(good | change)
    with pytest.raises(SinkError, match=r"columns \['kl'\] were written; \['i', 'kl'\] were announced"):
        sink.write({"kl": np.ones(2)})
    sink.write(good)
    with pytest.raises(SinkError, match=r"4 rows were written; 3 were announced"):
        sink.write(good)
    sink.abandon()
    with pytest.raises(SinkError, match=r"finished or abandoned"):
        sink.write(good)


def test_results_that_a_format_has_no_room_for_are_refused() -> None:
    one = {"kl": Column(np.dtype(float))}
    with pytest.raises(SinkError, match=r".npy holds one array, these results are kl, i; .npz"):
        open_sink("a.npy", one | {"i": Column(np.dtype(int))}, (1,))
    with pytest.raises(SinkError, match=r".npy holds one array, these results are day, kl"):
        open_sink("a.npy", one, (1,), ids=Names(["a"]))
    with pytest.raises(SinkError, match=r"'day' is both the name of the ids and of a column"):
        open_sink("a.npz", {"day": Column(np.dtype(float))}, (1,), ids=Names(["a"]))
    with pytest.raises(SinkError, match=r"no columns"):
        open_sink("a.npz", {}, (1,))
    for suffix in ("npz", "zarr", "h5"):
        names = Names(["a"])
        names.name = "../../x"
        with pytest.raises(SinkError, match=r"'../../x' can't be the name of an array"):
            open_sink(f"a.{suffix}", one, (1,), ids=names)
    assert list(Path().iterdir()) == []


def test_memory_stays_that_of_a_few_blocks(run_python: Callable[..., str]) -> None:
    """Columns of 80 MB are written and read; a process keeps a few blocks of 2 MB."""
    found = run_python(
        """
        import resource
        import numpy as np, pyarrow.parquet, pyarrow.feather, h5py, zarr
        from fastkl.batch.formats import open_sink, open_source
        from fastkl.batch._protocols import Column

        class Ids:
            name, dtype = "day", np.dtype(object)
            def read(self, start, stop):
                return np.array([f"row {i}" for i in range(start, stop)], object)
            def close(self):
                pass

        def once(path, rows, ids):
            rng = np.random.default_rng(0)
            sink = open_sink(path, {"d": Column(np.dtype(float), 256)}, (rows,), ids=ids, force=True)
            for start in range(0, rows, 1000):
                sink.write({"d": rng.integers(0, 50, (min(1000, rows - start), 256)) / 8})
            sink.finish()
            all_of(path, rows)

        def all_of(path, rows):
            source = open_source(path)
            for start in range(0, rows, 1000):
                assert source.read(start, min(rows, start + 1000)).shape[1] == 256
            source.close()

        def most():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

        for suffix in ("npy", "npz", "parquet", "arrow", "zarr", "h5"):
            once(f"small.{suffix}", 4000, None if suffix == "npy" else Ids())
        before = most()
        for suffix in ("npy", "npz", "parquet", "arrow", "zarr", "h5"):
            once(f"a.{suffix}", 40_000, None if suffix == "npy" else Ids())
            print(suffix, round(most() - before))
        """
    )
    growth = {line.split()[0]: int(line.split()[1]) for line in found.splitlines()}
    assert len(growth) == 6
    assert max(growth.values()) < 40, growth


def test_memory_stays_that_of_a_few_blocks_in_files_of_one_piece(run_python: Callable[..., str]) -> None:
    """One row group, one record batch, one compressed member, one column-major array of 98 MB each."""
    rows = 48_000
    array = np.random.default_rng(0).integers(0, 50, (rows, 256)).astype(np.float64)
    table = as_table(as_fixed_lists(array))
    pa.parquet.write_table(table, "a.parquet", row_group_size=rows)
    with pa.ipc.new_file("a.arrow", table.schema) as writer:
        writer.write_table(table)
    np.savez_compressed("a.npz", np.zeros((rows, 256)))
    np.save("f.npy", np.asfortranarray(array))
    del array, table
    found = run_python(
        """
        import resource, sys
        import pyarrow.parquet
        import numpy as np
        from fastkl.batch.formats import open_source
        np.save("s.npy", np.ones((10, 256)))
        np.savez_compressed("s.npz", np.ones((10, 256)))
        for path in ("s.npy", "s.npz", "a.parquet", "a.arrow"):
            open_source(path).read(0, 10)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for path in ("a.parquet", "a.arrow", "a.npz", "f.npy"):
            source = open_source(path)
            for start in range(0, source.rows, 1000):
                source.read(start, start + 1000).sum()
            source.close()
            print(path, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
        """
    )
    growth = {line.split()[0]: int(line.split()[1]) for line in found.splitlines()}
    assert len(growth) == 4
    assert max(growth.values()) < 40, growth
