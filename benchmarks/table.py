"""Suites made of the table of jobs: other divergences, logits, sparse rows, fits, all over threads, and memory.

``reference`` is the contestant that the table names: SciPy's function where there is one, else NumPy's or torch's, the
bare product of matrices. Of what a loop in Python does for all rows, a few are timed.
"""

from dataclasses import replace

from fastkl._threads import available_cpus
from fastkl.bench.check import yardstick_of
from fastkl.bench.jobs import DIVERGENCES, FITS, SUITES
from fastkl.bench.measure import Settings, measure
from fastkl.bench.peers import FASTKL

from .contest import Contest as _Contest

_JOBS = {job.name: job for suite in SUITES.values() for job in suite}
_SCALE = 0.02  # of divergences, of memory
_SCALE_OF_THREADS = 0.05
_FITS = 200  # histograms


def _peer(job, name):
    return next(peer for peer in job.peers if peer.name == (FASTKL.name if name == "fastkl" else job.reference))


class Divergences(_Contest):
    """Jensen-Shannon, Jeffreys, alpha and Rényi divergences, both directions, logits, sparse rows."""

    params = ([job.name for job in DIVERGENCES], ["float64", "float32"], ["fastkl", "reference"])
    param_names = ("job", "dtype", "contestant")

    def setup(self, name, dtype, contestant):
        """Make a part of the job's data, in this type."""
        job = replace(_JOBS[name].scaled(_SCALE), dtype=dtype)
        self.enter(_peer(job, contestant), job.case(available_cpus()))


class Fits(_Contest):
    """Grid searches by each objective, refined ones, and tables of candidates."""

    params = (
        [job.name for job in FITS if job.measured == "time" and job.name != "fits-volume"],
        ["fastkl", "reference"],
    )
    param_names = ("job", "contestant")

    def setup(self, name, contestant):
        """Make a few of the job's histograms."""
        job = replace(_JOBS[name], rows=min(_FITS, _JOBS[name].rows))
        self.enter(_peer(job, contestant), job.case(available_cpus()))


class Threads(_Contest):
    """All kinds of jobs on one thread and on all, beside the floor or the bare product on as many."""

    params = (
        ["js", "logits", "pairs", "nearest", "fits-reverse"],
        sorted({1, available_cpus()}),
        ["fastkl", "yardstick"],
    )
    param_names = ("job", "threads", "contestant")

    def setup(self, name, threads, contestant):
        """Make a part of the job's data."""
        job = _JOBS[name].scaled(_SCALE_OF_THREADS)
        self.enter(_peer(job, "fastkl") if contestant == "fastkl" else yardstick_of(job), job.case(threads))


class Memory:
    """What one call needs beyond its inputs and its answer, in a process of its own."""

    params = tuple(job.name for job in _JOBS.values() if job.measured == "memory")
    param_names = ("job",)
    unit = "MB"

    def track_beyond_inputs_and_answer(self, name):
        """The greater of what the system saw and what Python's allocators did."""
        figures = measure(_JOBS[name], Settings(_SCALE, 0, available_cpus(), False)).figures
        return max(figure.value for figure in figures if figure.value is not None)
