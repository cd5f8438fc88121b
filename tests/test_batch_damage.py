"""Files of histograms that are damaged, cut short or hostile: read right, or refused in one sentence."""

import io
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
import zarr
from batch_files import (  # noqa: F401 (every test has a folder of its own)
    ARRAYS,
    TABLES,
    _in_a_folder,
    as_columns,
    as_fixed_lists,
    as_lists,
    as_matrix,
    as_table,
    bytes_of,
    open_source,
    save_compressed_npz,
    save_hdf5,
    save_npy,
    save_npz,
    save_zarr_in_a_group,
)

from fastkl.batch._protocols import SourceError
from fastkl.batch.formats import open_source as open_file


def _pickled(path: str) -> None:
    with open(path, "wb") as file:
        np.save(file, np.array([{"a": 1}, print], object), allow_pickle=True)


def test_pickles_are_never_loaded() -> None:
    _pickled("a.npy")
    with pytest.raises(
        SourceError, match=r"a.npy can't be read as .npy: it has dtype object, pickles, which are never"
    ):
        open_source("a.npy")
    with zipfile.ZipFile("a.npz", "w") as archive:
        archive.write("a.npy", "p.npy")
        archive.write("a.npy", "ids.npy")
        archive.writestr("q.npy", bytes_of(np.ones((2, 3))))
        archive.writestr("notes.txt", "not an array")
    for path in ("a.npz:p", "a.npz:ids"):
        with pytest.raises(SourceError, match=r"has dtype object"):
            open_source(path)
    assert open_source("a.npz").name == "a.npz:q"
    with pytest.raises(SourceError, match=r"a.npz:ids can't be read as .npy: it has dtype object"):
        open_source("a.npz:q", ids="ids")


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_of_a_zip_with_paths_are_only_names(compression: int, tmp_path: Path) -> None:
    Path("inner").mkdir()
    with zipfile.ZipFile("inner/a.npz", "w", compression) as archive:
        archive.writestr("../../x.npy", bytes_of(np.ones((2, 3))))
        archive.writestr("/tmp/y.npy", bytes_of(np.ones((4, 5))))
    before = sorted(tmp_path.parent.rglob("*.npy"))
    assert open_source("inner/a.npz:../../x").rows == 2
    assert open_source("inner/a.npz:/tmp/y").rows == 4
    assert sorted(tmp_path.parent.rglob("*.npy")) == before
    assert not Path("/tmp/y.npy").exists()


def _cut(path: str, keep: float) -> None:
    target = Path(path)
    if target.is_dir():
        target = max((file for file in target.rglob("*") if file.is_file()), key=lambda file: file.stat().st_size)
    content = target.read_bytes()
    target.write_bytes(content[: int(len(content) * keep)])


ALL_FILES = [*ARRAYS, *[lambda array, save=save: save(as_table(as_lists(array))) for save in TABLES]]


@pytest.mark.parametrize("keep", [0.0, 0.01, 0.5, 0.95, 0.999])
@pytest.mark.parametrize("save", ALL_FILES)
def test_a_truncated_file_is_one_clear_error(save: Callable[[np.ndarray], str], keep: float) -> None:
    path = save(np.random.default_rng(0).random((400, 16)))
    _cut(path.partition(":")[0], keep)
    with pytest.raises(SourceError, match=r"^a\.\w+"):
        _read_all(path)


def _read_all(path: str) -> np.ndarray:
    source = open_source(path)
    return source.read(0, source.rows)


def test_a_truncated_npy_is_noticed_at_opening() -> None:
    save_npy(np.ones((10, 4)))
    _cut("a.npy", 0.99)
    with pytest.raises(
        SourceError, match=r"a.npy can't be read as .npy: it is cut short: 10 x 4 numbers of type float64"
    ):
        open_source("a.npy")


def test_a_file_that_is_cut_while_it_is_open_is_said_so() -> None:
    for path in (save_npy(np.ones((1000, 4))), save_npz(np.ones((1000, 4))), save_hdf5(np.ones((1000, 4)))):
        source = open_source(path)
        source.read(0, 1000)
        _cut(path, 0.5)
        source.read(0, 10)
        with pytest.raises(SourceError, match=rf"{path}.* has been cut to \d+ bytes since it was opened"):
            source.read(990, 1000)


def test_a_source_outlives_its_name_and_identity_does_not() -> None:
    source = open_source(save_npy(np.ones((10, 4))))
    before = source.identity()
    np.save("b.npy", np.zeros((10, 5)))
    Path("b.npy").replace("a.npy")
    assert source.read(0, 10).sum() == 40
    assert source.identity() != before
    Path("a.npy").unlink()
    with pytest.raises(SourceError, match=r"a.npy is gone"):
        source.identity()


def test_a_chunk_of_a_zarr_that_is_written_anew_changes_its_identity() -> None:
    path = save_zarr_in_a_group(np.ones((7, 6)))
    source = open_source(path)
    before = source.identity()
    zarr.open("a.zarr")["day/p"][0, 0] = 2
    assert source.identity() != before


@pytest.mark.parametrize("compression", ["zstd", "snappy", "none"])
def test_a_corrupt_page_of_parquet_is_an_error_with_its_rows(compression: str) -> None:
    array = np.random.default_rng(0).random((4000, 16))
    pa.parquet.write_table(
        as_table(as_fixed_lists(array)),
        "a.parquet",
        row_group_size=1000,
        compression=compression,
        use_dictionary=False,
        write_page_checksum=True,
    )
    content = bytearray(Path("a.parquet").read_bytes())
    chunk = pa.parquet.ParquetFile("a.parquet").metadata.row_group(2).column(0)
    middle = chunk.data_page_offset + chunk.total_compressed_size // 2
    content[middle : middle + 8] = bytes(byte ^ 0xFF for byte in content[middle : middle + 8])
    Path("a.parquet").write_bytes(content)
    source = open_source("a.parquet")
    np.testing.assert_array_equal(source.read(0, 2000), array[:2000])
    with pytest.raises(SourceError, match=r"^a.parquet, column 'h', rows 2000 to 2999, can't be read: .*"):
        source.read(2000, 3000)
    np.testing.assert_array_equal(source.read(3000, 4000), array[3000:])


def test_a_corrupt_member_of_a_zip_is_an_error() -> None:
    save_compressed_npz(np.random.default_rng(0).random((400, 16)))
    content = bytearray(Path("a.npz").read_bytes())
    content[20000] ^= 0xFF
    Path("a.npz").write_bytes(content)
    with pytest.raises(SourceError, match=r"^a.npz:p can't be read"):
        open_source("a.npz:p")


_PLAUSIBLE = list(b"0123456789-(),'<>|fiuOcVTrueL \\\0")


def _mutated(content: bytes, rng: np.random.Generator, most: int) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        place = int(rng.integers(0, min(most, len(changed))))
        match rng.integers(0, 5):
            case 0:
                changed[place] ^= 1 << int(rng.integers(0, 8))
            case 1:
                changed[place] = int(rng.integers(0, 256))
            case 2:
                changed[place] = int(rng.choice(_PLAUSIBLE))
            case 3:
                del changed[place : place + int(rng.integers(1, 4))]
            case 4:
                changed[place:place] = bytes(rng.choice(_PLAUSIBLE, 2).tolist())
    return bytes(changed)


def _fuzz(content: bytes, path: str, name: str, count: int, most: int) -> dict[str, int]:
    rng = np.random.default_rng(11)
    ends = {"read": 0, "refused": 0}
    for _ in range(count):
        Path(path).write_bytes(_mutated(content, rng, most))
        ends["refused" if read_or_none(name) is None else "read"] += 1
    return ends


def read_or_none(name: str) -> np.ndarray | None:
    """The rows of a file, None if it is refused in a sentence that names it; any other end fails the test."""
    said = name.partition(":")[0]
    try:
        with closing(open_file(name)) as source:
            rows = source.read(0, min(source.rows, 1000))
    except SourceError as error:
        said = str(error)
        rows = None
    assert said.startswith(name.partition(":")[0])
    return rows


@pytest.fixture
def no_pickles(monkeypatch: pytest.MonkeyPatch) -> None:
    def unpickled(*_: Any, **__: Any) -> None:
        pytest.fail("something was unpickled")

    monkeypatch.setattr("pickle.load", unpickled)
    monkeypatch.setattr("pickle.loads", unpickled)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.usefixtures("no_pickles")
def test_a_header_of_npy_with_changed_bytes_is_read_or_refused(version: tuple[int, int]) -> None:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.random.default_rng(0).random((40, 6)), version)
    assert _fuzz(file.getvalue(), "a.npy", "a.npy", 200, 80)["refused"] > 100


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.usefixtures("no_pickles")
def test_a_header_of_npy_that_parses_is_read_as_numpy_does_or_refused(version: int) -> None:
    rng = np.random.default_rng(5)
    types = ["'<f8'", "'>f4'", "'|u1'", "'<i2'", "'|b1'", "'<f2'"] * 8
    types += ["'<c16'", "'|O'", "'<U3'", "'|S5'", "'<M8[s]'", "'|V4'", "'<f16'", "[('x', '<f8')]", "'<q9'", "None", "7"]
    types += ["('<f8', (2,))", "'2<f8'", "[('x', '|O')]", "''", "(" * 50 + "1" + ")" * 50]
    sizes = ["0", "1", "2", "3", "5", "40"] * 8 + [
        "-1",
        "-40",
        "2**3",
        "True",
        "None",
        "1.0",
        "'3'",
        f"{2**31}",
        f"{2**63}",
        f"{2**200}",
    ]
    read = 0
    for _ in range(400):
        shape = ", ".join(rng.choice(sizes, rng.integers(0, 4)))
        order = rng.choice(["True", "False", "False", "1", "None"])
        header = (
            f"{{'descr': {rng.choice(types)}, 'fortran_order': {order}, 'shape': ({shape}{',' * bool(shape)}), }}\n"
        )
        length = len(header).to_bytes(2 if version == 1 else 4, "little")
        data = rng.integers(0, 2, 3000, np.uint8).tobytes()
        Path("a.npy").write_bytes(b"\x93NUMPY" + bytes([version, 0]) + length + header.encode() + data)
        if (rows := read_or_none("a.npy")) is not None:
            expected = np.load("a.npy", allow_pickle=False)
            np.testing.assert_array_equal(rows, as_matrix(expected)[:1000], strict=True)
            read += 1
    assert 50 < read < 350


@pytest.mark.parametrize("save", [save_npz, save_compressed_npz])
def test_a_zip_with_changed_bytes_is_read_or_refused(save: Callable[[np.ndarray], str]) -> None:
    path = save(np.random.default_rng(0).random((10, 6)))
    content = Path("a.npz").read_bytes()
    assert _fuzz(content, "a.npz", path, 300, len(content))["refused"] > 50


@pytest.mark.parametrize("save", TABLES)
@pytest.mark.parametrize("column", [as_fixed_lists, as_lists, as_columns])
def test_a_table_with_changed_bytes_is_read_or_refused(save: Callable[[pa.Table], str], column: Any) -> None:
    path = save(as_table(column(np.random.default_rng(0).random((10, 3)))))
    content = Path(path).read_bytes()
    assert _fuzz(content, path, path, 100, len(content))["refused"] > 10
