"""The tables of the page: they hold every figure, and are what a chart says to those who do not see it."""

from collections.abc import Iterable

from fastkl.bench.html.markup import Markup, element, join
from fastkl.bench.html.words import (
    Job,
    Line,
    Session,
    base_of,
    error_of,
    is_fastkl,
    is_floor,
    maybe,
    measured,
    multiple_of,
    point_of,
    size_of,
    suite_of,
    three_digits,
    time_of,
)
from fastkl.bench.report import is_reached
from fastkl.bench.scaling import counted

# Above this part of the CPUs, what other processes take shows in the figures.
DISTURBED = 0.05
# Heading, and whether its cells are numbers.
_ALL_COLUMNS = (
    ("Suite", False), ("Job", False), ("Contestant", False), ("Median", True), ("Best", True), ("Unit", False),
    ("Of floor", True), ("Time / fastkl's", True), ("Largest error", True), ("Rounds", True), ("Note", False),
)  # fmt: skip


def table_of_all(sessions: list[Session]) -> Markup:
    """Every contestant of every job, a line each; the script makes the headings sort it and the field filter it."""
    heads = [
        element("th", element("button", name, type="button"), scope="col", class_="number" if is_number else "text")
        for name, is_number in _ALL_COLUMNS
    ]
    lines = [
        _line_of_all(suite_of(session), job, line)
        for session in sessions
        for job in session["jobs"]
        for line in job["lines"]
    ]
    caption = element(
        "caption",
        "Every contestant of every job. A heading sorts by its column. Of floor: the read floor's time over this time. "
        "Time / fastkl's: this median over fastkl's in the same job.",
    )
    return element("table", caption, element("thead", element("tr", *heads)), element("tbody", *lines), id="all")


def _line_of_all(suite: str, job: Job, line: Line) -> Markup:
    cells = [
        element("td", suite),
        element("th", job["name"], scope="row"),
        element("td", line["name"]),
        *_figures(job, line),
        element("td", str(line["rounds"]), class_="number", data_value=line["rounds"]),
        element("td", line["note"]),
    ]
    return element("tr", *cells, class_="fastkl" if is_fastkl(line["name"]) else "")


def _figures(job: Job, line: Line) -> list[Markup]:
    unit = "" if line["median"] is None else "µs per call" if job["unit"] == "call" else f"ns per {job['unit']}"
    scale = 1e-3 if job["unit"] == "call" else 1.0
    faster = times_as_fast(job, line)
    return [
        _cell(line["median"], maybe(None if line["median"] is None else line["median"] * scale)),
        _cell(line["best"], maybe(None if line["best"] is None else line["best"] * scale)),
        element("td", unit, class_="unit"),
        _cell(line["floor_ratio"], maybe(line["floor_ratio"])),
        _cell(faster, maybe(faster)),
        _cell(line["error"], error_of(line)),
    ]


def _cell(value: float | None, shown: str) -> Markup:
    return element("td", shown, class_="number", data_value="" if value is None else repr(float(value)))


def times_as_fast(job: Job, line: Line) -> float | None:
    """How many times as fast as this contestant fastkl is, by the medians."""
    own = next((other["median"] for other in job["lines"] if other["name"] == "fastkl"), None)
    return None if own is None or line["median"] is None else line["median"] / own


def table_of_job(job: Job, label: str) -> Markup:
    """The contestants of one job."""
    heads = [
        element("th", name, scope="col", class_="number" if is_number else "text")
        for name, is_number in _ALL_COLUMNS
        if name not in ("Suite", "Job", "Rounds")
    ]
    lines = [
        element(
            "tr",
            element("th", line["name"], scope="row"),
            *_figures(job, line),
            element("td", line["note"]),
            class_="fastkl" if is_fastkl(line["name"]) else "",
        )
        for line in job["lines"]
    ]
    caption = element("caption", f"{label}: {job['about']}, {size_of(job)}")
    return element("table", caption, element("thead", element("tr", *heads)), element("tbody", *lines))


def table_of_curve(job: Job) -> Markup:
    """The points of a curve: a line for each value of its variable, each contestant's time and rate beside it."""
    curve = job["curve"]
    points: dict[int, dict[str, Line]] = {}
    for line in measured(job):
        if point := point_of(job, line):
            points.setdefault(point[1], {})[point[0]] = line
    names = list(dict.fromkeys(who for of in points.values() for who in of))
    titles = [f"{name}, {unit}" for name in names for unit in (f"ns per {job['unit']}", curve["unit"])]
    heads = [element("th", title, scope="col", class_="number") for title in (curve["variable"], *titles)]
    lines = []
    for value, of in sorted(points.items()):
        cells = [element("th", f"{value:,}", scope="row", class_="number")]
        for name in names:
            time = of[name]["median"] if name in of else None
            cells += [_cell(number, maybe(number)) for number in (time, time and curve["per_item"] / time)]
        lines.append(element("tr", *cells))
    caption = element("caption", f"{job['name']}: medians, by the number of {curve['variable']}")
    return element("table", caption, element("thead", element("tr", *heads)), element("tbody", *lines))


def notes_of(job: Job) -> Markup:
    """What a curve shows, in sentences, and what its marks are."""
    return element("ul", *[element("li", note) for note in job["curve"]["notes"]], class_="notes")


def targets_of(job: Job) -> Markup:
    """The project's own targets for a job, and whether they were kept."""
    items = []
    for figure in job["figures"]:
        words = f"{'at most' if figure['at_most'] else 'at least'} {figure['bound']:g}"
        words += "" if figure["aim"] is None else f", aim {figure['aim']:g}"
        value = figure["value"]
        verdict = "not measured" if value is None else "kept" if is_reached(figure) else "missed"
        shown = "" if value is None else f"{three_digits(value)} "
        mark = element("strong", verdict, class_=verdict.replace(" ", "-"))
        items.append(element("li", f"{figure['name']}: {shown}({words}) ", mark))
    return element("ul", *items, class_="targets") if items else Markup("")


def machine_of(session: Session) -> Markup:
    """Where, when and with what a session was measured."""
    machine = session["machine"]
    others = max((job["others"] or 0 for job in session["jobs"]), default=0)
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    threads = counted(session["threads"], "threads")
    return _definitions(
        [
            ("Measured", session["date"]),
            ("Processor", f"{machine['cpu']}, {counted(machine['cpus'], 'CPUs')}, {threads} used at most"),
            ("Caches", machine["caches"] or "not known"),
            ("Memory", f"{machine['memory_gb']:g} GB"),
            ("System", machine["system"]),
            ("Versions", f"Python {machine['python']}, {versions}"),
            ("Data", f"{session['scale']:g} of the full size"),
            ("Time", f"{session['seconds']:g} s for each contestant of each job, in turns"),
            ("Other processes", f"took up to {others:.0%} of the CPUs meanwhile"),
        ]
    )


def reservations_of(session: Session) -> Markup:
    """Why the figures of a session say less than they could, if so."""
    words = []
    if session["scale"] < 1:
        words.append(f"measured on {session['scale']:g} of the data, which may fit caches that all of it would not")
    others = max((job["others"] or 0 for job in session["jobs"]), default=0)
    if others > DISTURBED:
        words.append(f"other processes took up to {others:.0%} of the CPUs meanwhile")
    return element("p", f"Take care: {'; '.join(words)}.", class_="missed") if words else Markup("")


def _definitions(pairs: Iterable[tuple[str, str]]) -> Markup:
    return element("dl", *[join([element("dt", name), element("dd", text)]) for name, text in pairs])


def fastest_line(job: Job) -> str:
    """In one line: fastkl's time, and what it is a multiple of."""
    own = next((line for line in job["lines"] if line["name"] == "fastkl" and line["median"] is not None), None)
    if own is None:
        return ""
    words, base = [time_of(job, own["median"]) + f" per {job['unit']}"], base_of(job)
    if base and is_floor(base["name"]):
        words.append(f"{three_digits(multiple_of(job, own) or 1)} times the {base['name']}'s time")
    if own["scipy_ratio"] is not None and not is_floor(job["reference"]):
        words.append(f"{three_digits(own['scipy_ratio'])} times as fast as {job['reference']}")
    return f"fastkl: {', '.join(words)}."
