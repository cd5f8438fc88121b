"""A cluster of two worker processes: answers are those of one process, also when a worker is killed in the middle."""

import os
import signal
import time

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr
from distributed import Client, LocalCluster

import fastkl
from fastkl import _threads

RNG = np.random.default_rng(21)
P, Q = RNG.random((480, 64)), RNG.random((480, 64))
P[P < 0.1] = 0.0
POINTS = np.linspace(-4, 4, 64)
GRID = {"loc": np.linspace(-2, 2, 9), "scale": np.geomspace(0.5, 4, 8)}
BLOCKS = 24


@pytest.fixture(scope="module")
def client():
    settings = {"distributed.admin.large-graph-warning-threshold": "1GiB", "logging.distributed": "critical"}
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": ":0"}
    with dask.config.set(settings), LocalCluster(**options) as cluster, Client(cluster) as client:
        yield client


def slowly(block):
    time.sleep(0.15)
    return block


def written(path):
    """How many chunks of a Zarr array are on disk."""
    return sum(name.isdigit() for _, _, names in os.walk(path) for name in names)


def stored(path, array):
    zarr.create_array(str(path), data=array, chunks=(len(array) // BLOCKS, array.shape[1]))
    return str(path)


def test_a_worker_is_killed_in_the_middle(client, tmp_path):
    p = da.from_zarr(stored(tmp_path / "p.zarr", P)).map_blocks(slowly, dtype=float)
    q = da.from_zarr(stored(tmp_path / "q.zarr", Q))
    out = str(tmp_path / "kl.zarr")
    workers = client.run(os.getpid)
    assert len(set(workers.values())) == 2
    done = client.compute(fastkl.kl_divergence(p, q, base=2).to_zarr(out, compute=False))
    while written(out) < BLOCKS // 4:
        assert not done.done()
        time.sleep(0.01)
    os.kill(next(iter(workers.values())), signal.SIGKILL)
    assert written(out) < BLOCKS
    done.result(timeout=40)
    assert written(out) == BLOCKS
    assert np.array_equal(zarr.open_array(out, mode="r")[:], fastkl.kl_divergence(P, Q, base=2))
    assert set(client.run(os.getpid).values()) != set(workers.values())


def test_everything_on_the_cluster(client):
    client.wait_for_workers(2, timeout=30)
    p, q = da.from_array(P, chunks=(130, -1)), da.from_array(Q, chunks=(200, -1))
    array = xr.DataArray(P, dims=("day", "bin"), coords={"day": np.arange(480)}).chunk({"day": 100})
    options = {"points": POINTS, "grid": GRID, "pseudocount": 0.01, "objective": "reverse"}
    lazy = (
        fastkl.js_distance(p, q, pseudocount="evidently"),
        fastkl.kl_divergences(p, Q[0])[1],
        fastkl.renyi_divergence(p, q, 0.5, on_invalid="nan"),
        fastkl.kl_divergence_from_logits(p, Q),
        fastkl.jeffreys_divergence(array, Q[0] + 0.5, dim="bin"),
        fastkl.pairwise(p, q, pseudocount=1.0),
        fastkl.nearest(p, q, 5, divergence="js"),
        fastkl.fit(p, **options).params,
    )
    found = dask.compute(*lazy)
    expected = (
        fastkl.js_distance(P, Q, pseudocount="evidently"),
        fastkl.kl_divergences(P, Q[0])[1],
        fastkl.renyi_divergence(P, Q, 0.5),
        fastkl.kl_divergence_from_logits(P, Q),
        fastkl.jeffreys_divergence(P, Q[0] + 0.5),
        fastkl.pairwise(P, Q, pseudocount=1.0),
        fastkl.nearest(P, Q, 5, divergence="js"),
        fastkl.fit(P, **options).params,
    )
    assert found[4].dims == ("day",)
    for values, wanted in zip(found[:6], expected[:6], strict=True):
        assert np.array_equal(values, wanted)
    for values, wanted in zip(found[6], expected[6], strict=True):
        assert np.array_equal(values, wanted)
    for name, wanted in expected[7].items():
        assert np.array_equal(found[7][name], wanted)


def test_errors_come_back(client):
    p = P.copy()
    p[333, 4] = np.nan
    with pytest.raises(ValueError, match=r"^p\[333\] is not a histogram: bin 4 is nan; .*\(1 of 100 in its chunk"):
        fastkl.kl_divergence(da.from_array(p, chunks=(100, -1)), Q).compute()


def test_a_task_has_one_cpu(client):
    # Functions of the user's own too, which call fastkl on arrays.
    assert client.submit(_threads.available_cpus, pure=False).result() == 1
    assert _threads.available_cpus() == _threads._cpus_of_process()
