"""Runs that are killed and resumed: ``python -m fastkl.bench.kills P Q OUT KILLS THREADS`` prints JSON.

In a process of its own, whose children are the runs: they have the kernels, and begin at once.
"""

import filecmp
import json
import os
import random
import signal
import sys
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fastkl import batch
from fastkl.batch import _journal

_MEMORY = "144MiB"  # blocks of a few MB, so that there are many
_RECORDS = 100  # times that the journal is written in a run: each of its states may be the last


@dataclass(slots=True)
class Outcome:
    """How many runs were killed, how many went on from the middle, how many gave the bits of one left alone."""

    killed: int = 0
    resumed: int = 0
    identical: int = 0


def kill_and_resume(p: str, q: str, out: Path, kills: int, threads: int) -> Outcome:
    """Kill so many runs, each at a random moment, let each go on, and compare what comes out."""
    options: dict[str, Any] = {"threads": threads, "memory": _MEMORY}
    whole = out.with_name(f"whole{out.suffix}")
    batch.run("kl", p, q, whole, **options)  # compiles
    _journal.SECONDS_BETWEEN = batch.run("kl", p, q, whole, force=True, **options).seconds / _RECORDS
    seconds = batch.run("kl", p, q, whole, force=True, **options).seconds
    moments, found = random.Random(0), Outcome()
    while found.killed < kills:
        out.unlink(missing_ok=True)
        if not _kill_at(moments.uniform(0, seconds), p, q, out, options):
            continue
        found.killed += 1
        summary = batch.run("kl", p, q, out, resume=True, **options)
        found.resumed += summary.resumed_from is not None and not summary.was_finished
        found.identical += filecmp.cmp(whole, out, shallow=False)
    return found


def _kill_at(moment: float, p: str, q: str, out: Path, options: dict[str, Any]) -> bool:
    """Start a run and kill it so many seconds later; False if it was done."""
    child = os.fork()
    if not child:
        try:
            batch.run("kl", p, q, out, resume=True, **options)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    time.sleep(moment)
    os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status > 0:
        raise RuntimeError("a run that was to be killed failed by itself; what it said is above")
    return status < 0


if __name__ == "__main__":
    p, q, out, kills, threads = sys.argv[1:]
    print(json.dumps(asdict(kill_and_resume(p, q, Path(out), int(kills), int(threads)))))
