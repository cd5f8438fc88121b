"""The one table of jobs: it feeds ``fastkl bench``, the tests in ``benchmarks/`` and the table in the README."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl.bench import data
from fastkl.bench.case import Case
from fastkl.bench.contestant import Peer
from fastkl.bench.divergences import BOTH, JENSENSHANNON, JS, NUMPY_POWERS, POWERS, REL_ENTR
from fastkl.bench.files import JOURNAL, room, stored
from fastkl.bench.fits import FASTKL_FITS, GRID_PRODUCT, SCIPY_LOOP, FitsCase, grid_alone
from fastkl.bench.fits_peers import ALPHA_FITS, KL_FITS, REFINED_FITS
from fastkl.bench.job import Job, Target
from fastkl.bench.lazy_rows import DASK, FILES_BY_DASK, OTHERS_BY_DASK
from fastkl.bench.logits import JAX_LOGITS, LOGITS, TORCH_LOGITS
from fastkl.bench.nearest_peers import NEAREST, NEAREST_OF_SELF
from fastkl.bench.pairs import (
    CDIST_CALLABLE,
    CDIST_JS,
    DIRECT_PAIRS,
    FASTKL_PAIRS,
    PRODUCT,
    RTOL_PAIRS,
    TWO_PRODUCTS,
    PairsCase,
)
from fastkl.bench.pairs_peers import JEFFREYS_PAIRS, JS_PAIRS, KL_PAIRS, NEAR_PAIRS, NUMKONG_PAIRS
from fastkl.bench.peers import FASTKL, FLOOR, JAX, KL, NUMKONG, SCIPY
from fastkl.bench.scaling import (
    BOTH_SCALINGS,
    ONE_AND_ALL_THREADS,
    OVER_ROW_LENGTHS,
    OVER_ROWS,
    OVER_THREADS,
    PAIRS_OVER_THREADS,
    bins_from,
    curve,
    room_for_overlapping,
)
from fastkl.bench.sparse_rows import DENSE_SLICES, SPARSE
from fastkl.bench.tables import FASTKL_TABLE, SCIPY_TABLE, TABLE
from fastkl.bench.trials import FORMATS, IDENTICAL, KILLS, ONE, TWO, kills, peak_memory, peak_of, workers
from fastkl.bench.volume import IN_MEMORY, MAPPED_FLOOR, READING, RUN, RUN_WITHOUT_JOURNAL, SLICES

_Array = npt.NDArray[Any]


def _on_one_thread(case: Case) -> Case:
    return replace(case, threads=1)


def _normalized(case: Case) -> Case:
    return replace(case, normalize=True)


def _one_direction(case: Case) -> Case:
    return replace(case, divergence="kl")


def _dense(case: Case) -> Case:
    rows, bins = case.q.shape[-2:]
    p, q = data.two_positive(rows, bins, case.q.dtype.name)
    return replace(case, p=p, q=q, has_zeros=False)


def _as_rows(case: Case) -> Case:
    return replace(case, p=np.ascontiguousarray(case.p.T), q=np.ascontiguousarray(case.q.T), axis=-1)


_ONE_THREAD = (FLOOR.on("1 thread", _on_one_thread), FASTKL.on("1 thread", _on_one_thread))
_NORMALIZED = FASTKL.on("normalize=True", _normalized)
_FLOOR = "read floor / fastkl"
_SCIPY = f"{SCIPY.name} / fastkl"
_JAX = f"{JAX.name} / fastkl"
_NUMKONG = f"{NUMKONG.name} / fastkl"

ROWS = (
    Job(
        "float64", "histograms that sum to one", 200_000, 256, "float64", data.two_histograms, False,
        (Target(_FLOOR, 0.75, 0.9), Target(_JAX, 1.4, 2), Target(_NUMKONG, 1.2, 2)), KL + _ONE_THREAD,
    ),
    Job(
        "float64-normalize", "histograms of any total", 200_000, 256, "float64", data.two_positive, True,
        (Target(_FLOOR, 0.6, 0.8), Target(_SCIPY, 45, 70), Target(_JAX, 1.4, 2)), KL + _ONE_THREAD,
    ),
    Job(
        "float32", "histograms that sum to one", 200_000, 256, "float32", data.two_histograms, False,
        (Target(_FLOOR, 0.7, 0.9),), KL + _ONE_THREAD,
    ),
    Job(
        "float32-normalize", "histograms of any total", 200_000, 256, "float32", data.two_positive, True,
        (Target(_FLOOR, 0.5, 0.7),), KL + _ONE_THREAD,
    ),
    Job(
        "uint16", "counts", 200_000, 256, "uint16", data.two_counts, True, (Target(_SCIPY, 40, 60),),
    ),
    Job(
        "uint32", "counts", 200_000, 256, "uint32", data.two_counts, True, (Target(_SCIPY, 40, 60),),
    ),
    Job(
        "half-zero", "half of the bins zero, a tenth of the rows inf", 200_000, 256, "float64", data.half_zero, True,
        (Target("fastkl / fastkl, dense", 1.1, at_most=True),), (*KL, FASTKL.on("dense", _dense)), has_zeros=True,
    ),
    Job(
        "axis-0", "histograms are columns", 200_000, 256, "float64", data.columns, True,
        (Target("fastkl / fastkl, as rows", 1.3, at_most=True),), (*KL, FASTKL.on("as rows", _as_rows)), axis=0,
    ),
    Job(
        "few-bins", "many short rows", 10_000_000, 8, "float64", data.two_histograms, False,
        (Target(_FLOOR, 0.4, 0.7),), (*KL, _NORMALIZED),
    ),
    Job(
        "one-row", "one long row", 1, 100_000_000, "float64", data.two_histograms, False,
        (Target(_FLOOR, 0.75, 0.9),), (*KL, _NORMALIZED), scales="bins",
    ),
    Job(
        "long-rows", "few long rows", 2_000, 65_536, "float64", data.two_histograms, False,
        (Target(_FLOOR, 0.75, 0.9),), (*KL, _NORMALIZED),
    ),
    Job(
        "one-p", "one p against many q", 200_000, 256, "float64", data.one_against_many, True,
    ),
    Job(
        "one-p-memory", "one p against many q", 200_000, 256, "float64", data.one_against_many, True,
        (
            Target("MB beyond inputs and output, by tracemalloc", 16, at_most=True),
            Target("MB beyond inputs and output, of the process", 16, at_most=True),
        ),
        (), measured="memory",
    ),
    Job(
        "one-pair", "one pair of histograms, the whole call", 1, 256, "float64", data.one_pair, True,
        (Target("fastkl, us per call", 6, 3, at_most=True),), scales="nothing", unit="call",
    ),
    Job(
        "growth", "cost per bin as batches grow", 390_625, 256, "float64", data.overlapping, False,
        (Target("cost per bin, largest / smallest batch", 1.2, at_most=True),), (FLOOR, FASTKL), measured="trial",
        trial=bins_from(100_000, 1), room=room_for_overlapping,
    ),
)  # fmt: skip


def _job(divergence: str, about: str, targets: tuple[Target, ...], peers: tuple[Peer, ...], reference: Peer) -> Job:
    return Job(
        divergence, about, 200_000, 256, "float64", data.two_positive, True, targets, (FLOOR, FASTKL, *peers),
        divergence=divergence, reference=reference.name,
    )  # fmt: skip


DIVERGENCES = (
    _job(
        "js", "Jensen-Shannon divergence",
        (Target(_FLOOR, 0.4), Target(f"{JENSENSHANNON.name} / fastkl", 60)), JS, JENSENSHANNON,
    ),
    _job("jeffreys", "Jeffreys divergence, PSI", (Target(_FLOOR, 0.6),), BOTH, REL_ENTR),
    _job("alpha", "alpha-divergence of order 0.7", (Target(_FLOOR, 0.3),), POWERS, NUMPY_POWERS),
    _job("renyi", "Rényi divergence of order 0.7", (Target(_FLOOR, 0.3),), POWERS, NUMPY_POWERS),
    _job(
        "both", "both directions", (Target("fastkl / fastkl, one direction", 1.4, at_most=True),),
        (FASTKL.on("one direction", _one_direction), *BOTH), REL_ENTR,
    ),
    Job(
        "logits", "logits of a vocabulary", 512, 131_072, "float32", data.two_logits, True,
        (Target(f"{TORCH_LOGITS.name} / fastkl", 5), Target(f"{JAX_LOGITS.name} / fastkl", 8)),
        (FLOOR, FASTKL, *LOGITS), divergence="logits", reference=TORCH_LOGITS.name,
    ),
    Job(
        "sparse", "sparse rows of 100 counts against one dense row", 100_000, 50_000, "float64",
        data.sparse_against_one, True, (Target(f"{DENSE_SLICES.name} / fastkl", 100),), (FASTKL, *SPARSE),
        reference=DENSE_SLICES.name,
    ),
)  # fmt: skip


def _pairs(
    name: str,
    about: str,
    shape: tuple[int, int],
    targets: tuple[Target, ...],
    peers: tuple[Peer, ...] = (),
    dtype: str = "float64",
    make: Callable[[int, int, str], tuple[_Array, _Array]] = data.two_positive,
    **options: Any,
) -> Job:
    peers = (PRODUCT, FASTKL_PAIRS, *peers)
    has_zeros = make in (data.half_zero, data.two_supports)
    given: dict[str, Any] = {"form": PairsCase, "reference": PRODUCT.name, "has_zeros": has_zeros}
    return Job(name, about, *shape, dtype, make, True, targets, peers, **given | options)


_PRODUCT = f"{PRODUCT.name} / fastkl"
_DENSE = Target("fastkl / fastkl, dense", 1.6, at_most=True)
_NEAREST = partial(PairsCase, k=10)

PAIRS = (
    _pairs(
        "pairs", "all pairs", (4000, 256),
        (
            Target(_PRODUCT, 0.75), Target(f"{CDIST_CALLABLE.name} / fastkl", 800),
            Target(f"{NUMKONG_PAIRS.name} / fastkl", 15), Target("error of fastkl", 1e-9, at_most=True),
        ),
        KL_PAIRS,
    ),
    _pairs(
        "pairs-float32", "all pairs", (4000, 256),
        (Target(_PRODUCT, 0.6), Target("error of fastkl", 1e-4, at_most=True)), KL_PAIRS, "float32",
    ),
    _pairs(
        "pairs-half-zero", "all pairs, half of the bins zero, nearly all inf", (4000, 256), (_DENSE,),
        (FASTKL_PAIRS.on("dense", _dense), *KL_PAIRS), make=data.half_zero,
    ),
    _pairs(
        "pairs-half-inf", "all pairs, half of the bins zero, every second inf", (4000, 256), (_DENSE,),
        (FASTKL_PAIRS.on("dense", _dense), *KL_PAIRS), make=data.two_supports,
    ),
    _pairs(
        "pairs-near", "all pairs, divergences from 1e-19 to 1", (500, 256),
        (
            Target("error of fastkl", 1e-9, at_most=True), Target(f"error of {RTOL_PAIRS.name}", 1e-13, at_most=True),
            Target(f"error of {DIRECT_PAIRS.name}", 1e-13, at_most=True),
        ),
        (RTOL_PAIRS, DIRECT_PAIRS, *NEAR_PAIRS), make=data.near_pairs,
    ),
    _pairs(
        "pairs-js", "all pairs, Jensen-Shannon divergence", (2000, 256), (Target(f"{CDIST_JS.name} / fastkl", 20),),
        JS_PAIRS, divergence="js",
    ),
    _pairs(
        "pairs-jeffreys", "all pairs, Jeffreys divergence", (4000, 256), (), (TWO_PRODUCTS, *JEFFREYS_PAIRS),
        divergence="jeffreys", reference=TWO_PRODUCTS.name,
    ),
    _pairs(
        "pairs-digits", "all pairs of handwritten digits", (1797, 64), (Target("error of fastkl", 1e-9, at_most=True),),
        NEAR_PAIRS, make=data.digits,
    ),
    _pairs("pairs-few-rows", "all pairs of few rows", (500, 256), (Target(_PRODUCT, 0.5),), KL_PAIRS),
    _pairs("pairs-many-rows", "all pairs of many rows", (12_000, 256), (Target(_PRODUCT, 0.75),), KL_PAIRS),
    _pairs("pairs-few-bins", "all pairs of short rows", (4000, 32), (Target(_PRODUCT, 0.5),), KL_PAIRS),
    _pairs("pairs-many-bins", "all pairs of long rows", (2000, 4096), (Target(_PRODUCT, 0.75),), KL_PAIRS),
    _pairs("pairs-long-rows", "all pairs of few very long rows", (500, 65_536), (Target(_PRODUCT, 0.5),), KL_PAIRS),
    _pairs(
        "nearest", "the 10 nearest of ten times as many rows", (20_000, 256),
        (Target(_PRODUCT, 0.6), Target("error of fastkl", 1e-13, at_most=True)),
        NEAREST, make=data.queries_and_base, form=_NEAREST,
    ),
    _pairs(
        "nearest-digits", "the 10 nearest handwritten digits", (1797, 64),
        (Target("error of fastkl", 1e-13, at_most=True),), NEAREST_OF_SELF, make=data.digits,
        form=_NEAREST,
    ),
    _pairs(
        "nearest-memory", "the 10 nearest of ten times as many rows", (20_000, 256),
        (
            Target("MB beyond inputs and output, by tracemalloc", 512, at_most=True),
            Target("MB beyond inputs and output, of the process", 512, at_most=True),
        ),
        make=data.queries_and_base, form=_NEAREST, measured="memory",
    ),
    _pairs(
        "pairs-memory", "all pairs", (12_000, 256),
        (
            Target("MB beyond inputs and output, by tracemalloc", 256, at_most=True),
            Target("MB beyond inputs and output, of the process", 256, at_most=True),
        ),
        measured="memory",
    ),
)  # fmt: skip


def _fits(
    name: str,
    about: str,
    rows: int,
    targets: tuple[Target, ...],
    peers: tuple[Peer, ...] = (GRID_PRODUCT, FASTKL_FITS, *KL_FITS),
    make: Callable[[int, int, str], tuple[_Array, _Array]] = data.two_modes,
    **options: Any,
) -> Job:
    job = {"measured": "time", "scales": "rows", "reference": GRID_PRODUCT.name}
    given: dict[str, Any] = {key: options.pop(key, default) for key, default in job.items()}
    form = partial(FitsCase, **options)
    return Job(name, about, rows, 256, "float64", make, True, targets, peers, form=form, **given)


def _tables(family: str, least: float) -> Job:
    targets = (Target(f"{SCIPY_TABLE.name} / fastkl", least),)
    peers = (FASTKL_TABLE, FASTKL_TABLE.on("1 thread", _on_one_thread), *TABLE)
    about = f"the masses of 8192 {family} distributions in 256 bins"
    name = f"fits-table-{family}"
    return _fits(name, about, 1, targets, peers, scales="nothing", reference=SCIPY_TABLE.name, family=family)


_GRID = f"{GRID_PRODUCT.name} / fastkl"
_LOOP = f"{SCIPY_LOOP.name} / fastkl"
_FIT_ERROR = Target("error of fastkl", 1e-12, at_most=True)
_BEYOND_GRID = "us of a core for each refined fit, beyond the grid"

FITS = (
    _fits(
        "fits-reverse", "normal distributions fitted to two modes by the reverse divergence, edges", 2000,
        (Target(_LOOP, 250), Target(_GRID, 0.7), _FIT_ERROR), objective="reverse",
    ),
    _fits(
        "fits-forward", "the same by the forward divergence", 2000,
        (Target(_LOOP, 250), Target(_GRID, 0.7), _FIT_ERROR), objective="forward",
    ),
    _fits(
        "fits-forward-points", "the same with densities at points", 2000, (Target(_GRID, 10), _FIT_ERROR),
        objective="forward", is_edges=False,
    ),
    _fits(
        "fits-alpha", "the same by the alpha-divergence of order 0.7, edges", 2000, (Target(_GRID, 0.5), _FIT_ERROR),
        (GRID_PRODUCT, FASTKL_FITS, *ALPHA_FITS), objective=0.7,
    ),
    *(
        _fits(
            f"fits-refined-{objective}", f"{objective} fits, refined after the grid", 100_000,
            (Target(_BEYOND_GRID, 20, at_most=True),),
            (FASTKL_FITS, FASTKL_FITS.on("grid alone", grid_alone), *REFINED_FITS),
            objective=objective, refines=True, reference=f"{FASTKL_FITS.name}, grid alone",
        )
        for objective in ("reverse", "forward")
    ),
    _tables("norm", 5),
    _tables("gamma", 1),
    _tables("t", 1),
    _fits(
        "fits-memory", "fits by both divergences, from a file", 1_000_000,
        (
            Target("MB beyond inputs and output, by tracemalloc", 2000, at_most=True),
            Target("MB beyond inputs and output, of the process", 2000, at_most=True),
        ),
        (FASTKL_FITS,), data.two_modes_mapped, measured="memory", objective="both",
    ),
    _fits(
        "fits-volume", "fits by both divergences, from a file", 1_000_000, (Target(_LOOP, 250),),
        (FASTKL_FITS, *KL_FITS), data.two_modes_mapped, reference=SCIPY_LOOP.name, objective="both",
    ),
)  # fmt: skip


def _volume(name: str, about: str, rows: int, targets: tuple[Target, ...] = (), **options: Any) -> Job:
    given: dict[str, Any] = {"make": data.two_positive, "room": room, **options}
    return Job(name, about, rows, 256, "float64", normalize=True, targets=targets, **given)


def _files(suffix: str, rows: int, targets: tuple[Target, ...] = (), more: tuple[Peer, ...] = ()) -> Job:
    peers = (IN_MEMORY, RUN, RUN_WITHOUT_JOURNAL, READING, *more, *SLICES, FILES_BY_DASK)
    about = f"a run over two warm {suffix} files, to one"
    given: dict[str, Any] = {"form": stored(suffix), "reference": IN_MEMORY.name, "peers": peers}
    return _volume(f"volume-{suffix[1:]}", about, rows, targets, **given)


VOLUME = (
    _files(
        ".npy", 1_953_125,
        (
            Target(f"{IN_MEMORY.name} / fastkl", 0.85),
            Target(JOURNAL, 0.03, at_most=True),
        ),
        (MAPPED_FLOOR,),
    ),
    _files(".parquet", 200_000),
    _files(".zarr", 200_000),
    _volume(
        "volume-dask", "arrays of dask in memory, by threads", 1_000_000, (Target(f"fastkl / {DASK.name}", 0.8),),
        peers=(FASTKL, DASK, *OTHERS_BY_DASK), reference=FASTKL.name,
    ),
    _volume(
        "volume-distributed", "four histograms against a mapped file, by worker processes of one thread", 4_000_000,
        (Target(f"{ONE} / {TWO}", 1.7),), make=data.one_against_many, room=partial(room, arrays=1), peers=(),
        measured="trial", trial=workers,
    ),
    _volume(
        "volume-memory", "runs that are allowed 512 MiB", 500_000,
        tuple(Target(peak_of(suffix), 512, at_most=True) for suffix in FORMATS),
        peers=(), measured="trial", trial=peak_memory,
    ),
    _volume(
        "volume-kills", f"{KILLS} runs killed at random moments, then resumed", 250_000, (Target(IDENTICAL, KILLS),),
        peers=(), measured="trial", trial=kills,
    ),
)  # fmt: skip

SCALING = (
    curve("threads-float64", "KL over threads", 200_000, 256, OVER_THREADS, BOTH_SCALINGS),
    curve(
        "threads-float32", "KL over threads, single precision", 200_000, 256, OVER_THREADS, BOTH_SCALINGS,
        dtype="float32",
    ),
    curve(
        "threads-pairs", "all pairs over threads", 4000, 256, PAIRS_OVER_THREADS, (PRODUCT, FASTKL_PAIRS),
        form=PairsCase, make=data.two_positive, normalize=True, reference=PRODUCT.name,
    ),
    curve(
        "sizes", "KL of ever more rows, on one thread and on all", 390_625, 256, bins_from(1000, 2),
        ONE_AND_ALL_THREADS, make=data.overlapping, room=room_for_overlapping,
    ),
    curve(
        "row-lengths", "KL of as many bins in ever longer rows", 78_125, 256, OVER_ROW_LENGTHS, make=data.two_positive,
        normalize=True,
    ),
    curve(
        "row-counts", "KL of ever more short rows", 1_000_000, 32, OVER_ROWS, make=data.two_positive, normalize=True,
    ),
)  # fmt: skip

SUITES = {"rows": ROWS, "divergences": DIVERGENCES, "pairs": PAIRS, "fits": FITS, "volume": VOLUME, "scaling": SCALING}
