"""Files that are stored across, or in pieces larger than a block: the same rows, in the memory that a run may use."""

import os
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
from batch_files import (  # noqa: F401 (every test has a folder of its own)
    _in_a_folder,
    as_columns,
    as_lists,
    as_matrix,
    open_source,
    some,
)
from test_cli import save

import fastkl
from fastkl import batch
from fastkl.batch import _job, _kinds
from fastkl.batch._pace import Pace
from fastkl.batch.formats import _across, _unpacked
from fastkl.batch.formats._checks import Reading
from fastkl.batch.formats._ipc_metadata import batch_facts

TIGHT = Reading(room=1000)
LINUX = pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads Linux's account of memory")


def check_rows(source, rows):
    """Raise unless blocks of a source, in order and not, are those rows."""
    for start, stop in ((0, len(rows)), (0, 0), (3, 4), (len(rows) - 1, len(rows)), (1, len(rows) - 1), (0, 2)):
        found = source.read(start, stop)
        np.testing.assert_array_equal(found, rows[start:stop])
        assert found.dtype == source.dtype


# Across a file


@pytest.mark.parametrize("span", [1, 200, 3000, 1 << 20])
@pytest.mark.parametrize("shape", [(7, 5), (1, 5), (7, 1), (3, 4, 5), (2, 3, 1, 4)])
@pytest.mark.parametrize("dtype", ["f8", ">u2"])
def test_rows_across_a_file_are_copied_whole_in_any_pieces(span, shape, dtype, monkeypatch):
    monkeypatch.setattr(_across, "SPAN", span)
    array = np.asfortranarray(some(shape, dtype))
    np.save("f.npy", array)
    rows = as_matrix(np.ascontiguousarray(array))
    source = open_source("f.npy")
    for start in range(len(rows)):
        for stop in range(start, len(rows) + 1):
            np.testing.assert_array_equal(source.read(start, stop), rows[start:stop])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_other_axes_have_the_bits_of_the_function_in_any_pieces(axis, monkeypatch):
    monkeypatch.setattr(_across, "SPAN", 100)
    monkeypatch.setattr(_job, "rows_together", lambda *_: 3)
    p, q = np.random.default_rng(3).standard_gamma(2.0, (2, 4, 5, 6))
    for order in "CF":
        save("p.npy", np.asarray(p, order=order)), save("q.npy", np.asarray(q, order=order))
        batch.run("kl", "p.npy", "q.npy", "out.npy", axis=axis, force=True)
        np.testing.assert_array_equal(np.load("out.npy"), fastkl.kl_divergence(p, q, axis=axis))


# In pieces larger than a block


@pytest.mark.parametrize("chunks", [(4, 3), (7, 7), (1, 3), (2, 2, 3), (1, 3, 7), (1, 1, 3), (2, 1, 2, 3)])
@pytest.mark.parametrize("suffix", ["zarr", "h5"])
def test_chunks_that_there_is_no_room_for_are_unpacked_one_by_one(suffix, chunks):
    shape = {2: (9, 7), 3: (5, 4, 7), 4: (3, 2, 4, 7)}[len(chunks)]
    array = np.random.default_rng(1).integers(0, 99, shape).astype("f4")
    if suffix == "zarr":
        pytest.importorskip("zarr").create_array("a.zarr", shape=shape, chunks=chunks, dtype="f4")[...] = array
    else:
        with pytest.importorskip("h5py").File("a.h5", "w") as file:
            file.create_dataset("p", data=array, chunks=chunks, compression="gzip")
    source = open_source(f"a.{suffix}", how=Reading(room=0))
    assert source._unpacked is not None
    assert source.working == 3 * np.prod(chunks) * 4 + _unpacked.WORKING + (32 << 20)
    check_rows(source, as_matrix(array))
    source = open_source(f"a.{suffix}")
    assert source._unpacked is None
    check_rows(source, as_matrix(array))


@pytest.mark.parametrize("how", ["parquet", "folder", "arrow", "feather"])
def test_columns_that_there_is_no_room_for_are_unpacked_some_at_a_time(how):
    array = np.random.default_rng(2).integers(0, 99, (23, 40)).astype("f8")
    table = as_columns(array)
    if how == "parquet":
        pa.parquet.write_table(table, "a.parquet", row_group_size=9)
    elif how == "folder":
        os.mkdir("a.parquet")
        for number, (start, stop) in enumerate([(0, 10), (10, 23)]):
            pa.parquet.write_table(table[start:stop], f"a.parquet/{number}.parquet", row_group_size=4)
    else:
        pa.feather.write_feather(
            table, f"a.{how}", compression="zstd" if how == "feather" else "uncompressed", chunksize=9
        )
    source = open_source(f"a.{'parquet' if how == 'folder' else how}", how=TIGHT)
    assert source._unpacked is not None
    assert source._together < 40
    check_rows(source, array)


def test_a_null_in_an_unpacked_column_is_named_with_its_row():
    columns = {f"b{i}": pa.array([1, 2, None if i == 7 else 3]) for i in range(20)}
    pa.parquet.write_table(pa.table(columns), "a.parquet")
    with pytest.raises(ValueError, match=r"a\.parquet, column 'b7', row 2 \(counted from 0\), is null"):
        open_source("a.parquet", how=TIGHT).read(0, 1)


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files there")
def test_no_room_to_unpack_is_one_clear_sentence(monkeypatch):
    import resource

    pa.parquet.write_table(as_columns(np.ones((2000, 40))), "a.parquet")
    source = open_source("a.parquet", how=TIGHT)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(
            ValueError, match=r"^a\.parquet, rows 0 to 1999: there is no room in .* for the 625 KiB that"
        ):
            source.read(0, 10)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    np.testing.assert_array_equal(source.read(0, 10), np.ones((10, 40)))


@pytest.mark.parametrize("compression", ["uncompressed", "zstd", "lz4"])
def test_batches_of_arrow_are_known_before_they_are_unpacked(compression):
    table = pa.table({"h": as_lists(np.arange(40.0).reshape(10, 4)), "day": [str(i) for i in range(10)]})
    pa.feather.write_feather(table, "a.feather", compression=compression, chunksize=4)
    messages = pa.ipc.MessageReader.open_stream(pa.BufferReader(Path("a.feather").read_bytes()[8:]))
    found = [batch_facts(m.metadata.to_pybytes()) for m in messages if m.type == "record batch"]
    assert found == [(rows, compression != "uncompressed") for rows in (4, 4, 2)]
    source = open_source("a.feather", ids="day")
    np.testing.assert_array_equal(source.read(3, 9), np.arange(12.0, 36.0).reshape(6, 4))
    assert (source.working > 4 * 4 * 8) == (compression != "uncompressed") or source.working >= 1 << 17
    with pytest.raises(ValueError, match="the metadata of a record batch are damaged"):
        batch_facts(b"\xff" * 20)


def test_pieces_that_no_memory_is_left_for_are_refused_before_the_run():
    zarr = pytest.importorskip("zarr")
    zarr.create_array("a.zarr", shape=(4000, 4000), chunks=(4000, 4000), dtype="f8")
    said = (
        r"of 256 MiB is too little for this run; it needs 543.2 MiB or more, as a\.zarr is stored in pieces that take"
    )
    with pytest.raises(batch.Refused, match=said):
        batch.run("kl", "a.zarr", np.ones(4000), "out.npy", memory="256MiB")
    assert os.listdir() == ["a.zarr"]


PEAK = """
import fastkl, fastkl.batch, numpy, pyarrow.parquet, pyarrow.feather, zarr, h5py
from fastkl.bench.machine import status

def peak():
    return status("VmHWM") / (1 << 20)

before = peak()
fastkl.batch.run({arguments}, memory="{memory}MiB", threads=2)
print(peak() - before)
"""


@LINUX
@pytest.mark.parametrize(
    ("name", "arguments", "memory"),
    [
        ("axis.npy", '"kl", "axis.npy", numpy.ones(8192), "out.npy", axis=0, pseudocount=1', 224),
        ("fortran.npy", '"js", "fortran.npy", numpy.ones(8192), "out.npy", pseudocount=1', 224),
        ("narrow.zarr", '"kl", "narrow.zarr", numpy.ones(1024), "out.npy"', 256),
        ("narrow.h5", '"kl", "narrow.h5", numpy.ones(1024), "out.npy"', 256),
        ("wide.parquet", '"kl", "wide.parquet", numpy.ones(2000), "out.npy"', 256),
        ("wide.arrow", '"kl", "wide.arrow", numpy.ones(2000), "out.npy"', 256),
        ("wide.feather", '"kl", "wide.feather", numpy.ones(2000), "out.npy"', 256),
        ("bad.npy", '"kl", "bad.npy", numpy.ones(2), "out.npy", on_invalid="report"', 160),
    ],
)
def test_peak_memory_stays_within_the_budget_whatever_the_layout(name, arguments, memory, run_python):
    make(name)
    assert float(run_python(PEAK.format(arguments=arguments, memory=memory))) < memory


def make(name):
    """A file of some hundred MB, or of many bad rows."""
    stem, suffix = name.split(".")
    if stem in ("axis", "fortran"):  # sparse: no disk is filled, but each page that is mapped counts
        shape = (8192, 20_000) if stem == "axis" else (20_000, 8192)
        np.lib.format.open_memmap(name, "w+", np.float64, shape, fortran_order=stem == "fortran")
    elif stem == "narrow":
        array = np.random.default_rng(0).integers(1, 9, (40_000, 1024)).astype(np.float64)
        if suffix == "zarr":
            pytest.importorskip("zarr").create_array(name, shape=array.shape, chunks=(40_000, 16), dtype="f8")[:] = (
                array
            )
        else:
            with pytest.importorskip("h5py").File(name, "w") as file:
                file.create_dataset("p", data=array, chunks=(40_000, 16))
    elif stem == "wide":
        table = as_columns(np.random.default_rng(0).integers(1, 9, (20_000, 2000)).astype(np.float64))
        if suffix == "parquet":
            pa.parquet.write_table(table, name)
        else:
            pa.feather.write_feather(table, name, "zstd" if suffix == "feather" else "uncompressed", chunksize=20_000)
    else:
        save(name, np.full((60_000, 2), -1.0))


# Reports, and blocks of slow kinds


def test_a_report_is_told_row_by_row(monkeypatch):
    happened = []  # a row is told before the reason of the next is made
    tell, reason = batch._journal.Kept.tell, _kinds.RowKind.reason
    monkeypatch.setattr(
        batch._journal.Kept, "tell", lambda self, *told: happened.append(told[0].row) or tell(self, *told)
    )
    monkeypatch.setattr(_kinds.RowKind, "reason", lambda self, row: happened.append("reason") or reason(self, row))
    batch.run("kl", np.full((50, 2), -1.0), np.ones(2), "out.npy", on_invalid="report")
    assert happened == [event for row in range(50) for event in ("reason", row)]
    assert len(Path("out.npy.invalid.csv").read_text().splitlines()) == 51


def test_blocks_of_slow_kinds_take_about_a_second():
    pace = Pace(64, 5000, 1)
    sizes = []
    for _ in range(8):
        sizes.append(pace.rows)
        pace.took(pace.rows, pace.rows * 0.002)
    assert sizes == [64, 256, 500, 500, 500, 500, 500, 500]
    for stored, rows, seconds, wanted in ((100, 1000, 4.0, 200), (100, 1000, 40.0, 25), (1, 10, 100.0, 1)):
        pace = Pace(rows, 5000, stored)
        pace.took(rows, seconds)
        assert pace.rows == wanted
    pace = Pace(None, 5000, 1)
    pace.took(5000, 100.0)
    assert pace.rows == 5000


@pytest.mark.parametrize("kind", ["nearest", "fit"])
def test_results_do_not_depend_on_the_pace(kind, monkeypatch):
    p, q = np.random.default_rng(4).standard_gamma(2.0, (2, 200, 8))
    options = {"k": 5} if kind == "nearest" else {"edges": np.linspace(-4, 4, 9)}
    blocks = []
    for name, seconds in (("fast", 0.0), ("slow", 2.0)):
        with monkeypatch.context() as patch:
            took = Pace.took
            patch.setattr(Pace, "took", lambda self, rows, _, s=seconds, t=took: t(self, rows, s))
            y = q if kind == "nearest" else None
            batch.run(kind, p, y, f"{name}.npz", on_progress=blocks.append, **options)
    assert [now.rows_done for now in blocks] == [64, 128, 200, 64, 128, 160, 192, 200]
    assert Path("fast.npz").read_bytes() == Path("slow.npz").read_bytes()
