"""Does `fastkl bench --check` catch a slowdown of 30 %, and nothing else? On this machine, with real clocks.

``python benchmarks/planted.py`` stores how fast some jobs are, checks them ten times as they are and ten times with
30 % of its own time added to each call of fastkl, each time in a new process, and prints how often each was accused.
Nothing is written but a temporary file.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from fastkl.bench import guard
from fastkl.bench.check import check
from fastkl.bench.jobs import SUITES
from fastkl.bench.measure import Settings
from fastkl.bench.peers import FASTKL
from fastkl.bench.verdict import Verdict

_JOBS = ("float64", "float32-normalize", "few-bins", "js", "pairs", "fits-reverse")


def slowed(call, part):
    """A call that takes longer by this part of its own time."""

    def slow():
        start = time.perf_counter()
        answer = call()
        end = start + (1 + part) * (time.perf_counter() - start)
        while time.perf_counter() < end:
            pass
        return answer

    return slow


def planted(job, part):
    """A job whose fastkl is slowed."""

    def slowed_peer(peer):
        return replace(peer, bind=lambda case: slowed(peer.bind(case), part))

    return replace(job, peers=tuple(slowed_peer(peer) if peer.name == FASTKL.name else peer for peer in job.peers))


def _check_once(jobs, part, seconds, expected):
    settings = Settings(guard.SCALE, seconds, guard.THREADS, False)
    stored = {name: entry["pairs"] for name, entry in guard.read(expected)[guard.machine_of(settings)].items()}
    findings = check([planted(job, part) if part else job for job in jobs], settings, stored, guard.MARGIN)
    return {finding.job: [finding.verdict, finding.interval.median, finding.others] for finding in findings}


def _in_a_new_process(part, expected, args):
    words = [__file__, "--once", str(part), "--expected", str(expected), "--seconds", str(args.seconds)]
    done = subprocess.run([sys.executable, *words, "--jobs", *args.jobs], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def _experiment(args, expected):
    wrong = 0
    print(f"{'job':22}{'planted':>8}{'runs':>6}{'accused':>9}{'unclear':>9}  slowdowns found")
    for part in (0.0, args.plant):
        runs = [_in_a_new_process(part, expected, args) for _ in range(args.runs)]
        for name in args.jobs:
            verdicts, medians, _ = zip(*(run[name] for run in runs), strict=True)
            accused = verdicts.count(Verdict.SLOWER)
            wrong += args.runs - accused if part else accused
            found = f"{min(medians):.2f} to {max(medians):.2f}"
            counts = f"{args.runs:6}{accused:9}{verdicts.count(Verdict.UNCLEAR):9}"
            print(f"{name:22}{part:8.0%}{counts}  {found}", flush=True)
        print(f"other processes took up to {max(line[2] for run in runs for line in run.values()):.0%} of the CPUs")
    print(f"{wrong} wrong verdicts")
    return 1 if wrong else 0


def main():
    """The experiment, or one run of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--plant", type=float, default=0.3)
    parser.add_argument("--seconds", type=float, default=guard.SECONDS)
    parser.add_argument("--jobs", nargs="+", default=list(_JOBS))
    parser.add_argument("--expected", type=Path, help="figures that were stored; the default is to store them first")
    parser.add_argument("--once", type=float, metavar="PART", help="one check with so much planted, as JSON")
    args = parser.parse_args()
    jobs = [job for suite in SUITES.values() for job in suite if job.name in args.jobs]
    if args.once is not None:
        print(json.dumps(_check_once(jobs, args.once, args.seconds, args.expected)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        expected = args.expected or Path(folder) / "expected.json"
        if not args.expected:
            guard.update(jobs, Settings(guard.SCALE, args.seconds, guard.THREADS, False), expected, guard.MARGIN)
        return _experiment(args, expected)


if __name__ == "__main__":
    sys.exit(main())
