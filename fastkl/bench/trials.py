"""What is no matter of timing one call after another: the memory of runs, runs that are killed, clusters of workers."""

import os
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fastkl.bench.files import VolumeCase, run_over, stored
from fastkl.bench.job import Job
from fastkl.bench.measure import Result, Row, Settings, Values, fill, in_new_process
from fastkl.bench.rounds import Runner, paired_ratio, play

MEMORY = "512MiB"
KILLS = 20
FORMATS = (".npy", ".parquet", ".zarr")
_REFERENCES, _BLOCKS = 4, 8  # histograms, and blocks of the rows that they meet: tasks for the workers
_SPINS, _SPIN = 8, 0.3  # tasks of the control, and the seconds of CPU time that each takes: as those of fastkl do


def _case(job: Job, suffix: str, threads: int) -> VolumeCase:
    case = replace(job, form=stored(suffix)).case(threads)
    assert isinstance(case, VolumeCase)
    return case


def peak_of(suffix: str) -> str:
    """The figure of `peak_memory` for a format."""
    return f"MiB over the interpreter with its imports, {suffix}"


def peak_memory(job: Job, settings: Settings, result: Result) -> Values:
    """The most memory of runs that are allowed 512 MiB, each in a process that has done nothing else."""
    values: Values = {}
    for suffix in FORMATS:
        try:
            case = _case(job, suffix, settings.threads)
        except ImportError as absent:
            result.lines.append(Row(f"fastkl, {suffix}", f"not installed: {absent}"))
            continue
        files = case.files
        run_over(case)  # compiles: what the compiler takes, and that once, is no part of a run
        words = str(files.p), str(files.q), str(files.out), MEMORY, str(settings.threads)
        values[peak_of(suffix)] = in_new_process("fastkl.bench.peak", *words), None
    return values


IDENTICAL = f"results of {KILLS} runs that were killed, identical"


def kills(job: Job, settings: Settings, result: Result) -> Values:
    """Runs that are killed at random moments and go on, compared with one that is left alone."""
    if not hasattr(os, "fork"):
        result.lines.append(Row("fastkl", "not measured: this system has no fork"))
        return {}
    case = _case(job, ".npy", settings.threads)
    files = case.files
    words = str(files.p), str(files.q), str(files.out), str(KILLS), str(settings.threads)
    found = in_new_process("fastkl.bench.kills", *words)
    result.lines.append(Row("fastkl", f"{found['resumed']} of {found['killed']} went on from a row in the middle"))
    return {IDENTICAL: (float(found["identical"]), None)}


ONE, TWO = "fastkl, 1 worker", "fastkl, 2 workers"


def workers(job: Job, settings: Settings, result: Result) -> Values:
    """Some histograms against a mapped file, by one worker process and by two; and a control without fastkl.

    To hand out tasks and to collect their results takes 20 ms and more, whatever they compute: the work is long beside
    that. The profiler of dask's workers is off, which takes a twentieth of two busy CPUs.
    """
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError:
        result.lines.append(Row(ONE, "not installed"))
        return {}
    case = _case(job, ".npy", 1)
    lazy = _divergences(case)
    runners: dict[str, Runner] = {}
    options: dict[str, Any] = {"threads_per_worker": 1, "processes": True, "dashboard_address": ":0", "memory_limit": 0}
    with ExitStack() as clusters:
        clusters.enter_context(dask.config.set({"distributed.worker.profile.enabled": False}))
        for count, name in ((1, ONE), (2, TWO)):
            cluster = clusters.enter_context(LocalCluster(n_workers=count, **options))
            client = clusters.enter_context(Client(cluster, set_as_default=False))
            client.wait_for_workers(count, timeout=60)
            calls = {name: lambda client=client: client.compute(lazy).result(), f"spinning, {count}": _spins(client)}
            for who, call in calls.items():
                call()  # loads the kernels
                runners[who] = Runner(call, case.items * _REFERENCES)
        play(list(runners.values()), settings.seconds, settings.threads)
    for name in (ONE, TWO):
        row = Row(name)
        fill(row, runners[name])
        result.lines.append(row)
    control, _ = paired_ratio(runners["spinning, 1"], runners["spinning, 2"])
    note = f"2 workers that spin without fastkl do {control:.2f} times as much as 1: what this machine gives"
    result.lines.append(Row("control", note))
    return {f"{ONE} / {TWO}": paired_ratio(runners[ONE], runners[TWO])}


def _divergences(case: VolumeCase) -> Any:
    import dask.array as da

    import fastkl

    rows = -(-len(case.q) // _BLOCKS)
    q = da.from_array(_Mapped(case.files.q), chunks=(rows, -1), meta=case.q[:0], name=False, inline_array=True)
    references = np.stack([np.roll(case.p, k) for k in range(_REFERENCES)])
    return fastkl.kl_divergence(references[:, None], q, normalize=case.normalize).sum(split_every=_BLOCKS)


class _Mapped:
    """An array in a file, which is mapped by whoever takes a part of it: tasks carry no more than the path."""

    def __init__(self, path: Path) -> None:
        array = np.load(path, mmap_mode="r")
        self.path, self.shape, self.dtype, self.ndim = path, array.shape, array.dtype, array.ndim

    def __getitem__(self, part: Any) -> Any:
        return np.load(self.path, mmap_mode="r")[part]


def _spins(client: Any) -> Any:
    return lambda: client.gather(client.map(_spin, range(_SPINS), pure=False))


def _spin(_: int) -> None:
    start = time.thread_time()
    while time.thread_time() < start + _SPIN:
        pass
