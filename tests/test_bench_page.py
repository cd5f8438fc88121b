"""The page of `fastkl bench --html`: it holds what the JSON holds, and nothing in the JSON becomes markup."""

import hashlib
import io
import json
import math
import re
from contextlib import redirect_stdout
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from bench_sessions import curve, job, row, sample, session
from html_tree import Element, read

from fastkl.bench import rounds
from fastkl.bench.html import write_page
from fastkl.bench.html.page import STATIC, script_safe
from fastkl.bench.measure import Figure
from fastkl.cli import main

# Libraries that fastkl is compared with warn of each other, and jax's threads of forks.
pytestmark = pytest.mark.filterwarnings("default")

HOSTILE = "</script><script>alert(1)</script> \" ' & <!-- $charts ]]> <b onclick=x>"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A page and the JSON of what was really measured, on as little data and time as there can be."""
    folder = tmp_path_factory.mktemp("measured")
    measure("[fu]*[46s]", "5e-4", folder)
    return folder / "page", json.loads((folder / "figures.json").read_text())


def measure(jobs: str, scale: str, folder: Path) -> None:
    """Measure in no time, and make a page."""
    words = ["bench", "--jobs", jobs, "--scale", scale, "--seconds", "1e-4", "--json", str(folder / "figures.json")]
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()):
        patch.setattr(rounds, "_prepare", lambda threads: None)  # which waits for quiet
        assert main([*words, "--html", str(folder / "page")]) == 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The page of the sample."""
    write_page([sample()], tmp_path / "page", force=False)
    return tmp_path / "page"


def tree(folder: Path) -> Element:
    return read((folder / "index.html").read_text(encoding="utf-8"))


def charts(document: Element) -> list[dict[str, Any]]:
    (script,) = document.all("script", id="charts")
    return list(json.loads(script.text).values())


def lines_of_all(document: Element) -> list[list[Element]]:
    (table,) = document.all("table", id="all")
    (body,) = table.all("tbody")
    return [[cell for cell in line.children if isinstance(cell, Element)] for line in body.all("tr")]


def test_every_figure_of_the_json_is_in_the_table_of_all(measured: tuple[Path, dict[str, Any]]) -> None:
    page, stored = measured
    expected = [(job, line) for job in stored["jobs"] for line in job["lines"]]
    found = lines_of_all(tree(page))
    assert len(found) == len(expected) > 20
    for cells, (of_job, line) in zip(found, expected, strict=True):
        suite, name, contestant, median, best, unit, of_floor, _, error, rounds_, note = cells
        assert [suite.text, name.text, contestant.text] == ["rows", of_job["name"], line["name"]]
        assert note.text == line["note"]
        assert rounds_.text == str(line["rounds"])
        assert unit.text == ("" if line["median"] is None else "ns per bin")
        for cell, key in ((median, "median"), (best, "best"), (of_floor, "floor_ratio"), (error, "error")):
            if line[key] is None:
                assert cell.text == cell.attributes["data-value"] == ""
            else:
                assert float(str(cell.attributes["data-value"])) == line[key]
                digits = 0.5 if key == "error" else 0.05
                assert float(cell.text.replace(",", "")) == pytest.approx(line[key], rel=digits)


def test_every_job_has_a_section_with_its_contestants_targets_and_charts(measured: tuple[Path, dict[str, Any]]) -> None:
    page, stored = measured
    sections = list(tree(page).all("article"))
    for section, of_job in zip(sections, stored["jobs"], strict=True):
        assert next(section.all("h3")).text == of_job["name"]
        assert of_job["about"] in section.text
        (table,) = section.all("table")
        assert [head.text for head in table.all("th", scope="row")] == [line["name"] for line in of_job["lines"]]
        assert [item.text.partition(":")[0] for item in section.all("li")] == [f["name"] for f in of_job["figures"]]
        assert len(list(section.all("canvas"))) == 2


def test_bars_are_multiples_of_the_floor(measured: tuple[Path, dict[str, Any]]) -> None:
    page, stored = measured
    speeds = [chart for chart in charts(tree(page)) if chart["kind"] == "speed"]
    for chart, of_job in zip(speeds, stored["jobs"], strict=True):
        lines = [line for line in of_job["lines"] if line["median"] is not None]
        assert [bar["name"] for bar in chart["bars"]] == [line["name"] for line in lines]
        assert [bar["value"] for bar in chart["bars"]] == [1 / line["floor_ratio"] for line in lines]


def test_bar_column_and_sentence_say_the_same(tmp_path: Path) -> None:
    """Of a contestant that was 1.2 times as slow as the floor by rounds, and by the medians of all rounds faster."""
    floor, own, product, other = row("read floor", 0.25), row("fastkl", 0.24), row("bare product", 2), row("fastkl", 5)
    own.floor_ratio, other.scipy_ratio, other.floor_ratio = 1 / 1.2, 1 / 3, None
    of_pairs = job("pairs", [product, other])
    of_pairs.reference = "bare product"
    write_page([session(job("float64", [floor, own]), of_pairs)], tmp_path / "page", force=False)
    document = tree(tmp_path / "page")
    assert "fastkl: 0.240 ns per bin, 1.20 times the read floor's time" in document.text
    assert "fastkl: 5.00 ns per bin, 3.00 times the bare product's time." in document.text
    shown = charts(document)
    speeds = [[bar["value"] for bar in chart["bars"]] for chart in shown if chart["kind"] == "speed"]
    assert speeds == [[1, pytest.approx(1.2)], [1, pytest.approx(3)]]
    (overview,) = (chart for chart in shown if chart["kind"] == "overview")
    assert overview["series"][1]["values"] == [pytest.approx(1.2), pytest.approx(3)]
    assert lines_of_all(document)[1][6].text == "0.833"


def test_summary_counts_in_words_and_names_those_that_took_part(tmp_path: Path) -> None:
    figure = Figure("read floor / fastkl", 0.8, 0.75, None, False)
    alone = job("float64", [row("fastkl", 1.0), row("jax", None, None, "not installed")], [figure])
    alone.threads = 1
    one = session(alone) | {"threads": 1}
    two = session(alone, job("x", [row("jax", 2.0), row("torch", None)], [figure, replace(figure, value=0.5)]))
    write_page([one], tmp_path / "one", force=False)
    write_page([two], tmp_path / "two", force=False)
    first, second = tree(tmp_path / "one").text, tree(tmp_path / "two").text
    assert "1 job; contestants: fastkl. Not measured, for the reasons in their notes: jax." in first
    assert "1 of 1 target of the project was kept." in first
    assert "A processor (znver5), 1 thread" in first
    assert "2 CPUs, 1 thread used at most" in first
    assert "1 threads" not in first
    assert "2 jobs; contestants: fastkl, jax. Not measured, for the reasons in their notes: torch." in second
    assert "2 of 3 targets of the project were kept." in second


def test_a_curve_has_a_chart_what_it_shows_and_a_table(tmp_path: Path) -> None:
    points = curve()
    write_page([session(job("float64", [row("fastkl", 1.0)]), points)], tmp_path / "page", force=False)
    document = tree(tmp_path / "page")
    (chart,) = charts(document)
    assert (chart["kind"], chart["x"], chart["rate"]) == ("scaling", "threads", {"unit": "GB/s", "per_item": 16})
    assert chart["series"][0] == {"name": "read floor", "points": [[1, 0.8], [2, 0.4]], "role": "floor"}
    first, second = document.all("article")
    assert [next(article.all("h3")).text for article in (first, second)] == ["float64", "threads-float64"]
    assert [item.text for item in second.all("li")] == ["Memory gives much.", "fastkl <waits> for it."]
    (table,) = second.all("table")
    assert [head.text for head in table.all("th", scope="col")] == [
        "threads", "read floor, ns per bin", "read floor, GB/s", "fastkl, ns per bin", "fastkl, GB/s",
    ]  # fmt: skip
    cells = [[cell.text for cell in line.children if isinstance(cell, Element)] for line in table.all("tr")][1:]
    assert cells == [["1", "0.800", "20.0", "1.60", "10.0"], ["2", "0.400", "40.0", "0.696", "23.0"]]
    (links,) = (nav for nav in document.all("nav") if nav.attributes["aria-label"] != "On this page")
    assert [(link.text, link.attributes["href"]) for link in links.all("a")] == [
        (name, f"#{next(article.all('h3')).attributes['id']}")
        for name, article in (("float64", first), ("threads-float64", second))
    ]
    assert len(lines_of_all(document)) == 5


def test_a_point_that_is_absent_leaves_its_cells_empty(tmp_path: Path) -> None:
    points = curve()
    points.lines[1:2] = [row("fastkl", None, None, "not installed: x")]
    write_page([session(points)], tmp_path / "page", force=False)
    document = tree(tmp_path / "page")
    (table,) = next(document.all("article")).all("table")
    cells = [[cell.text for cell in line.children if isinstance(cell, Element)] for line in table.all("tr")][1:]
    assert cells == [["1", "0.800", "20.0", "", ""], ["2", "0.400", "40.0", "0.696", "23.0"]]
    (chart,) = charts(document)
    assert [series["name"] for series in chart["series"]] == ["read floor"], "one point is no line"


def test_files_from_before_there_were_curves_are_read(tmp_path: Path) -> None:
    stored = sample()
    for old in stored["jobs"]:
        del old["curve"]
        for line in old["lines"]:
            del line["at"]
    (tmp_path / "old.json").write_text(json.dumps(stored))
    assert main(["bench", "--html", str(tmp_path / "page"), "--from", str(tmp_path / "old.json")]) == 0
    write_page([sample()], tmp_path / "new", force=False)
    assert (tmp_path / "page" / "index.html").read_text() == (tmp_path / "new" / "index.html").read_text()


def test_sizes_are_points_of_lines(tmp_path: Path) -> None:
    measure("growth", "0.01", tmp_path)
    (growth,) = json.loads((tmp_path / "figures.json").read_text())["jobs"]
    (chart,) = charts(tree(tmp_path / "page"))
    assert chart["x"] == "bins"
    assert [series["role"] for series in chart["series"]] == ["floor", "fastkl"]
    points = {f"{series['name']}, {size:,} bins": y for series in chart["series"] for size, y in series["points"]}
    assert points == {line["name"]: line["median"] for line in growth["lines"]}
    assert len(points) == 4


def test_sample_says_in_words_what_its_charts_show(folder: Path) -> None:
    document = tree(folder)
    text = document.text
    assert (
        "fastkl: 0.312 ns per bin, 1.25 times the read floor's time, 65.6 times as fast as scipy.stats.entropy." in text
    )
    assert "read floor / fastkl: 0.800 (at least 0.75, aim 0.9) kept" in text
    assert "jax / fastkl: (at least 1.4) not measured" in text
    assert "numkong / fastkl: 1.60 (at least 2) missed" in text
    assert "fastkl: 4.88 µs per call, 27.2 times" not in text  # the ratio is the stored one
    assert "Largest relative error: fastkl 3e-16, scipy.stats.entropy 7e-15, numkong 2e-06, fastkl, 1 thread 0." in text
    assert "fastkl: 0.750 ns per bin at 100,000 bins, 0.375 at 1,000,000,000." in text
    assert "fastkl: 0.625 ns per bin at 1 thread, 0.312 at 2." in text
    assert "2 of 3 targets" in text
    assert "Take care" not in text
    for word in ("A processor (znver5)", "L1 48K", "8.4 GB", "Python 3.11.7", "scipy 1.17.1", "2026-11-25"):
        assert word in text
    errors = next(chart for chart in charts(document) if chart["kind"] == "error")
    shown = {bar["name"]: bar["value"] for bar in errors["bars"]}
    assert shown["read floor"] is None
    assert shown["numkong"] == pytest.approx(-math.log10(2e-6))
    assert shown["fastkl, 1 thread"] == 17


def test_figures_that_say_less_say_so(tmp_path: Path) -> None:
    stored = sample() | {"scale": 0.25}
    stored["jobs"][1]["others"] = 0.3
    write_page([stored], tmp_path / "page", force=False)
    text = tree(tmp_path / "page").text
    assert "Take care: measured on 0.25 of the data" in text
    assert "other processes took up to 30% of the CPUs" in text


@pytest.mark.parametrize(
    ("names", "base"),
    [
        (["bare product", "fastkl", "cdist"], "bare product"),
        (["slow", "fastkl", "slower"], "fastkl"),
        (["fastkl, 1 thread", "slow"], "slow"),
    ],
)
def test_base_is_the_floor_or_the_fastest(names: list[str], base: str, tmp_path: Path) -> None:
    times = {"bare product": 1.0, "fastkl": 0.5, "fastkl, 1 thread": 0.4, "cdist": 9.0, "slow": 3.0, "slower": 4.0}
    write_page([session(job("x", [row(name, times[name]) for name in names]))], tmp_path / "page", force=False)
    (chart,) = (chart for chart in charts(tree(tmp_path / "page")) if chart["kind"] == "speed")
    assert chart["base"] == base
    assert [bar["value"] for bar in chart["bars"]] == [times[name] / times[base] for name in names]


def test_page_can_be_read_without_seeing_it(folder: Path) -> None:
    document = tree(folder)
    ids = [element.attributes["id"] for element in document.all() if "id" in element.attributes]
    assert len(set(ids)) == len(ids)
    for element in document.all():
        for key in ("aria-labelledby", "aria-controls", "for"):
            assert element.attributes.get(key, ids[0]) in ids, (element.name, key)
        if (link := element.attributes.get("href") or "").startswith("#"):
            assert link[1:] in ids
    assert next(document.all("html")).attributes["lang"] == "en"
    assert [label.attributes["for"] for label in document.all("label")] == ["filter"]
    canvases = list(document.all("canvas"))
    assert len(canvases) == len(charts(document)) > 5
    for canvas in canvases:
        assert canvas.attributes["role"] == "img"
        assert len(canvas.attributes["aria-label"] or "") > 40
    for table in document.all("table"):
        assert next(table.all("caption")).text
        assert all(head.attributes["scope"] in ("row", "col") for head in table.all("th"))
    for region in document.all(class_="scroll"):
        assert region.attributes["tabindex"] == "0"
        assert region.attributes.get("aria-label") or region.attributes.get("aria-labelledby")
    levels = [int(element.name[1]) for element in document.all() if re.fullmatch("h[1-6]", element.name)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_nothing_on_the_page_comes_from_elsewhere(folder: Path) -> None:
    document = tree(folder)
    for element in document.all():
        for key in ("src", "href", "action", "data", "srcset", "poster"):
            if (link := element.attributes.get(key)) and not link.startswith("#") and link != "data:,":
                assert (folder / link).is_file(), link
        assert not any(key.startswith("on") or key == "style" for key in element.attributes)
    style = (folder / "page.css").read_text()
    script = "".join((folder / name).read_text() for name in ("theme.js", "page.js"))
    assert not re.search(r"url\(|@import|https?:", style)
    assert not re.search(r"fetch\(|XMLHttpRequest|import\(|https?:|innerHTML", script)


def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    hostile = session(job(HOSTILE, [row("fastkl", 1.0, 1e-16, HOSTILE), row(HOSTILE, 2.0, 1e-9), row("read floor", 1)]))
    hostile["jobs"][0] |= {"about": HOSTILE, "dtype": HOSTILE, "reference": HOSTILE}
    hostile["machine"] = hostile["machine"] | {"cpu": HOSTILE, "system": HOSTILE, "versions": {HOSTILE: HOSTILE}}
    hostile["date"] = HOSTILE
    write_page([hostile], tmp_path / "page", force=False)
    document = tree(tmp_path / "page")
    assert [script.attributes.get("src") for script in document.all("script")] == [
        "theme.js", None, "chart.umd.min.js", "page.js",
    ]  # fmt: skip
    assert not list(document.all("b"))
    assert next(document.all("article")).text.count(HOSTILE) >= 5
    assert [cells[2].text for cells in lines_of_all(document)] == ["fastkl", HOSTILE, "read floor"]
    assert charts(document)[0]["series"][1]["name"] == HOSTILE
    assert json.loads((tmp_path / "page" / "figures.json").read_text()) == [hostile]


def test_numbers_that_json_does_not_have_are_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        script_safe({"value": math.nan})


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (["jobs", 0, "lines", 1, "median"], "fast", 'jobs[0].lines[1].median is "fast", expected a number or null'),
        (["jobs", 0, "lines", 1, "median"], 0.0, "jobs[0].lines[1].median is 0.0, expected a time above zero"),
        (
            ["jobs", 0, "lines", 1, "best"],
            None,
            "jobs[0].lines[1] has a best time or a median, expected both or neither",
        ),
        (["jobs", 0, "lines", 1, "error"], -1.0, "jobs[0].lines[1].error is -1.0, expected an error of zero or more"),
        (["jobs", 0, "figures", 0, "at_most"], 1, "jobs[0].figures[0].at_most is 1, expected true or false"),
        (["jobs", 0, "rows"], True, "jobs[0].rows is true, expected a whole number"),
        (["jobs", 0], "x" * 100, f'jobs[0] is "{"x" * 36}..., expected an object'),
        (["jobs"], [], "jobs is an empty list, expected at least one job"),
        (["machine", "versions"], {"numpy": 2}, "machine.versions.numpy is 2, expected a text"),
        (["machine", "cpu"], ..., "machine has no cpu"),
        (["date"], ..., "the session has no date"),
        (["jobs", 4, "curve", "marks", 0, "at"], "2", 'jobs[4].curve.marks[0].at is "2", expected a whole number'),
        (["jobs", 4, "curve", "notes", 1], 7, "jobs[4].curve.notes.1 is 7, expected a text"),
        (["jobs", 4, "curve", "per_item"], 0, "jobs[4].curve.per_item is 0, expected a number above zero"),
        (["jobs", 4, "lines", 0, "at"], 1.5, "jobs[4].lines[0].at is 1.5, expected a whole number or null"),
        (["jobs", 4, "lines", 0, "at"], 0, "jobs[4].lines[0].at is 0, expected a whole number above zero"),
        (["jobs", 4, "curve"], None, "jobs[4].lines[0].at is 1, expected null in a job that has no curve"),
    ],
)
def test_other_json_is_one_sentence_that_says_where(
    path: list[Any], value: Any, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = json.loads(json.dumps(sample()))
    stored["jobs"].append(curve(4).as_dict())
    place: Any = stored
    for key in path[:-1]:
        place = place[key]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    file = tmp_path / "a.json"
    expected = f"fastkl: {file} does not hold what `fastkl bench --json` writes: {said}\n"
    assert refused(tmp_path, json.dumps(stored), capsys) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no JSON: Expecting"),
        ("[1]", "the session is 1, expected an object"),
        ("[]", "it is an empty list, expected at least one session"),
        ('{"date": NaN}', "it has NaN, which is no number"),
    ],
)
def test_what_is_no_session_is_refused(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in refused(tmp_path, text, capsys)


def refused(folder: Path, text: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What is said of a file, of which no page is made."""
    (folder / "a.json").write_text(text)
    assert main(["bench", "--html", str(folder / "page"), "--from", str(folder / "a.json")]) == 1
    assert [path.name for path in folder.iterdir()] == ["a.json"]
    return capsys.readouterr().err


def test_pages_of_several_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = session(job("js", [row("fastkl", 1.0), row("read floor", 0.5)]))
    for name, stored in (("a.json", sample()), ("b.json", other)):
        (tmp_path / name).write_text(json.dumps(stored))
    page = tmp_path / "page"
    files = [str(tmp_path / name) for name in ("a.json", "b.json")]
    assert main(["bench", "--html", str(page), "--from", *files]) == 0
    assert capsys.readouterr().out == f"{page / 'index.html'}\n"
    assert {cells[0].text for cells in lines_of_all(tree(page))} == {"rows", "divergences"}
    stored = (page / "figures.json").read_text()
    assert json.loads(stored) == [sample(), other]
    assert main(["bench", "--html", str(tmp_path / "again"), "--from", str(page / "figures.json")]) == 0
    assert (tmp_path / "again" / "figures.json").read_text() == stored


def test_a_page_replaces_nothing_unasked_and_nothing_else(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "mine.txt").write_text("mine")
    (tmp_path / "a.json").write_text(json.dumps(session(job("js", [row("fastkl", 1.0)]))))
    call = ["bench", "--html", str(folder), "--from", str(tmp_path / "a.json")]
    before = (folder / "index.html").read_bytes()
    assert main(call) == 2
    assert capsys.readouterr().err == f"fastkl: {folder} is not empty; --force replaces the page in it\n"
    assert (folder / "index.html").read_bytes() == before
    assert main([*call, "--force"]) == 0
    assert [cells[1].text for cells in lines_of_all(tree(folder))] == ["js"]
    assert (folder / "mine.txt").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "page"]


@pytest.mark.parametrize(
    ("target", "said"),
    [("absent/page", "is not a folder"), ("file", "is a file; the page is a folder")],
)
def test_a_place_for_no_page_is_refused_before_anything_is_measured(
    target: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine")
    assert main(["bench", "--html", str(tmp_path / target)]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_figures_without_a_place_for_their_page_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--from", "a.json"]) == 2
    assert "--from needs --html DIR" in capsys.readouterr().err


def test_a_failure_leaves_the_page_that_was_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, *_: Any, **__: Any) -> None:
        raise OSError("no space")

    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(OSError, match="no space"):
        write_page([sample()], folder, force=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["page"]


def test_chart_library_is_the_recorded_one_and_comes_with_its_licence(folder: Path) -> None:
    vendored = json.loads((STATIC / "vendored.json").read_text())
    for name, file in vendored["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == file["sha256"]
    assert f"Chart.js v{vendored['version']}" in (folder / "chart.umd.min.js").read_text()[:100]
    licence = next(name for name in vendored["files"] if "LICENSE" in name)
    assert "Permission is hereby granted" in (folder / licence).read_text()
    assert licence in [link.attributes["href"] for link in tree(folder).all("a")]
