"""Where a curve bends, and why: a call's fixed cost, the sizes of the caches, the start of threads, the memory's rate.

Marks are places on the variable's axis, notes the sentences beside them; both come from the machine and the figures.
"""

import math
from typing import Any

from fastkl import kernels
from fastkl._engine import _BINS_PER_THREAD, _CHUNK
from fastkl.bench.job import Job
from fastkl.bench.machine import caches, cores

Points = dict[str, dict[int, float]]  # contestant, value of the variable, ns per item
Mark = dict[str, Any]

# A second thread works on as many bins as this: fewer are not worth its start.
SECOND_THREAD = 2 * _BINS_PER_THREAD
_FULL = 0.9  # of a rate counts as reaching it


def marks_of(variable: str, job: Job, per_item: int, threads: int) -> list[Mark]:
    """What happens at which values of the variable."""
    if variable == "threads":
        found = cores()
        return [_mark(found, "a thread on each core")] if found and 1 < found < threads else []
    if variable == "bins a row":
        return [
            _mark(kernels.TILE_BINS, "longer rows one by one"),
            _mark(kernels.PIECE, "in pieces"),
            _mark(_CHUNK, "shared by threads"),
        ]
    bins = _bins_per_value(variable, job)
    marks = [_mark(cache.size // per_item // bins, f"L{cache.level} full") for cache in caches()]
    if threads > 1:
        marks.append(_mark(SECOND_THREAD // bins, "2nd thread"))
    if threads > 2:
        marks.append(_mark(threads * _BINS_PER_THREAD // bins, f"{threads} threads"))
    return sorted(marks, key=lambda mark: int(mark["at"]))


def notes_of(variable: str, job: Job, per_item: int, unit: str, points: Points) -> list[str]:
    """What the figures show, a sentence each."""
    if not any(map(_is_fastkl, points)):
        return []
    if variable == "threads":
        return _of_threads(points, per_item, unit, job.rows * job.bins * per_item)
    if variable == "bins a row":
        return _of_lengths(points)
    return _of_sizes(points, _bins_per_value(variable, job), per_item)


def _mark(at: int, label: str) -> Mark:
    return {"at": at, "label": label}


def _is_fastkl(who: str) -> bool:
    return who.startswith("fastkl")


def _bins_per_value(variable: str, job: Job) -> int:
    return job.bins if variable == "rows" else 1


def about(value: float) -> str:
    """A number that is known to two digits.

    >>> about(0.0712), about(34.7), about(262_144.0)
    ('0.071', '35', '260,000')
    """
    rounded = float(f"{value:.2g}")
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:g}"


def _of_threads(points: Points, per_item: int, unit: str, size: int) -> list[str]:
    rates = {who: {threads: per_item / time for threads, time in of.items()} for who, of in points.items()}
    notes = [_gain(who, of, unit) for who, of in rates.items()]
    floor = next((of for who, of in rates.items() if not _is_fastkl(who)), None)
    if unit == "GB/s" and floor and "fastkl" in rates:
        notes += [_bandwidth(floor, _home(size)), _ruler(rates["fastkl"], floor)]
    if unit != "GB/s":
        notes.append("A product of matrices uses each number many times: arithmetic rules it, not memory.")
    most = max(max(of) for of in rates.values())
    if (found := cores()) and found < most:
        notes.append(f"The {most} CPUs are {found} cores: of more than {found} threads two share a core.")
    return notes


def _gain(who: str, of: dict[int, float], unit: str) -> str:
    first, last, best = min(of), max(of), max(of, key=lambda threads: of[threads])
    words = f"{who}: {of[first]:.3g} {unit} on 1 thread"
    if last > first:
        words += f", {of[last]:.3g} on {last}, which is {of[last] / of[first]:.2f} times as much"
    return f"{words}; the most is {of[best]:.3g}, on {best}." if best not in (first, last) else f"{words}."


def _home(size: int) -> str:
    """Where arrays of so many bytes are when they are read again."""
    return next((f"L{cache.level} cache" for cache in caches() if size <= cache.size), "memory")


def _bandwidth(floor: dict[int, float], home: str) -> str:
    most, last = max(floor.values()), max(floor)
    enough = min(threads for threads, rate in floor.items() if rate >= _FULL * most)
    if enough == last:
        return f"Reading gains from threads up to {last}, {most:.3g} GB/s: fewer do not fill the {home}'s bandwidth."
    return f"The {home} gives {most:.3g} GB/s, {_FULL:.0%} of it to {_threads(enough)}: further ones wait for it."


def _ruler(fastkl: dict[int, float], floor: dict[int, float]) -> str:
    """Who is waited for: the threads' arithmetic or the memory."""
    short = [threads for threads in fastkl if fastkl[threads] < _FULL * floor[threads]]
    reached = [threads for threads in fastkl if threads > max(short, default=0)]
    if not reached:
        return f"fastkl is below {_FULL:.0%} of the floor's rate on {_threads(max(fastkl))}: arithmetic rules it."
    return f"fastkl is at {_FULL:.0%} of the floor's rate from {_threads(min(reached))} on: there reading rules it."


def _threads(count: int) -> str:
    return f"{count} thread{'' if count == 1 else 's'}"


def _of_lengths(points: Points) -> list[str]:
    fastkl = points["fastkl"]
    first, cheapest = min(fastkl), min(fastkl, key=lambda bins: fastkl[bins])
    return [
        f"A row of {first} bins takes {about(first * fastkl[first])} ns, {fastkl[first]:.3g} for each bin; the "
        f"cheapest rows are those of {cheapest:,} bins, {fastkl[cheapest]:.3g} ns per bin.",
        f"Rows of up to {kernels.TILE_BINS} bins are computed many at once, longer ones one by one, in pieces of up to "
        f"{kernels.PIECE:,} bins, which stay in the first cache; rows of more than {_CHUNK:,} bins are shared "
        "by the threads.",
    ]


def _of_sizes(points: Points, bins: int, per_item: int) -> list[str]:
    """Of points whose values mean so many bins each."""
    series = {who: {value * bins: time for value, time in of.items()} for who, of in points.items()}
    fastkl = next(filter(_is_fastkl, series))
    floor = next((who for who in series if not _is_fastkl(who)), fastkl)
    notes = [_fixed_cost(fastkl, series[fastkl]), *_by_cache([fastkl, floor], series, per_item)]
    alone, together = series.get("fastkl, 1 thread"), series.get("fastkl, all threads")
    gain = ""
    if alone and together:
        largest = max(alone)
        gain = f"; at {largest:,} bins all threads are {alone[largest] / together[largest]:.2f} times as fast as one"
    return [
        *notes,
        f"From {SECOND_THREAD:,} bins on fastkl takes a second thread: fewer are not worth its start{gain}.",
    ]


def _fixed_cost(who: str, of: dict[int, float]) -> str:
    first, cheapest = min(of), min(of.values())
    fixed = first * (of[first] - cheapest)
    if fixed <= first * cheapest:
        return f"{who}: what a call costs beside its bins is less than they do from the first size on, {first:,} bins."
    even = fixed / cheapest
    return (
        f"{who}: a call costs about {about(fixed / 1e3)} µs beside its bins; that is as much as {about(even)} bins "
        f"cost, and less than a tenth of it all beyond {about(10 * even)} bins."
    )


def _by_cache(contestants: list[str], series: Points, per_item: int) -> list[str]:
    """What the largest size that a cache takes costs, and the largest beyond all."""
    notes, below = [], 0.0
    ends = [(f"In the L{cache.level} cache", cache.size / per_item) for cache in caches()]
    for place, end in [*ends, ("From memory", math.inf)] if ends else []:
        inside = [size for size in series[contestants[0]] if below < size <= end]
        if inside:
            limits = f"beyond {about(below)}" if end == math.inf else f"up to {about(end)}"
            costs = [_cost(who, series[who][max(inside)], per_item) for who in dict.fromkeys(contestants)]
            notes.append(f"{place}, {limits} bins, at {max(inside):,}: {'; '.join(costs)}.")
        below = end
    return notes


def _cost(who: str, time: float, per_item: int) -> str:
    return f"{who} {time:.3g} ns per bin, {about(per_item / time)} GB/s"
