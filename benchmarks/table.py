"""Suites made of the table of jobs: other divergences, logits, sparse rows, fits, all over threads, and memory.

``scipy`` is the function of SciPy that does the job, where there is one. ``reference`` is the contestant that the table
names where that is another library: NumPy, torch, the bare product of matrices.
"""

from dataclasses import replace

from fastkl._threads import available_cpus
from fastkl.bench import data
from fastkl.bench.case import Case
from fastkl.bench.check import yardstick_of
from fastkl.bench.fits import FitsCase
from fastkl.bench.jobs import DIVERGENCES, FITS, SUITES
from fastkl.bench.measure import Settings, measure

from .contest import _Contest, contestant_of

_JOBS = {job.name: job for suite in SUITES.values() for job in suite}
_SCALE = 0.02  # of divergences, of memory
_SCALE_OF_THREADS = 0.05
_FITS = 50  # histograms


class Divergences(_Contest):
    """Jensen-Shannon, Jeffreys, alpha and Rényi divergences, both directions, logits, sparse rows."""

    params = ([job.name for job in DIVERGENCES], ["float64", "float32"], ["fastkl", "scipy", "reference"])
    param_names = ("job", "dtype", "library")

    def setup(self, name, dtype, library):
        """Make a part of the job's data, in this type."""
        job = replace(_JOBS[name].scaled(_SCALE), dtype=dtype)
        self.enter(contestant_of(job, library), lambda: job.case(available_cpus()))


class Shapes(_Contest):
    """Many short rows and few long ones, side by side in memory too (axis 0), of all divergences of dense rows."""

    params = (
        ["js", "jeffreys", "alpha", "renyi", "both"],
        ["100000 x 8", "1000 x 4096"],
        [-1, 0],
        ["fastkl", "scipy", "reference"],
    )
    param_names = ("job", "shape", "axis", "library")

    def setup(self, name, shape, axis, library):
        """Make the data."""
        rows, bins = map(int, shape.split(" x "))

        def make():
            p, q = (data.columns if axis == 0 else data.two_positive)(rows, bins, "float64")
            if axis == 0 and library != "fastkl":  # others are asked for rows, which lie as they lie
                return Case(p.T, q.T, available_cpus(), True, divergence=name)
            return Case(p, q, available_cpus(), True, axis=axis, divergence=name)

        self.enter(contestant_of(_JOBS[name], library), make)


class Fits(_Contest):
    """Grid searches by each objective, refined ones, and tables of candidates."""

    params = (
        [job.name for job in FITS if job.measured == "time" and job.name != "fits-volume"],
        ["fastkl", "scipy", "reference"],
    )
    param_names = ("job", "library")

    def setup(self, name, library):
        """Make a few of the job's histograms."""
        job = replace(_JOBS[name], rows=min(_FITS, _JOBS[name].rows))
        self.enter(contestant_of(job, library), lambda: job.case(available_cpus()))


class FitShapes(_Contest):
    """Grid searches of few and many histograms, of few and many bins."""

    params = (["forward", "reverse"], [20, 1_000], [64, 256], ["float64", "float32"], ["fastkl", "scipy"])
    param_names = ("objective", "rows", "bins", "dtype", "library")

    def setup(self, objective, rows, bins, dtype, library):
        """Make the data."""
        if library == "scipy" and rows > 20:
            raise NotImplementedError  # how asv spells a skip
        peer = contestant_of(_JOBS[f"fits-{objective}"], library)
        options = {"threads": available_cpus(), "normalize": True, "objective": objective}
        self.enter(peer, lambda: FitsCase(*data.two_modes(rows, bins, dtype), **options))


class Threads(_Contest):
    """All kinds of jobs on one thread and on all, beside the floor or the bare product on as many."""

    params = (
        ["js", "alpha", "logits", "pairs", "nearest", "fits-reverse"],
        sorted({1, available_cpus()}),
        ["fastkl", "yardstick"],
    )
    param_names = ("job", "threads", "contestant")

    def setup(self, name, threads, contestant):
        """Make a part of the job's data."""
        job = _JOBS[name].scaled(_SCALE_OF_THREADS)
        peer = yardstick_of(job) if contestant == "yardstick" else contestant_of(job, contestant)
        self.enter(peer, lambda: job.case(threads))


class Memory:
    """What one call needs beyond its inputs and its answer, in a process of its own."""

    params = tuple(job.name for job in _JOBS.values() if job.measured == "memory")
    param_names = ("job",)
    unit = "MB"

    def track_beyond_inputs_and_answer(self, name):
        """The greater of what the system saw and what Python's allocators did."""
        figures = measure(_JOBS[name], Settings(_SCALE, 0, available_cpus(), False)).figures
        return max(figure.value for figure in figures if figure.value is not None)
