"""What each chart shows, for the script that draws it, and the sentence that says it without a picture."""

import math
from typing import Any

from fastkl.bench.html.words import (
    Job,
    Session,
    base_of,
    error_of,
    is_fastkl,
    is_floor,
    measured,
    multiple_of,
    point_of,
    suite_of,
    three_digits,
    time_of,
)
from fastkl.bench.scaling import counted

Chart = dict[str, Any]

_MOST_DIGITS = 17  # of an error that is 0


def speed_chart(job: Job) -> Chart | None:
    """A bar for each contestant: its time as a multiple of the floor's, or of the fastest's where there is none."""
    base, lines = base_of(job), measured(job)
    if base is None or len(lines) < 2:
        return None
    bars = [
        {
            "name": line["name"],
            "value": multiple_of(job, line),
            "label": time_of(job, line["median"]),
            "role": role_of(line["name"]),
        }
        for line in lines
    ]
    return {
        "kind": "speed",
        "base": base["name"],
        "bars": bars,
        "title": f"Time as a multiple of that of {base['name']}; shorter is faster",
        "text": _speed_sentence(job),
    }


def _speed_sentence(job: Job) -> str:
    lines = measured(job)
    times = ", ".join(f"{line['name']} {time_of(job, line['median'])}" for line in lines)
    return f"Time per {job['unit']}, median: {times}."


def error_chart(job: Job) -> Chart | None:
    """A bar for each contestant whose results were checked: the decimal digits that are right in the worst of them."""
    checked = [line for line in measured(job) if line["error"] is not None]
    if not checked or speed_chart(job) is None:
        return None
    bars = [
        {
            "name": line["name"],
            "value": None if line["error"] is None else correct_digits(line["error"]),
            "label": error_of(line) or "no result",
            "role": role_of(line["name"]),
        }
        for line in measured(job)  # all of them, so that bars stand beside those of the times
    ]
    errors = ", ".join(f"{line['name']} {error_of(line)}" for line in checked)
    return {
        "kind": "error",
        "bars": bars,
        "title": "Correct decimal digits in the worst result; longer is more exact",
        "text": f"Largest relative error: {errors}.",
    }


def correct_digits(error: float) -> float:
    """Decimal digits that a relative error leaves right.

    >>> correct_digits(1e-6), correct_digits(0.0), correct_digits(3.0)
    (6.0, 17.0, 0.0)
    """
    return min(float(_MOST_DIGITS), max(0.0, -math.log10(error))) if error else float(_MOST_DIGITS)


def scaling_chart(job: Job, what: str) -> Chart | None:
    """A line for each contestant that was measured at several numbers of ``what``; the read floor is the roofline.

    A contestant without a number in its name ran on the job's own number of threads.
    """
    points: dict[str, dict[int, float]] = {}
    for line in measured(job):
        who, size, of = point_of(job, line) or (line["name"], job["threads"], "threads")
        if of == what:
            points.setdefault(who, {})[size] = line["median"]
    points = {who: values for who, values in points.items() if len(values) > 1}
    if not points:
        return None
    series = [{"name": who, "points": sorted(values.items()), "role": role_of(who)} for who, values in points.items()]
    unit = "ns per bin" if job["unit"] == "bin" else f"ns per {job['unit']}"
    text = " ".join(_scaling_sentence(who, sorted(values.items()), what, unit) for who, values in points.items())
    chart: Chart = {"kind": "scaling", "x": what, "y": unit, "series": series, "text": text, "marks": [], "rate": None}
    title = f"Time in {unit}, by the number of {what}; lower is faster"
    if curve := job["curve"]:
        chart |= {"marks": curve["marks"], "rate": {"unit": curve["unit"], "per_item": curve["per_item"]}}
        title += f". On the right what that is in {curve['unit']}"
    return chart | {"title": title}


def _scaling_sentence(who: str, points: list[tuple[int, float]], what: str, unit: str) -> str:
    (first, before), (last, after) = points[0], points[-1]
    return f"{who}: {three_digits(before)} {unit} at {counted(first, what)}, {three_digits(after)} at {last:,}."


def overview_chart(session: Session) -> Chart | None:
    """A mark for each contestant in the line of each job, at its time as a multiple of the job's base."""
    jobs = [job for job in session["jobs"] if speed_chart(job)]
    if not jobs:
        return None
    names = list(dict.fromkeys(line["name"] for job in jobs for line in measured(job) if ", " not in line["name"]))
    series = [{"name": name, "role": role_of(name), "values": _multiples(jobs, name)} for name in names]
    return {
        "kind": "overview",
        "jobs": [job["name"] for job in jobs],
        "series": series,
        "title": "Time as a multiple of the floor's, or of the fastest's in a job that has none; left is faster",
        "text": f"Suite {suite_of(session)}. {_overview_sentence(jobs)}",
    }


def _multiples(jobs: list[Job], name: str) -> list[float | None]:
    values: list[float | None] = []
    for job in jobs:
        found = [line for line in measured(job) if line["name"] == name]
        values.append(multiple_of(job, found[0]) if found else None)
    return values


def _overview_sentence(jobs: list[Job]) -> str:
    words = []
    for job, value in zip(jobs, _multiples(jobs, "fastkl"), strict=True):
        slowest = max(multiple_of(job, line) or 1.0 for line in measured(job))
        own = "" if value is None else f"fastkl {three_digits(value)}, "
        words.append(f"{job['name']}: {own}slowest {three_digits(slowest)}")
    return "; ".join(words) + "."


def role_of(name: str) -> str:
    """What the chart sets apart: fastkl, the floor, or one of the others.

    >>> [role_of(name) for name in ("fastkl, 1 thread", "read floor, 99,840 bins", "numpy")]
    ['fastkl', 'floor', 'other']
    """
    return "fastkl" if is_fastkl(name) else "floor" if is_floor(name) else "other"
