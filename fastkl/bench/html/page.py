"""The page: a section for what it shows at a glance, each suite's jobs, how they scale, all figures, the machines."""

import json
from collections.abc import Iterable
from importlib.resources import files
from string import Template
from typing import Any

import fastkl
from fastkl.bench.html.charts import Chart, error_chart, overview_chart, scaling_chart, speed_chart
from fastkl.bench.html.markup import Markup, element, join
from fastkl.bench.html.tables import (
    fastest_line,
    machine_of,
    notes_of,
    reservations_of,
    table_of_all,
    table_of_curve,
    table_of_job,
    targets_of,
)
from fastkl.bench.html.words import Job, Line, Session, measured, size_of, suite_of
from fastkl.bench.report import is_reached
from fastkl.bench.scaling import counted

STATIC = files("fastkl.bench.html") / "static"

_SCALES = ("bins", "rows", "histograms", "columns", "threads", "workers")


class Page:
    """Sections, and beside them the charts that they have places for."""

    def __init__(self, sessions: list[Session]) -> None:
        self.sessions = sessions
        self.charts: dict[str, Chart] = {}

    def text(self) -> str:
        """The whole page."""
        parts = {
            "summary": element("p", self._summary()),
            "overviews": join([self._overview(session) for session in self.sessions]),
            "suites": join([self._suite(i, session) for i, session in enumerate(self.sessions)]),
            "scaling": self._scaling() or element("p", "None of these figures were taken at several sizes."),
            "table": table_of_all(self.sessions),
            "machines": join([self._machine(session) for session in self.sessions]),
            "version": Markup(fastkl.__version__),
        }
        template = Template((STATIC / "page.html").read_text(encoding="utf-8"))
        return template.substitute(parts, charts=script_safe(self.charts))

    def _summary(self) -> str:
        jobs = [job for session in self.sessions for job in session["jobs"]]
        names = _contestants(line for job in jobs for line in measured(job))
        absent = [name for name in _contestants(line for job in jobs for line in job["lines"]) if name not in names]
        figures = [figure for job in jobs for figure in job["figures"] if figure["value"] is not None]
        words = [counted(len(jobs), "jobs") + (f"; contestants: {', '.join(names)}." if names else ".")]
        if absent:
            words.append(f"Not measured, for the reasons in their notes: {', '.join(absent)}.")
        if figures:
            kept, targets = sum(map(is_reached, figures)), counted(len(figures), "targets of the project")
            words.append(f"{kept} of {targets} {'was' if len(figures) == 1 else 'were'} kept.")
        return " ".join(words)

    def _overview(self, session: Session) -> Markup:
        chart = overview_chart(session)
        if chart is None:
            return Markup("")
        title = element("h3", f"Suite {suite_of(session)}, {session['date'][:10]}")
        return join([title, self._figure(chart)])

    def _suite(self, number: int, session: Session) -> Markup:
        title = f"Suite {suite_of(session)}"
        where = f"{session['date'][:10]}, {session['machine']['cpu']}, {counted(session['threads'], 'threads')}"
        labels = {_label_of(number, i): job for i, job in enumerate(session["jobs"])}
        links = [element("a", job["name"], href=f"#{label}") for label, job in labels.items()]
        head = [
            element("h2", title, id=f"suite-{number}"),
            element("p", where),
            reservations_of(session),
            element("nav", *links, aria_label=f"Jobs of suite {suite_of(session)}"),
        ]
        jobs = [self._job(label, job) for label, job in labels.items() if not job["curve"]]
        return element("section", *head, *jobs, aria_labelledby=f"suite-{number}")

    def _job(self, label: str, job: Job) -> Markup:
        charts = [self._figure(chart) for chart in (speed_chart(job), error_chart(job)) if chart]
        parts = [
            element("h3", job["name"], id=label),
            element("p", job["about"], ". ", element("span", size_of(job), class_="size")),
            element("p", fastest_line(job), class_="fastest"),
            element("div", *charts, class_="charts"),
            targets_of(job),
        ]
        if job["lines"]:
            table = _scrolled(table_of_job(job, job["name"]), f"Figures of {job['name']}")
            parts.append(element("details", element("summary", f"All figures of {job['name']}"), table))
        return element("article", *parts, aria_labelledby=label)

    def _scaling(self) -> Markup:
        curves, others = [], []
        for number, session in enumerate(self.sessions):
            for i, job in enumerate(session["jobs"]):
                if job["curve"]:
                    curves.append(self._curve(_label_of(number, i), job))
                else:
                    others += self._scales(job)
        return join([*curves, element("div", *others, class_="charts")]) if curves or others else Markup("")

    def _curve(self, label: str, job: Job) -> Markup:
        """A job that is all points of curves: its chart, what its knees are, its table."""
        chart = scaling_chart(job, job["curve"]["variable"])
        beside = [notes_of(job), targets_of(job)]
        parts = [
            element("h3", job["name"], id=label),
            element("p", job["about"], ". ", element("span", size_of(job), class_="size")),
            element("div", *([self._figure(chart)] if chart else []), element("div", *beside), class_="charts"),
        ]
        table = _scrolled(table_of_curve(job), f"Points of {job['name']}")
        parts.append(element("details", element("summary", f"All points of {job['name']}"), table))
        return element("article", *parts, aria_labelledby=label)

    def _scales(self, job: Job) -> list[Markup]:
        """Charts of contestants of a job that were measured at several numbers of something."""
        parts = []
        for chart in filter(None, (scaling_chart(job, what) for what in _SCALES)):
            title = f"{job['name']}: {job['about']}, by {chart['x']}"
            parts.append(element("div", element("h3", title), self._figure(chart)))
        return parts

    def _figure(self, chart: Chart) -> Markup:
        """A title, a place for the chart, and the sentence that says the same."""
        label = f"chart-{len(self.charts)}"
        self.charts[label] = chart
        canvas = element("canvas", id=label, role="img", aria_label=f"{chart['title']}. {chart['text']}")
        title = element("p", chart["title"], class_="title")
        frame = element("div", canvas, class_="frame")
        return element("figure", title, frame, element("figcaption", chart["text"]), class_=chart["kind"])

    def _machine(self, session: Session) -> Markup:
        return join([element("h3", f"Suite {suite_of(session)}"), machine_of(session)])


def _contestants(lines: Iterable[Line]) -> list[str]:
    return list(dict.fromkeys(line["name"].partition(", ")[0] for line in lines))


def _label_of(number: int, job: int) -> str:
    return f"job-{number}-{job}"


def _scrolled(table: Markup, label: str) -> Markup:
    return element("div", table, class_="scroll", role="region", aria_label=label, tabindex=0)


def script_safe(value: Any) -> str:
    """JSON that can stand in a script element: nothing in it ends the element or begins a comment.

    >>> script_safe("</script><!-- &")
    '"\\\\u003c/script\\\\u003e\\\\u003c!-- \\\\u0026"'
    """
    text = json.dumps(value, allow_nan=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text
