"""Drift of a thousand features over a year: each day's histogram of each feature against a stored reference.

Run it with ``python examples/drift.py``. It simulates the counts, of which some features drift, and computes the
Kullback-Leibler and Jensen-Shannon divergences and the population stability index of all windows, each by one call.
``drift.parquet`` has a row for each feature and day, ``drift.png`` shows the index as a heat map. A loop over
`scipy.stats.entropy`, as tools for drift have it, does a part of the work for comparison, and the times are printed.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure
from scipy.stats import entropy, norm

import fastkl

Array = npt.NDArray[Any]
MEASURES: dict[str, Callable[..., Array]] = {
    "kl": fastkl.kl_divergence,
    "js": fastkl.js_divergence,
    "psi": fastkl.psi,
}
# Added to every bin of both, so that an empty one makes nothing infinite.
PSEUDOCOUNT = 0.5
# What is often said of the index: below the first nothing has changed, above the second much has.
SOME, MUCH = 0.1, 0.25
REFERENCE_SIZE, WINDOW_SIZE = 20_000, 2_000


def main(
    features: int = 1000, days: int = 365, bins: int = 32, folder: Path = Path("drift"), looped: int = 10
) -> dict[str, Array]:
    """Write the report into ``folder``, print the times, and return the measures, each of shape (features, days).

    The loop over SciPy does ``looped`` of the features.
    """
    folder.mkdir(parents=True, exist_ok=True)
    reference, windows = simulate(features, days, bins)
    np.save(folder / "reference.npy", reference)  # by the job that trained the model
    reference = np.load(folder / "reference.npy")

    measure(windows[:1], reference[:1])  # compiles the kernels, if this machine has not done so before
    begin = time.perf_counter()
    measures = measure(windows, reference)
    fast = (time.perf_counter() - begin) / (features * days)
    begin = time.perf_counter()
    expected = measure_by_loop(windows[:looped], reference[:looped])
    slow = (time.perf_counter() - begin) / expected["kl"].size

    write_table(measures, folder / "drift.parquet")
    draw(measures["psi"], folder / "drift.png")
    print(f"{features} features x {days} days x {bins} bins: {1e6 * fast:.2f} us a window for {', '.join(MEASURES)}")
    print(f"loop over scipy.stats.entropy: {1e6 * slow:.0f} us a window, {slow / fast:.0f} times as long")
    print(f"{np.count_nonzero((measures['psi'] > MUCH).any(1))} features drift: see {folder}")
    return measures


def measure(windows: Array, reference: Array) -> dict[str, Array]:
    """Each measure of all windows, of shape (features, days, bins), by one call: references broadcast over the days."""
    return {
        name: divergence(windows, reference[:, np.newaxis], pseudocount=PSEUDOCOUNT)
        for name, divergence in MEASURES.items()
    }


def measure_by_loop(windows: Array, reference: Array) -> dict[str, Array]:
    """The same, window by window."""
    features, days, _ = windows.shape
    found = {name: np.empty((features, days)) for name in MEASURES}
    for feature in range(features):
        q = (reference[feature] + PSEUDOCOUNT) / (reference[feature] + PSEUDOCOUNT).sum()
        for day in range(days):
            p = (windows[feature, day] + PSEUDOCOUNT) / (windows[feature, day] + PSEUDOCOUNT).sum()
            middle = (p + q) / 2
            found["kl"][feature, day] = entropy(p, q)
            found["js"][feature, day] = (entropy(p, middle) + entropy(q, middle)) / 2
            found["psi"][feature, day] = entropy(p, q) + entropy(q, p)
    return found


def simulate(features: int, days: int, bins: int, seed: int = 0) -> tuple[Array, Array]:
    """Counts of the reference (features, bins) and of the windows (features, days, bins); a tenth of features drift."""
    rng = np.random.default_rng(seed)
    edges = np.linspace(-4.0, 4.0, bins + 1)
    location, scale = rng.uniform(-1.0, 1.0, features), rng.uniform(0.6, 1.2, features)
    day = np.arange(days)
    weekly = rng.uniform(0.0, 0.05, (features, 1)) * np.sin(2.0 * np.pi * day / 7.0)
    # From a day of its own on, a drifting feature moves away slowly, or a step at once.
    begins, rises = rng.integers(0, days, (features, 1)), rng.random((features, 1)) < 0.5
    since = (day - begins) * (day >= begins)
    shift = np.where(rises, since / 150.0, 0.6 * (since > 0)) * (rng.random((features, 1)) < 0.1)
    return (
        rng.multinomial(REFERENCE_SIZE, _shares(edges, location, scale)),
        rng.multinomial(WINDOW_SIZE, _shares(edges, location[:, np.newaxis] + weekly + shift, scale[:, np.newaxis])),
    )


def _shares(edges: Array, location: Array, scale: Array) -> Array:
    masses = np.diff(norm.cdf(edges, location[..., np.newaxis], scale[..., np.newaxis]))
    shares: Array = masses / masses.sum(-1, keepdims=True)
    return shares


def write_table(measures: dict[str, Array], path: Path) -> None:
    """A row for each feature and day."""
    features, days = measures["kl"].shape
    columns: dict[str, Array] = {
        "feature": np.repeat(np.arange(features, dtype=np.int32), days),
        "day": np.tile(np.arange(days, dtype=np.int32), features),
    }
    pq.write_table(pa.table(columns | {name: values.ravel() for name, values in measures.items()}), path)


def draw(psi: Array, path: Path) -> None:
    """The index over days: of all features, and larger of those that drift, the first to do so on top."""
    drifts = (psi > MUCH).any(1)
    order = np.lexsort([-psi.max(1), np.argmax(psi > MUCH, axis=1), ~drifts])
    panels = {f"All {len(psi)} features": psi[order]}
    if drifts.any():
        panels[f"Above {MUCH} on some day: {np.count_nonzero(drifts)}"] = psi[order][: np.count_nonzero(drifts)]
    figure = Figure(figsize=(9, 4 * len(panels)), layout="constrained")
    all_axes = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    colors = {"cmap": "magma_r", "norm": BoundaryNorm([0.0, 0.05, SOME, 0.15, MUCH, 0.5, 1.0], 256, extend="max")}
    for axes, (title, rows) in zip(all_axes, panels.items(), strict=True):
        image = axes.imshow(rows, aspect="auto", interpolation="nearest", **colors)
        axes.set(title=title, ylabel="feature, first to drift on top")
        axes.yaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("day")
    figure.colorbar(image, ax=list(all_axes), label="population stability index")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
