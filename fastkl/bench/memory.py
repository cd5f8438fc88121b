"""The memory one call needs, in a fresh process: ``python -m fastkl.bench.memory JOB SCALE THREADS`` prints JSON."""

import json
import sys
import tracemalloc

from fastkl.bench.jobs import SUITES
from fastkl.bench.machine import forget_peak, status
from fastkl.bench.peers import FASTKL


def measure(name: str, scale: float, threads: int) -> dict[str, float]:
    """MB beyond inputs and output, as the system saw it, where it tells, and as Python's allocators did."""
    job = next(job for jobs in SUITES.values() for job in jobs if job.name == name)
    case = job.scaled(scale).case(threads)
    fastkl = next((peer for peer in job.peers if peer.name == FASTKL.name), FASTKL)
    call, output = fastkl.bind(case), case.output_bytes
    # Compiling takes a hundred MB, and what it leaves in the heap would hide later needs: tracemalloc sees those.
    fastkl.bind(case.head(1 << 12))()
    figures = {}
    if forget_peak():
        before = status("VmRSS")
        call()
        figures["of the process"] = (status("VmHWM") - before - output) / 1e6
    tracemalloc.start()
    call()
    figures["by tracemalloc"] = (tracemalloc.get_traced_memory()[1] - output) / 1e6
    tracemalloc.stop()
    return figures


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))))
