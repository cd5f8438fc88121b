"""The plan for a trillion histograms: what it measures is finite, and its sums agree with each other in their units."""

import doctest
import importlib
import math
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def plan():
    sys.path.insert(0, str(ROOT))
    module = importlib.import_module("benchmarks.plan")
    sys.path.remove(str(ROOT))
    return module


@pytest.fixture(scope="module")
def costs(plan, tmp_path_factory):
    folder = tmp_path_factory.mktemp("plan")
    found = [plan.cost_of(source, dtype, 500, 1, folder) for dtype in plan.DTYPES for source in plan.SOURCES]
    assert [path.suffix for path in folder.iterdir() if path.stem != "kl"] == []  # the data are gone again
    return found


def test_the_sums_of_the_docstrings(plan):
    found = doctest.testmod(plan)
    assert found.attempted > 4
    assert found.failed == 0


def test_bytes_are_those_of_the_files(costs):
    sizes = {(cost.source, cost.dtype): cost.bytes_each for cost in costs}
    for dtype, size in (("float64", 2048), ("float32", 1024), ("uint16", 512)):
        assert sizes["memory", dtype] == size
        assert sizes[".npy", dtype] == size + 128 / 500  # the header
        assert size < sizes[".arrow", dtype] < 1.01 * size
    assert sizes[".parquet", "uint16"] < sizes[".npy", "uint16"]  # ten bits of sixteen


def test_units_agree(plan, costs):
    for cost in costs:
        assert all(math.isfinite(value) and value > 0 for value in (cost.core_seconds, cost.gb_per_core))
        assert cost.petabytes() * 1e6 / cost.gb_per_core / 3600 == pytest.approx(cost.core_hours())
        for storage in plan.STORAGE:
            # As many cores as it keeps busy are done when the storage has given all bytes.
            assert cost.days(storage) * 24 * cost.cores(storage) == pytest.approx(cost.core_hours())


def test_every_cost_is_printed_and_the_extremes_named(plan, costs):
    text = plan.report(costs, cpus=4)
    for cost in costs:
        assert text.count(f"\n{cost.dtype}, {cost.source}") == (1 if cost.source == "memory" else 2)
    slowest = min((cost for cost in costs if cost.source != "memory"), key=lambda cost: cost.gb_per_core)
    assert f"takes in {slowest.gb_per_core:.2f} ({slowest.dtype}, {slowest.source}) to " in text
    cores = 10 / costs[1].gb_per_core
    assert f" {cores:,.1f} cores, {cores / 4:,.1f} x" in text


def test_the_command(plan, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["plan.py", "--rows", "50", "--repeats", "1"])
    assert plan.main() == 0
    assert "10^12 histograms" in capsys.readouterr().out
