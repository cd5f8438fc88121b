"""Files of histograms, against what NumPy and the formats' own libraries write."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
import zarr
from batch_files import (  # noqa: F401 (every test has a folder of its own)
    ARRAYS,
    IDS,
    SHAPES,
    TABLES,
    _in_a_folder,
    as_columns,
    as_fixed_lists,
    as_lists,
    as_table,
    as_tensors,
    check_source,
    open_source,
    save_arrow,
    save_compressed_hdf5,
    save_compressed_npz,
    save_feather,
    save_hdf5,
    save_npy,
    save_parquet,
    save_zarr,
    save_zarr_in_a_group,
    some,
)

from fastkl.batch._protocols import Column, SinkError, SourceError
from fastkl.batch.formats import (
    can_read,
    can_write,
    carries_ids,
    csv,
    open_sink,
)
from fastkl.batch.formats._checks import Reading, boxes

DTYPES = ["float32", "float64", "float16", "uint16", "int64", ">f8", ">u2", "bool"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("save", ARRAYS)
def test_arrays_of_any_real_type_are_read_as_they_are(save: Callable[[np.ndarray], str], dtype: str) -> None:
    array = some((13, 6), dtype)
    check_source(save(array), array)


@pytest.mark.parametrize("shape", [(0, 5), (1, 5), (7, 1), (5,), (1,), (3, 4, 5), (2, 3, 1, 4), (0, 3, 4), (4, 0)])
@pytest.mark.parametrize("save", ARRAYS)
def test_arrays_of_any_shape_are_read_row_by_row(save: Callable[[np.ndarray], str], shape: tuple[int, ...]) -> None:
    array = some(shape, "f8")
    check_source(save(array), array)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("column", SHAPES)
@pytest.mark.parametrize("save", TABLES)
def test_tables_of_any_real_type_are_read(save: Callable[[pa.Table], str], column: Any, dtype: str) -> None:
    array = some((13, 6), dtype)
    check_source(save(as_table(column(array))), array)


@pytest.mark.parametrize("shape", [(0, 5), (1, 5), (7, 1)])
@pytest.mark.parametrize("column", [as_fixed_lists, as_tensors, as_columns])
@pytest.mark.parametrize("save", TABLES)
def test_tables_of_any_shape_are_read(save: Callable[[pa.Table], str], column: Any, shape: tuple[int, int]) -> None:
    array = some(shape, "f8")
    check_source(save(as_table(column(array))), array)


def test_a_folder_of_parquet_files_is_read_as_one() -> None:
    array = some((23, 4), "f8")
    Path("a.parquet").mkdir()
    Path("a.parquet/_SUCCESS").touch()
    for number, (start, stop) in enumerate([(0, 7), (7, 7), (7, 20), (20, 23)]):
        table = pa.table({"h": as_lists(array[start:stop]), "day": np.arange(start, stop)})
        pa.parquet.write_table(table, f"a.parquet/part-{number}.parquet", row_group_size=5)
    check_source("a.parquet", array)
    source = open_source("a.parquet:h", ids="day")
    assert source.ids.read(5, 22).tolist() == list(range(5, 22))


def test_a_folder_of_parquet_files_that_do_not_fit_is_refused() -> None:
    Path("a.parquet").mkdir()
    with pytest.raises(SourceError, match=r"a.parquet can't be read as Parquet: it is a folder without .parquet files"):
        open_source("a.parquet")
    for name, column in [("1", as_lists(np.ones((3, 4)))), ("2", as_lists(np.ones((3, 4), "f4")))]:
        pa.parquet.write_table(pa.table({"h": column}), f"a.parquet/{name}.parquet")
    with pytest.raises(SourceError, match=r"2.parquet in it has other columns or types than 1.parquet"):
        open_source("a.parquet")
    Path("a.parquet/2.parquet").write_bytes(b"PAR1")
    with pytest.raises(SourceError, match=r"can't be read as Parquet: 2.parquet in it: Parquet file size is 4 bytes"):
        open_source("a.parquet")
    Path("a.parquet/2.parquet").write_bytes(Path("a.parquet/1.parquet").read_bytes())
    source = open_source("a.parquet")
    Path("a.parquet/2.parquet").unlink()
    assert source.read(0, 3).sum() == 12
    with pytest.raises(SourceError, match=r"rows 2 to 4, can't be read: in 2.parquet: .*No such file"):
        source.read(2, 5)


@pytest.mark.parametrize("save", TABLES)
def test_lists_without_rows_have_no_bins(save: Callable[[pa.Table], str]) -> None:
    check_source(save(as_table(as_lists(np.empty((0, 0))))), np.empty((0, 0)))


def test_columns_of_several_types_are_read_in_one_that_holds_them() -> None:
    pa.parquet.write_table(pa.table({"a": pa.array([1, 2], pa.int16()), "b": [0.5, 0.25]}), "a.parquet")
    source = open_source("a.parquet")
    assert source.dtype == np.float64
    assert source.bin_labels == ["a", "b"]
    np.testing.assert_array_equal(source.read(0, 2), [[1, 0.5], [2, 0.25]])


def test_csv_is_read_with_its_labels_and_lines() -> None:
    Path("a.csv").write_text("x,y\n1,2\n3,4.5\n")
    source = open_source("a.csv")
    check_source("a.csv", np.array([[1, 2], [3, 4.5]]))
    assert source.bin_labels == ["x", "y"]
    assert source.place(1) == "a.csv, line 3"


def test_places_are_where_a_person_finds_them() -> None:
    assert open_source(save_npy(np.ones((3, 4)))).place(2) == "a.npy[2]"
    assert open_source(save_npy(np.ones((3, 4, 5)))).place(7) == "a.npy[1, 3]"
    assert open_source(save_npy(np.ones(4))).place(0) == "a.npy"
    assert open_source(save_compressed_npz(np.ones((3, 4)))).place(1) == "a.npz:p[1]"
    assert open_source(save_hdf5(np.ones((3, 4)))).place(1) == "a.h5:/day/p[1]"
    assert open_source(save_zarr(np.ones((3, 4)))).place(1) == "a.zarr[1]"
    assert open_source(save_parquet(as_table(as_lists(np.ones((3, 4)))))).place(1) == (
        "a.parquet, column 'h', row 1 (counted from 0)"
    )


def test_boxes_cover_a_stretch_in_order() -> None:
    shape = (3, 4, 2)
    numbers = np.arange(24).reshape(shape)
    for start in range(25):
        for stop in range(start, 25):
            found = [numbers[box].ravel() for box in boxes(shape, start, stop)]
            assert np.concatenate([[], *found]).tolist() == list(range(start, stop))


# Names of arrays, of rows


@pytest.mark.parametrize(
    ("save", "suffix"), [(save_compressed_npz, "npz"), (save_zarr_in_a_group, "zarr"), (save_compressed_hdf5, "hdf5")]
)
def test_one_of_several_arrays_must_be_named(save: Callable[[np.ndarray], str], suffix: str) -> None:
    save(np.ones((3, 4)))
    with pytest.raises(SourceError, match=rf"^a.{suffix} has several arrays; name one of them, as a.{suffix}:.*'.*p'"):
        open_source(f"a.{suffix}")
    with pytest.raises(SourceError, match=rf"^a.{suffix} has no array '/?absent'; it has '.*'"):
        open_source(f"a.{suffix}:absent")


def test_one_of_several_columns_must_be_named() -> None:
    lists = as_lists(np.ones((3, 4)))
    pa.parquet.write_table(pa.table({"p": lists, "q": lists, "day": ["a", "b", "c"]}), "a.parquet")
    with pytest.raises(SourceError, match=r"has several columns of lists; name one, as a.parquet:p: 'p', 'q'"):
        open_source("a.parquet")
    with pytest.raises(SourceError, match=r"a.parquet has no column 'r'; it has 'p', 'q', 'day'"):
        open_source("a.parquet:r")
    with pytest.raises(SourceError, match=r"column 'day' is of type string; histograms are lists of numbers"):
        open_source("a.parquet:day")
    assert open_source("a.parquet:q").bins == 4


def test_the_only_matrix_beside_other_arrays_needs_no_name() -> None:
    np.savez("a.npz", p=np.ones((3, 4)), edges=np.arange(5), day=["a", "b", "c"])
    assert open_source("a.npz").name == "a.npz:p"


def test_a_file_whose_name_has_a_colon_is_itself() -> None:
    np.savez("a.npz:p", np.ones((2, 3)))
    Path("a.npz:p.npz").rename("b.npz:c.npz")
    assert open_source("b.npz:c.npz").rows == 2


@pytest.mark.parametrize("kind", ["text", "int"])
@pytest.mark.parametrize("suffix", ["npz", "zarr", "h5", "parquet", "arrow", "feather", "csv"])
def test_ids_are_read_beside_the_histograms(suffix: str, kind: str) -> None:
    array, path = some((8, 3), "f8"), f"a.{suffix}"
    ids = np.array(IDS, object) if kind == "text" else np.arange(8) * 10**12
    if suffix == "npz":
        np.savez(path, p=array, day=ids.astype(str) if kind == "text" else ids)
    elif suffix == "zarr":
        group = zarr.create_group(path)
        group["p"] = array
        group.create_array("day", shape=(8,), dtype=str if kind == "text" else "i8")[:] = ids
    elif suffix == "h5":
        with h5py.File(path, "w") as file:
            file["p"] = array
            file.create_dataset("day", data=ids, dtype=h5py.string_dtype() if kind == "text" else None)
    elif suffix == "csv":
        if kind == "text":
            ids[4] = "friday"  # a line is a row
        quoted = [f'"{str(name).replace(chr(34), chr(34) * 2)}"' for name in ids]
        lines = [f"{a},{name},{b},{c}\n" for (a, b, c), name in zip(array, quoted, strict=True)]
        Path(path).write_text("a,day,b,c\n" + "".join(lines))
        ids = ids.astype(str).astype(object)
    else:
        {"parquet": save_parquet, "arrow": save_arrow, "feather": save_feather}[suffix](
            pa.table({"day": ids.tolist(), "h": as_lists(array)})
        )
    source = open_source(path, ids="day")
    assert source.ids is not None
    assert source.ids.name == "day"
    assert source.ids.dtype == (object if kind == "text" or suffix == "csv" else np.int64)
    assert source.ids.read(0, 8).tolist() == ids.tolist()
    assert source.ids.read(5, 7).tolist() == ids[5:7].tolist()
    assert source.ids.read(2, 2).tolist() == []
    np.testing.assert_array_equal(source.read(0, 8), array)
    source.close()
    with pytest.raises(SourceError, match=r"absent"):
        open_source(path, ids="absent")


def test_the_only_other_column_names_the_rows() -> None:
    lists = as_lists(np.ones((2, 4)))
    days = pa.array(["2026-01-01", "2026-01-02"])
    for column in (days, days.cast(pa.date32()), days.dictionary_encode(), days.cast(pa.large_string())):
        source = open_source(save_parquet(pa.table({"h": lists, "day": column})))
        assert source.ids is not None
        assert source.ids.read(0, 2).tolist() == days.to_pylist()
    assert open_source(save_parquet(pa.table({"h": lists, "day": days, "other": [1, 2]}))).ids is None
    assert open_source(save_parquet(pa.table({"h": lists, "weight": [0.5, 1]}))).ids is None
    path = save_parquet(pa.table({"a": [1, 2], "day": days, "b": [3, 4]}))  # where text may be a bin that went wrong
    with pytest.raises(SourceError, match=r"column 'day' is of type string; columns are numbers, .* \(--ids NAME"):
        open_source(path)
    source = open_source(path, ids="day")
    assert source.bin_labels == ["a", "b"]
    assert source.ids is not None
    assert source.ids.read(0, 2).tolist() == days.to_pylist()


def test_the_index_of_a_stored_frame_is_no_bin() -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [4.0, 5.0, 6.0]})
    for stored in (frame[frame.a != 2], frame.rename_axis("day"), frame.set_index(pd.Index([7, 8, 9], name="day"))):
        stored.to_parquet("f.parquet")
        source = open_source("f.parquet")
        assert source.bin_labels == ["a", "b"]
        np.testing.assert_array_equal(source.read(0, len(stored)), stored)


def test_parts_of_a_folder_come_in_the_order_of_their_numbers() -> None:
    os.mkdir("parts.parquet")
    for k in (10, 2, 0, 1):
        pyarrow.parquet.write_table(pa.table({"a": [float(k)], "b": [1.0]}), f"parts.parquet/part-{k}.parquet")
    assert open_source("parts.parquet").read(0, 4)[:, 0].tolist() == [0, 1, 2, 10]


def test_ids_that_are_none_are_refused() -> None:
    np.savez("a.npz", p=np.ones((3, 4)), few=np.arange(2), real=np.ones(3))
    with pytest.raises(SourceError, match=r"a.npz: ids 'few' have shape \(2,\); there are 3 histograms to name"):
        open_source("a.npz:p", ids="few")
    with pytest.raises(SourceError, match=r"a.npz: ids 'real' have dtype float64; they must be integers or text"):
        open_source("a.npz:p", ids="real")
    save_parquet(pa.table({"h": as_lists(np.ones((3, 4))), "i": [1, None, 3], "real": [0.5] * 3}))
    with pytest.raises(SourceError, match=r"column 'real' is of type double; ids are integers, text, dates or times"):
        open_source("a.parquet", ids="real")
    with h5py.File("a.h5", "w") as file:
        file["p"] = np.ones((3, 4))
        file.create_dataset("lists", (3,), h5py.vlen_dtype(np.int64))
    with pytest.raises(SourceError, match=r"a.h5: ids '/lists' are neither integers nor text"):
        open_source("a.h5:p", ids="lists")
    source = open_source("a.parquet", ids="i")
    assert source.ids is not None
    with pytest.raises(SourceError, match=r"column 'i': an id is null"):
        source.ids.read(0, 3)
    Path("a.csv").write_text("1,2\n")
    with pytest.raises(SourceError, match=r"no column is called 'day', as the ids are; its first line has no header"):
        open_source("a.csv", ids="day")
    with pytest.raises(SourceError, match=r"a.npy holds one array and no ids 'day'"):
        open_source(save_npy(np.ones((2, 3))), ids="day")


def test_csv_with_names_of_rows_says_how_to_tell_of_them() -> None:
    Path("a.csv").write_text("day,x,y\nmon,1,2\ntue,3,4\n")
    with pytest.raises(
        SourceError, match=r"a.csv, line 2: field 1 is 'mon', not a number \(if .*: --ids NAME, ids=\)$"
    ):
        open_source("a.csv")


def test_csv_with_ids_names_the_field_that_is_no_number() -> None:
    Path("a.csv").write_text('day,x,y\n"a,b",1,2\nc,3,four\n')
    with pytest.raises(SourceError, match=r"a.csv, line 3: field 3 is 'four', not a number$"):
        open_source("a.csv", ids="day")
    Path("a.csv").write_text("x,day,y\n1,a,2\n3,b\n")
    with pytest.raises(SourceError, match=r"a.csv, line 3 has 1 numbers beside the ids, line 1 has 2 fields beside"):
        open_source("a.csv", ids="day")


def test_names_and_numbers_of_csv_in_quotes_may_have_commas() -> None:
    Path("a.csv").write_text('"(0, 2]", "(2, 4]"\n3,"2"\n"1",4\n')
    source = open_source("a.csv")
    assert source.bin_labels == ["(0, 2]", "(2, 4]"]
    np.testing.assert_array_equal(source.read(0, 2), [[3, 2], [1, 4]])
    Path("a.csv").write_text('day,"(0, 2]","(2, 4]"\n"Mon, 1",3,2\n')
    source = open_source("a.csv", ids="day")
    assert (source.bin_labels, source.ids.read(0, 1).tolist()) == (["(0, 2]", "(2, 4]"], ["Mon, 1"])
    for line, ids in (('"1,000",2', None), ('Mon,"1,000",2', "day")):
        Path("a.csv").write_text(f"{'day,' if ids else ''}a,b\n{line}\n")
        with pytest.raises(SourceError, match=rf"line 2: field {2 if ids else 1} is '1,000', not a number"):
            open_source("a.csv", ids=ids)
    for header in (f"{'1' * 200_000}x,b", '"a,b', '"(0, 2]" , x'):
        Path("a.csv").write_text(f"{header}\n1,2\n")
        np.testing.assert_array_equal(open_source("a.csv").read(0, 1), [[1, 2]])


def test_a_header_of_numbers_is_one_where_that_is_said() -> None:
    Path("a.csv").write_text("0,1,2\n4,5,6\n7,8,9\n")
    assert open_source("a.csv").rows == 3
    source = open_source("a.csv", how=Reading(header=True))
    assert source.bin_labels == ["0", "1", "2"]
    np.testing.assert_array_equal(source.read(0, 2), [[4, 5, 6], [7, 8, 9]])
    assert source.place(0) == "a.csv, line 2"
    source = open_source("a.csv", how=Reading(header=False))
    assert (source.rows, source.bin_labels) == (3, None)
    Path("a.csv").write_text("day,1,2\nmon,3,4\n")
    hint = r"\(if .*, say so: --header, header=True\)"
    with pytest.raises(SourceError, match=rf"a\.csv, line 1: field 1 is 'day', not a number {hint}"):
        open_source("a.csv")
    with pytest.raises(SourceError, match=rf"no column is called 'day'.*; its first line has no header {hint}"):
        open_source("a.csv", ids="day")
    source = open_source("a.csv", ids="day", how=Reading(header=True))
    assert source.ids is not None
    assert source.ids.read(0, 1).tolist() == ["mon"]
    np.testing.assert_array_equal(source.read(0, 1), [[3, 4]])
    Path("a.csv").write_text("x,y\n1,2\n")
    with pytest.raises(SourceError, match=r"a\.csv, line 1: field 1 is 'x', not a number"):
        open_source("a.csv", how=Reading(header=False))


@pytest.mark.parametrize(("line", "field"), [("1,,3", 2), ("1,2,", 3), (",2,3", 1), ("1, ,3", 2)])
def test_an_empty_field_is_named_by_line_and_column(line: str, field: int) -> None:
    Path("a.csv").write_text(f"a,b,c\n1,2,3\n{line}\n")
    with pytest.raises(SourceError, match=rf"^a\.csv, line 3: field {field} is empty, a number is wanted$"):
        open_source("a.csv")
    Path("b.csv").write_text(f"day,a,b,c\nmon,1,2,3\ntue,{line}\n")
    with pytest.raises(SourceError, match=rf"^b\.csv, line 3: field {field + 1} is empty, a number is wanted$"):
        open_source("b.csv", ids="day")


# What is refused


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.ones((2, 3), complex), "has dtype complex128; it must have real numbers"),
        (np.array([["a", "b"]]), "has dtype <U1; it must have real numbers"),
        (np.zeros((2, 3), [("x", "f8")]), "it must have real numbers"),
        (np.zeros((2, 3), "M8[s]"), "it must have real numbers"),
        (np.zeros((2, 3), np.longdouble), "the widest type that is computed with is float64"),
        (np.float64(1), "holds a single number; a histogram has at least one axis"),
    ],
)
def test_arrays_of_other_things_are_refused(array: Any, said: str) -> None:
    np.save("a.npy", array)
    np.savez("a.npz", p=array, q=np.ones((2, 3)))
    for path in ("a.npy", "a.npz:p"):
        with pytest.raises(SourceError, match=f"^{path} .*{said}"):
            open_source(path)


def test_other_things_in_hdf5_and_zarr_are_refused() -> None:
    with h5py.File("a.h5", "w") as file:
        file["complex"] = np.ones((2, 3), complex)
        file["text"] = np.array([[b"a"]])
        file["nothing"] = h5py.Empty("f8")
        file.create_group("group")
        h5py.h5d.create(file.id, b"times", h5py.h5t.UNIX_D32LE, h5py.h5s.create_simple((2, 3)))
    with pytest.raises(SourceError, match=r"^a.h5:/complex has dtype complex128; it must have real numbers"):
        open_source("a.h5:complex")
    with pytest.raises(SourceError, match=r"^a.h5:/text has dtype .S1; it must have real numbers"):
        open_source("a.h5:text")
    with pytest.raises(SourceError, match=r"^a.h5:/times has dtype .V0; it must have real numbers"):
        open_source("a.h5:times")
    with pytest.raises(SourceError, match=r"^a.h5:/nothing holds a single number"):
        open_source("a.h5:nothing")
    with pytest.raises(SourceError, match=r"^a.h5 has no array '/group'"):
        open_source("a.h5:group")
    with pytest.raises(SourceError, match=r"^a.zarr has dtype complex128"):
        open_source(save_zarr(np.ones((2, 3), complex)))
    zarr.create_group("b.zarr")
    with pytest.raises(SourceError, match=r"^b.zarr has no array of numbers$"):
        open_source("b.zarr")


@pytest.mark.parametrize("save", TABLES)
def test_other_things_in_tables_are_refused(save: Callable[[pa.Table], str]) -> None:
    path = save(pa.table({"day": ["a"], "when": pa.array([0], pa.timestamp("s")), "x": [[["a"]]]}))
    with pytest.raises(SourceError, match=rf"^{path} has no column of lists of numbers, nor of numbers; .*'day' \(str"):
        open_source(path)
    tensor = pa.fixed_shape_tensor(pa.float64(), (2, 2))
    flat = pa.FixedSizeListArray.from_arrays(pa.array(np.ones(4)), 4)
    path = save(pa.table({"h": pa.ExtensionArray.from_storage(tensor, flat)}))
    with pytest.raises(SourceError, match=r"no column of lists of numbers"):
        open_source(path)


@pytest.mark.parametrize("save", TABLES)
def test_nulls_are_refused_with_their_row(save: Callable[[pa.Table], str]) -> None:
    rows: list[Any] = [[1.0, 2.0]] * 12
    for kind in (pa.list_(pa.float64()), pa.list_(pa.float64(), 2)):
        rows[9], rows[10] = None, [1.0, None]
        source = open_source(save(pa.table({"h": pa.array(rows, kind)})))
        assert source.read(0, 9).tolist() == rows[:9]
        with pytest.raises(SourceError, match=r"column 'h', row 9 \(counted from 0\), is null"):
            source.read(7, 12)
        np.testing.assert_array_equal(source.read(10, 12), [[1.0, np.nan], [1.0, 2.0]])  # as pandas stores NaN
        assert source.read(11, 12).tolist() == [[1.0, 2.0]]
    whole = pa.array([[1, 2], [1, None]], pa.list_(pa.int64()))
    with pytest.raises(SourceError, match=r"column 'h', row 1 \(counted from 0\): bin 1 is null; a number is wanted"):
        open_source(save(pa.table({"h": whole}))).read(0, 2)
    source = open_source(save(pa.table({"a": [0.5, 2, 3], "b": [4, None, 6.0]})))
    np.testing.assert_array_equal(source.read(0, 3), [[0.5, 4], [2, np.nan], [3, 6]])
    source = open_source(save(pa.table({"a": [1, 2, 3], "b": [4, None, 6]})))
    with pytest.raises(SourceError, match=r"column 'b', row 1 \(counted from 0\), is null; a number is wanted"):
        source.read(0, 3)
    with pytest.raises(SourceError, match=r"row 0 .* is null"):
        open_source(save(pa.table({"h": pa.array([None, [1.0]])})))


@pytest.mark.parametrize("save", TABLES)
def test_lists_of_another_length_are_refused_with_their_row(save: Callable[[pa.Table], str]) -> None:
    source = open_source(save(pa.table({"h": [[1, 2]] * 9 + [[1, 2, 3]] + [[1], [2, 3, 4]]})))
    assert source.bins == 2
    with pytest.raises(SourceError, match=r"row 9 \(counted from 0\), has 3 bins, row 0 has 2; all must have as many"):
        source.read(8, 12)
    with pytest.raises(SourceError, match=r"row 10 \(counted from 0\), has 1 bins, row 0 has 2"):
        source.read(10, 12)


def test_unknown_formats_are_refused() -> None:
    for path in ("a.txt", "a", "a.npy:x", "a.zip:x"):
        with pytest.raises(SourceError, match=r"files to read end in .npy, .npz, .csv, .*h5 or .hdf5"):
            open_source(path)
        with pytest.raises(SinkError, match=r"results go to files that end in"):
            open_sink(path, {"kl": Column(np.dtype(float))}, (1,))
        assert not can_read(path)
        assert not can_write(path)
    Path("parts").mkdir()
    with pytest.raises(SourceError, match=r"a folder of Parquet files is read if its name ends in .parquet too$"):
        open_source("parts")
    assert can_read("x/a.H5:/p")
    assert can_write("a.PARQUET")
    assert carries_ids("a.csv")
    assert not carries_ids("a.npy")


@pytest.mark.parametrize("suffix", ["npy", "npz", "csv", "parquet", "arrow", "feather", "zarr", "h5"])
def test_a_file_that_is_not_there_is_said_so(suffix: str) -> None:
    with pytest.raises(FileNotFoundError) as error:
        open_source(f"absent.{suffix}")
    assert str(error.value.filename) == f"absent.{suffix}"


@pytest.mark.parametrize(
    ("suffix", "module", "extra"),
    [("zarr", "zarr", "zarr"), ("h5", "h5py", "hdf5"), ("parquet", "pyarrow", "arrow"), ("arrow", "pyarrow", "arrow")],
)
def test_a_missing_extra_is_named(suffix: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    for call in (
        lambda: open_source(f"a.{suffix}"),
        lambda: open_sink(f"a.{suffix}", {"kl": Column(np.dtype(float))}, (1,)),
    ):
        with pytest.raises(ImportError, match=rf"{module}: pip install 'fastkl\[{extra}\]'"):
            call()
    assert list(Path().iterdir()) == []


def test_csv_blocks_of_lines_keep_ids_and_numbers_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv, "_NUMBERS_AT_ONCE", 6)
    Path("a.csv").write_text("day,a,b\n" + "".join(f"d{i},{i},{i + 0.5}\n" for i in range(50)))
    source = open_source("a.csv", ids="day")
    assert source.ids is not None
    assert source.ids.read(20, 40).tolist() == [f"d{i}" for i in range(20, 40)]
    np.testing.assert_array_equal(source.read(20, 40), [[i, i + 0.5] for i in range(20, 40)])
    assert source.bin_labels == ["a", "b"]
