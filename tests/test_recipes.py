"""The examples: what they compute is what SciPy computes, and the files they write are whole."""

import importlib.util
import sys
from functools import partial
from pathlib import Path
from types import ModuleType

import matplotlib.image
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy

EXAMPLES = Path(__file__).parents[1] / "examples"
REFERENCE = np.array([3.0, 1.0, 2.0, 4.0])
HISTOGRAMS = np.random.default_rng(3).integers(1, 50, (7, 4))


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def batch_of(histograms, dtype=None, **columns):
    lists = pa.array([list(row) for row in histograms], pa.list_(dtype or pa.float64()))
    ids = [f"row {k}" for k in range(len(histograms))]
    return pa.record_batch({"id": pa.array(ids, pa.string()), "histogram": lists, **columns})


def expected(p, q):
    psi = entropy(p, q, axis=1) + entropy(q, p, axis=1)
    return {"kl": entropy(p, q, axis=1), "js": jensenshannon(p, q, axis=1) ** 2, "psi": psi}


def check(result, p, q):
    assert result.schema.names == ["id", "kl", "js", "psi"]
    for name, values in expected(*np.broadcast_arrays(p, q)).items():
        assert result.schema.field(name).type == pa.float64()
        np.testing.assert_allclose(result.column(name).to_numpy(), values, rtol=1e-12, atol=1e-16)


# Record batches


@pytest.mark.parametrize("dtype", [pa.float64(), pa.int32(), pa.uint8()])
def test_batches_come_back_with_divergences(dtype):
    recipe = example("arrow_udf")
    batches = [batch_of(HISTOGRAMS[:3], dtype), batch_of(HISTOGRAMS[:0], dtype), batch_of(HISTOGRAMS[3:], dtype)]
    found = list(recipe.map_batches(iter(batches), REFERENCE))
    assert [type(batch) for batch in found] == [pa.RecordBatch] * 3
    assert len({batch.schema for batch in found}) == 1
    table = pa.Table.from_batches(found)
    check(table, HISTOGRAMS, REFERENCE)
    assert table.column("id").to_pylist()[3:5] == ["row 0", "row 1"]


def test_tables_of_several_chunks_and_a_reference_in_a_column():
    recipe = example("arrow_udf")
    others = HISTOGRAMS[::-1]
    both = batch_of(HISTOGRAMS, usual=pa.array([list(row) for row in others], pa.list_(pa.int64())))
    table = pa.Table.from_batches([both.slice(0, 2), both.slice(2)])
    check(recipe.with_divergences(table, "usual"), HISTOGRAMS, others)


def test_batches_are_not_read_ahead():
    recipe = example("arrow_udf")

    def batches():
        yield batch_of(HISTOGRAMS)
        raise OSError("the second")

    results = recipe.map_batches(batches(), REFERENCE)
    check(next(results), HISTOGRAMS, REFERENCE)
    with pytest.raises(OSError, match="the second"):
        next(results)


def test_what_is_no_histogram():
    recipe = example("arrow_udf")
    wrong = HISTOGRAMS.astype(float)
    wrong[2] = 0.0
    with pytest.raises(ValueError, match=r"p\[2\] is not a histogram: its total is zero"):
        recipe.with_divergences(batch_of(wrong), REFERENCE)
    found = recipe.with_divergences(batch_of(wrong), REFERENCE, on_invalid="nan")
    assert np.isnan(found.column("psi").to_numpy()).tolist() == [False, False, True] + [False] * 4
    missing = pa.record_batch({"histogram": pa.array([[1.0, 2.0, 3.0, 4.0], None], pa.list_(pa.float64()))})
    with pytest.raises(ValueError, match=r"p\[1\] is missing"):
        recipe.with_divergences(missing, REFERENCE, on_invalid="nan")


def test_the_function_goes_to_other_processes(tmp_path, monkeypatch):
    # Spark and Ray send it pickled; the module is importable there.
    import pickle

    monkeypatch.syspath_prepend(str(EXAMPLES))
    import arrow_udf

    try:
        again = pickle.loads(pickle.dumps(partial(arrow_udf.map_batches, reference=REFERENCE)))
        check(next(again([batch_of(HISTOGRAMS)])), HISTOGRAMS, REFERENCE)
    finally:
        del sys.modules["arrow_udf"]


# Drift


def test_drift_of_features(tmp_path, capsys):
    drift = example("drift")
    features, days, bins = 30, 40, 16
    measures = drift.main(features, days, bins, tmp_path / "report", looped=2)

    reference, windows = drift.simulate(features, days, bins)
    assert windows.shape == (features, days, bins)
    assert np.array_equal(np.load(tmp_path / "report" / "reference.npy"), reference)
    p, q = windows + 0.5, np.broadcast_to(reference[:, None] + 0.5, windows.shape)
    for name, values in expected(p.reshape(-1, bins), q.reshape(-1, bins)).items():
        np.testing.assert_allclose(measures[name].ravel(), values, rtol=1e-10, atol=1e-15)
        np.testing.assert_allclose(
            drift.measure_by_loop(windows[:2], reference[:2])[name], measures[name][:2], rtol=1e-10, atol=1e-15
        )

    table = pq.read_table(tmp_path / "report" / "drift.parquet")
    assert table.schema.names == ["feature", "day", "kl", "js", "psi"]
    frame = {name: table.column(name).to_numpy() for name in table.schema.names}
    assert np.array_equal(measures["psi"][frame["feature"], frame["day"]], frame["psi"])
    assert len(np.unique(frame["feature"] * days + frame["day"])) == features * days

    printed = capsys.readouterr().out
    assert "30 features x 40 days x 16 bins" in printed
    assert "times as long" in printed


def test_the_heat_map_shows_what_drifts(tmp_path):
    drift = example("drift")
    psi = np.full((50, 60), 0.01)
    psi[7, 30:] = 2.0  # moves to the top
    drift.draw(psi, tmp_path / "map.png")
    image = matplotlib.image.imread(tmp_path / "map.png")[..., :3]
    # Within the upper map, which shows all features: dark is a strip at the top of its right half.
    height, width, _ = image.shape
    is_dark = image.sum(-1)[: int(0.46 * height)] < 0.35
    left, right = is_dark[:, int(0.10 * width) : int(0.40 * width)], is_dark[:, int(0.50 * width) : int(0.80 * width)]
    strip = np.flatnonzero(right.mean(1) > 0.95)
    assert len(strip) > 5
    assert strip.max() < 0.1 * height
    # The left half has its frame alone.
    assert np.count_nonzero(left.mean(1) > 0.95) <= 3
    assert not is_dark[int(0.1 * height) : int(0.4 * height), int(0.10 * width) : int(0.80 * width)].any()


def test_the_heat_map_of_no_drift(tmp_path):
    drift = example("drift")
    drift.draw(np.full((3, 5), 0.01), tmp_path / "map.png")
    assert matplotlib.image.imread(tmp_path / "map.png").std() > 0


def test_a_tenth_of_the_features_drift(tmp_path):
    drift = example("drift")
    reference, windows = drift.simulate(200, 60, 32)
    psi = drift.measure(windows, reference)["psi"]
    share = np.mean((psi > drift.MUCH).any(1))
    assert 0.02 < share < 0.15
    assert np.median(psi) < drift.SOME
