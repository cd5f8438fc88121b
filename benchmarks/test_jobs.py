"""The jobs of `fastkl bench` under pytest-benchmark, one group a job, every library's answers checked.

``pytest benchmarks --benchmark-enable`` runs them on FASTKL_BENCH_SCALE (default 0.1) of their full size; with ``-k``
some of them. Figures are kept and compared so::

    pytest benchmarks --benchmark-enable -k float32 --benchmark-json=before.json
    pytest benchmarks --benchmark-enable -k float32 --benchmark-json=after.json
    pytest-benchmark compare before.json after.json --group-by=fullname --columns=median,iqr,rounds
"""

import os
from functools import lru_cache

import pytest

from fastkl._threads import available_cpus
from fastkl.bench.jobs import SUITES
from fastkl.bench.peers import Unsuitable

_SCALE = float(os.environ.get("FASTKL_BENCH_SCALE", "0.1"))
_CONTESTS = [
    pytest.param(job.scaled(_SCALE), peer, id=f"{job.name}-{peer.name}")
    for jobs in SUITES.values()
    for job in jobs
    if job.measured == "time"
    for peer in job.peers
]


@lru_cache(maxsize=1)  # the contestants of a job come one after another
def _case_of(job):
    return job.case(available_cpus())


@lru_cache(maxsize=2)
def _changed(case, change):
    changed = change(case)
    return changed, changed.truth()


# Imports of the peers, and what they say of each other's versions, are no concern of ours.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("job", "peer"), _CONTESTS)
def test_jobs(benchmark, job, peer):
    try:
        case, truth = _changed(_case_of(job), peer.change)
        call = peer.bind(case)
    except (ImportError, Unsuitable) as reason:
        pytest.skip(str(reason))
    call()  # compiles
    benchmark.group = job.name
    benchmark.extra_info["bins"] = case.items
    answer = benchmark(call)
    if peer.rtol is not None and (error := truth(answer)) is not None:
        assert error <= peer.rtol[case.q.dtype == "float32"]
