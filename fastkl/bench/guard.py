"""``fastkl bench --check``: have the jobs become slower than what was stored for this machine?

What is stored is ``expected.json``, by machine, threads and size, for a ratio to the floor is another one on another
CPU. Where nothing is stored nothing is said, and nothing fails.
"""

import argparse
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastkl.bench.check import Finding, check, checkable, measure
from fastkl.bench.job import Job
from fastkl.bench.machine import describe
from fastkl.bench.measure import Settings
from fastkl.bench.verdict import Measurement, Verdict, merged
from fastkl.cli._command import CommandError, UsageError
from fastkl.cli._results import check_target, complete_or_absent

STORED = Path(__file__).with_name("expected.json")
SCALE, SECONDS, QUICK_SECONDS, THREADS, MARGIN = 0.1, 1.5, 0.7, 1, 0.15
_PASSES = 3  # over all jobs when their speed is stored: states of the machine last for minutes
_HEADING = f"{'job':22}{'times':>8} {'yardstick':16}{'slowdown':>9}  {'99 % interval':16}{'measured':>9}  verdict"


def command(jobs: Sequence[Job], args: argparse.Namespace) -> int:
    """What ``fastkl bench`` does when told to check or to store."""
    if not args.check:
        raise UsageError("--update, --expected and --margin need --check")
    if args.json or args.html or args.large:
        raise UsageError("--check takes no --json, --html or --large")
    jobs = checkable(jobs)
    if not jobs:
        raise UsageError(f"no job called {args.jobs} has a floor or a product to be compared with")
    seconds = args.seconds or (QUICK_SECONDS if args.quick else SECONDS)
    settings = Settings(args.scale or SCALE, seconds, args.threads or THREADS, False)
    path, margin = args.expected or STORED, args.margin or MARGIN
    if args.update:
        check_target(path, True)
        return update(jobs, settings, path, margin)
    if not path.exists():
        raise UsageError(f"{path} does not exist; --update makes it")
    return run(jobs, settings, path, margin)


def machine_of(settings: Settings) -> str:
    """What figures are stored under."""
    machine = describe(set())
    threads = f"{settings.threads} thread{'s' if settings.threads > 1 else ''}"
    return f"{machine['cpu']}, {machine['caches']}, {threads}, {settings.scale:g} of the full size"


def read(path: Path) -> dict[str, Any]:
    """All that is stored, by machine and job; nothing if there is no file yet."""
    if not path.exists():
        return {}
    try:
        everything: dict[str, Any] = json.loads(path.read_text())
        for jobs in everything.values():
            for entry in jobs.values():
                entry["pairs"] = [(float(yardstick), float(time)) for yardstick, time in entry["pairs"]]
                if not (entry["stored"] and min(min(pair) for pair in entry["pairs"]) > 0):
                    raise ValueError
    except (ValueError, LookupError, TypeError, AttributeError):
        raise CommandError(f"{path} does not hold what `fastkl bench --check --update` writes") from None
    return everything


def run(jobs: Sequence[Job], settings: Settings, path: Path, margin: float) -> int:
    """Check, and print the table; 1 if a job is slower."""
    machine = machine_of(settings)
    entries = read(path).get(machine, {})
    print(f"{machine}\n{_since(entries)}\n\n{_HEADING}", flush=True)
    slower = []
    for finding in check(jobs, settings, {name: entry["pairs"] for name, entry in entries.items()}, margin):
        print(line_of(finding), flush=True)
        if finding.verdict is Verdict.SLOWER:
            slower.append(finding.job)
    if slower:
        print(f"\nslower than expected by more than {margin:.0%}, measured twice: {', '.join(slower)}")
    return 1 if slower else 0


def update(jobs: Sequence[Job], settings: Settings, path: Path, margin: float) -> int:
    """Measure the jobs some times, and store how fast they are, for this machine alone."""
    machine, everything = machine_of(settings), read(path)
    entries: dict[str, Any] = everything.setdefault(machine, {})
    found: dict[str, list[Measurement]] = {job.name: [] for job in jobs}
    print(machine, flush=True)
    for number in range(_PASSES):
        print(f"pass {number + 1} of {_PASSES}", flush=True)
        for job in jobs:
            found[job.name].append(measure(job, settings))
    for name, measurements in found.items():
        new = [(float(f"{a:.4g}"), float(f"{b:.4g}")) for a, b in (each.typical for each in measurements)]
        pairs = merged(entries.get(name, {"pairs": []})["pairs"], new, margin)
        entries[name] = {"stored": datetime.now(UTC).date().isoformat(), "pairs": pairs}
        ratios = ", ".join(f"{b / a:.2f} at {a:.3g} ns" for a, b in pairs)
        others = max(each.others or 0 for each in measurements)
        print(f"{name:22}{ratios}{_disturbed(others)}")
    with complete_or_absent(path, True) as file:
        file.write(_text_of(everything).encode())
    return 0


def _text_of(everything: dict[str, Any]) -> str:
    """JSON with a line for each job, for the sake of those who read what changed."""
    machines = []
    for machine, jobs in sorted(everything.items()):
        lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in sorted(jobs.items()))
        machines.append(f" {json.dumps(machine)}: {{\n{lines}\n }}")
    return "{\n" + ",\n".join(machines) + "\n}\n"


def line_of(finding: Finding) -> str:
    """A job's line: its time in yardsticks, its time over what is expected, and the verdict."""
    ratio = f"{finding.measurements[-1].ratio:.2f}"
    sure, middle = "", ""
    if interval := finding.interval:
        sure, middle = f"{interval.low:.2f} to {interval.high:.2f}", f"{interval.median:.2f}"
    count = len(finding.measurements)
    return (
        f"{finding.job:22}{ratio:>8} {finding.yardstick:16}{middle:>9}  {sure:16}{count:>9}  {finding.verdict}"
        f"{_disturbed(finding.others)}"
    )


def _disturbed(others: float) -> str:
    return f" (other processes took {others:.0%} of the CPUs)" if others > 0.05 else ""


def _since(entries: dict[str, Any]) -> str:
    if not entries:
        return "nothing is stored for this machine: `fastkl bench --check --update` stores its speed; nothing can fail"
    days = sorted({entry["stored"] for entry in entries.values()})
    return f"compared with what was stored on {' to '.join(dict.fromkeys([days[0], days[-1]]))}"
