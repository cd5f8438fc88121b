"""The memory of a run in a fresh process: ``python -m fastkl.bench.peak P Q OUT MEMORY THREADS`` prints JSON."""

import json
import sys

from fastkl import batch
from fastkl.bench.machine import forget_peak, status


def measure(p: str, q: str, out: str, memory: str, threads: int) -> float | None:
    """MiB at the peak, beyond what the interpreter has with all imports; None where the system doesn't tell."""
    if not forget_peak():
        return None
    before = status("VmRSS")
    batch.run("kl", p, q, out, memory=memory, threads=threads, force=True)
    return (status("VmHWM") - before) / (1 << 20)


if __name__ == "__main__":
    p, q, out, memory, threads = sys.argv[1:]
    print(json.dumps(measure(p, q, out, memory, int(threads))))
