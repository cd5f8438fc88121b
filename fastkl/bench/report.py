"""What was measured, as text for a terminal and as the table of the README."""

from collections.abc import Iterable
from textwrap import fill
from typing import Any

from fastkl.bench.peers import SCIPY

# Above this part of the CPUs, what other processes take shows in the figures.
_DISTURBED = 0.05
_FIRST, _LAST = "<!-- bench:begin -->", "<!-- bench:end -->"


def heading(session: dict[str, Any]) -> str:
    """Where and with what a session was measured."""
    machine = session["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return "\n".join(
        [
            f"{machine['cpu']}, {machine['cpus']} CPUs, {machine['caches']}, {machine['memory_gb']} GB",
            f"{machine['system']}, Python {machine['python']}, {versions}",
            f"{session['date']}, {session['threads']} threads, {session['scale']:g} of the full size, "
            f"{session['seconds']:g} s for each contestant, all of a job in turn",
            "of floor: the read floor's time / this time; x SciPy: scipy.stats.entropy's time / this time, x another: "
            "that one's; medians over the rounds",
            "error: largest relative error of a sample of the results against extended precision",
            "at least, at most, aim: targets that the project sets itself on its own machine",
        ]
    )


def text_of(result: dict[str, Any]) -> str:
    """The lines of one job."""
    size = f"{result['rows']:,} x {result['bins']:,} {result['dtype']}, normalize={result['normalize']}"
    if result["axis"] == 0:
        size += ", axis=0"
    lines = [f"{result['name']}: {result['about']} ({size})"]
    reference = f"x {'SciPy' if result['reference'] == SCIPY.name else result['reference']}"
    width, names = len(reference) + 2, max([28, *(len(line["name"]) for line in result["lines"])])
    if result["lines"]:
        best, scale = ("us/call best", 1e-3) if result["unit"] == "call" else ("ns/bin best", 1)
        lines.append(
            f"  {'':{names}}{best:>13}{'median':>10}{'rounds':>8}{'of floor':>10}{reference:>{width}}{'error':>9}"
        )
    for line in result["lines"]:
        if line["median"] is None:
            lines.append(f"  {line['name']:{names}}   ({line['note']})")
            continue
        cells = (
            f"{line['best'] * scale:13.3f}{line['median'] * scale:10.3f}{line['rounds']:8d}"
            f"{_number(line['floor_ratio'], 2):>10}{_multiple(line['scipy_ratio']):>{width}}{_error(line['error']):>9}"
        )
        lines.append(f"  {line['name']:{names}}{cells}  {line['note']}".rstrip())
    if result["curve"]:
        lines += [fill(f"  note: {note}", 118, subsequent_indent=" " * 8) for note in result["curve"]["notes"]]
    lines += [f"  -> {_figure(figure)}{'' if is_reached(figure) else '  MISSED'}" for figure in result["figures"]]
    if (result["others"] or 0) > _DISTURBED:
        lines.append(
            f"  other processes took {result['others']:.0%} of the CPUs meanwhile: measure again when it is quiet"
        )
    return "\n".join(lines)


def _figure(figure: dict[str, Any]) -> str:
    word = "at most" if figure["at_most"] else "at least"
    target = f"{word} {figure['bound']:g}" + (f", aim {figure['aim']:g}" if figure["aim"] is not None else "")
    if figure["value"] is None:
        return f"{figure['name']}: not measured ({target})"
    best = f", {figure['at_best']:.2f} at best" if figure["at_best"] is not None else ""
    value = f"{figure['value']:.0e}" if figure["name"].startswith("error") else f"{figure['value']:.2f}"
    return f"{figure['name']} {value}{best} ({target})"


def is_reached(figure: dict[str, Any]) -> bool:
    """Whether a figure keeps its bound; one that could not be measured does not break it."""
    value, bound = figure["value"], float(figure["bound"])
    return value is None or (value <= bound if figure["at_most"] else value >= bound)


def duration(seconds: float) -> str:
    """A time in the unit that a person would say it in."""
    for unit, size, next_size in (("s", 1, 120), ("minutes", 60, 7200), ("hours", 3600, 172_800)):
        if seconds < next_size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds / 86_400:,.0f} days"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _multiple(value: float | None) -> str:
    return _number(value, 2 if value is not None and value < 10 else 1)


def _error(value: float | None) -> str:
    return "" if value is None else f"{value:.0e}"


def markdown_of(session: dict[str, Any]) -> str:
    """The README's table: a line for each job that SciPy does too, a column for each contestant, their errors last."""
    jobs = [
        job
        for job in session["jobs"]
        if job["reference"] == SCIPY.name and any(line["scipy_ratio"] is not None for line in job["lines"])
    ]
    if not jobs:
        raise ValueError("there is no job that SciPy does too; the figures of the suite rows go into the README")
    names = list(dict.fromkeys(line["name"] for job in jobs for line in job["lines"] if ", " not in line["name"]))
    columns = ["ns per bin", *names, "x SciPy", "of floor"]
    table = [columns, ["---", *["---:"] * (len(columns) - 1)]]
    table += [_row_of_times(job, names) for job in jobs]
    table += [_row_of_errors(jobs, names, precision) for precision in ("double", "single")]
    machine = session["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    size = "" if session["scale"] == 1 else f", {session['scale']:g} of the full size"
    others = max((job["others"] or 0 for job in jobs), default=0)
    disturbed = f", while other processes took up to {others:.0%} of the CPUs" if others > _DISTURBED else ""
    caption = (
        f"Medians on {session['threads']} threads of {machine['cpu']}, {machine['caches']}; "
        f"{session['date'][:10]}{size}{disturbed}. Python {machine['python']}, {versions}. "
        "The read floor is the time to read both arrays and sum their products; of floor: its time over fastkl's; "
        "x SciPy: how many times as fast as `scipy.stats.entropy` fastkl is. Measured by `fastkl bench`."
    )
    return "\n".join(["| " + " | ".join(cells) + " |" for cells in table] + ["", caption])


def _row_of_times(job: dict[str, Any], names: list[str]) -> list[str]:
    lines = {line["name"]: line for line in job["lines"]}
    per_call = job["unit"] == "call"
    about = f"{job['about']}, {job['rows']:,} x {job['bins']:,} {job['dtype']}{', axis=0' if job['axis'] == 0 else ''}"
    cells = [f"{about}; us per call" if per_call else f"{about}; normalize={job['normalize']}"]
    for name in names:
        median = lines[name]["median"] if name in lines else None
        shown = "" if median is None else f"{median / 1e3:.2f}" if per_call else f"{median:.2f}"
        cells.append(f"**{shown}**" if name == "fastkl" else shown)
    fastkl = lines["fastkl"]
    return [*cells, _number(fastkl["scipy_ratio"], 0), "" if per_call else _number(fastkl["floor_ratio"], 2)]


def _row_of_errors(jobs: list[dict[str, Any]], names: list[str], precision: str) -> list[str]:
    chosen = [job for job in jobs if (job["dtype"] == "float32") == (precision == "single")]
    cells = [f"largest relative error, {precision} precision"]
    for name in names:
        lines = [line for job in chosen for line in job["lines"] if line["name"] == name]
        cells.append(_error(max((line["error"] for line in lines if line["error"] is not None), default=None)))
    return [*cells, "", ""]


def with_table(readme: str, table: str) -> str:
    """A README whose text between the markers is the table."""
    before, first, rest = readme.partition(_FIRST)
    _, last, after = rest.partition(_LAST)
    if not (first and last):
        raise ValueError(f"the README has no lines {_FIRST} and {_LAST} to put the table between")
    return f"{before}{_FIRST}\n{table}\n{_LAST}{after}"


def missed(results: Iterable[dict[str, Any]]) -> list[str]:
    """The figures below their bound, by job."""
    return [
        f"{result['name']}: {_figure(figure)}"
        for result in results
        for figure in result["figures"]
        if not is_reached(figure)
    ]
