"""README.md has the table that `fastkl bench --readme` writes of the jobs as they are, but for its figures."""

import re
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from fastkl._threads import available_cpus
from fastkl.bench import jobs, report
from fastkl.bench.job import Job
from fastkl.bench.measure import Result, Row
from fastkl.bench.peers import KL, Unsuitable

# Libraries that fastkl is compared with warn of each other.
pytestmark = pytest.mark.filterwarnings("default")

README = (Path(__file__).parents[1] / "README.md").read_text()
FIRST, LAST = "<!-- bench:begin -->", "<!-- bench:end -->"
FIGURE = re.compile(r"(\*\*)?\d+(\.\d+)?(e[-+]\d+)?(\*\*)?")
# Of the caption, what tells of one session: where, when, on what part, how disturbed, and with which versions.
SESSION = re.compile(
    r"Medians on \d+ threads of .+?; \d{4}-\d\d-\d\d(, [\d.]+ of the full size)?"
    r"(, while other processes took up to \d+% of the CPUs)?\. Python [\d.]+, fastkl [^,]+(, \w[\w-]* [\w.+]+)+\. "
)
ABSENT = frozenset(peer.name for peer in KL if peer.package and find_spec(peer.package) is None)


def form(table: str) -> list[list[str]]:
    """The cells of each line, a figure as #, what a library that is absent here would have as ?; and the caption."""
    *lines, _, caption = table.strip().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    names, rule, *rows = cells
    body = [[_masked(*cell) for cell in zip(names, row, strict=True)] for row in rows]
    assert SESSION.match(caption), caption
    return [names, rule, *body, [SESSION.sub("", caption)]]


def _masked(name: str, cell: str) -> str:
    return "?" if name in ABSENT else FIGURE.sub(r"\1#\4", cell) if FIGURE.fullmatch(cell) else cell


def generated(table_of_jobs: tuple[Job, ...]) -> str:
    """The table that would be written now, with figures made up."""
    session: dict[str, Any] = {
        "machine": {"cpu": "a CPU", "caches": "", "python": "3.11", "versions": {"fastkl": "0.1", "numpy": "2"}},
        "date": "2026-01-01T00:00:00+00:00",
        "threads": 2,
        "scale": 1,
        "jobs": [asdict(_made_up(job)) for job in table_of_jobs if job.measured == "time"],
    }
    return report.markdown_of(session)


def _made_up(job: Job) -> Result:
    about = job.name, job.about, job.rows, job.bins, job.dtype, job.normalize, job.axis, job.unit
    result = Result(*about, 2, job.reference)
    case = job.scaled(1e-4).case(available_cpus())
    for peer in job.peers:
        row = Row(peer.name, error=None if peer.rtol is None else 1e-15)
        try:
            peer.bind(peer.change(case))
            row.median, row.floor_ratio, row.scipy_ratio = 0.5, 0.5, 30.0
        except Unsuitable:
            row.error = None
        except ImportError:
            pass
        result.lines.append(row)
    return result


@pytest.fixture(scope="module")
def now() -> list[list[str]]:
    return form(generated(jobs.ROWS))


def in_readme(text: str) -> str:
    before, first, rest = text.partition(FIRST)
    table, last, after = rest.partition(LAST)
    assert first
    assert last
    assert FIRST not in rest
    assert LAST not in before + after
    return table


def test_table_in_the_readme_has_the_form_of_the_jobs_as_they_are(now: list[list[str]]) -> None:
    found = form(in_readme(README))
    told = "README.md is stale: run `fastkl bench --json FILE`, then `fastkl bench --readme FILE`"
    assert found[0] == now[0], f"{told}; contestants"
    assert [line[0] for line in found] == [line[0] for line in now], f"{told}; jobs"
    for ours, theirs in zip(found, now, strict=True):
        assert ours == theirs, f"{told}; {theirs[0]}"


def test_figures_are_no_form() -> None:
    table = generated(jobs.ROWS[:2])
    other = table.replace("**0.50**", "**12.25**").replace("| 30 |", "| 4 |").replace("1e-15", "3e-07")
    other = other.replace("a CPU", "AMD EPYC (znver5)").replace("2026-01-01", "2027-02-03, 0.25 of the full size")
    assert other != table
    assert form(other) == form(table)


@pytest.mark.parametrize(
    "stale",
    [
        (jobs.ROWS[0],),
        (replace(jobs.ROWS[0], about="another"), jobs.ROWS[1]),
        (replace(jobs.ROWS[0], rows=1), jobs.ROWS[1]),
        (jobs.ROWS[1], jobs.ROWS[0]),
        tuple(replace(job, peers=job.peers[:-3]) for job in jobs.ROWS[:2]),
        (replace(jobs.ROWS[0], peers=tuple(p for p in jobs.ROWS[0].peers if p.package != "numpy")), jobs.ROWS[1]),
    ],
    ids=["a job more", "described anew", "another size", "another order", "contestants more", "a cell more"],
)
def test_what_is_stale_is_seen(stale: tuple[Job, ...]) -> None:
    assert form(generated(stale)) != form(generated(jobs.ROWS[:2]))


def test_captions_and_cells_of_another_form_are_seen() -> None:
    table = generated(jobs.ROWS[:1])
    assert form(table.replace("The read floor is", "The floor is")) != form(table)
    assert form(table.replace("**0.50**", "**fast**")) != form(table)
    assert form(table.replace("| 30 |", "|  |")) != form(table)
    with pytest.raises(AssertionError):
        form(table.replace("Medians on 2 threads of", "Medians of"))
