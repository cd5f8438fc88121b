"""The page of `fastkl bench --html` in a real browser, from the file system: it draws, filters and sorts."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench_sessions import curve, sample, session
from browser import FOUND, Browser, Keys, chromium

from fastkl.bench.html import write_page

pytestmark = pytest.mark.skipif(FOUND is None, reason="there is no Chromium on this machine")

# All charts, those below the screen too.
_DRAW_ALL = """new Promise(async (done) => {
  for (const canvas of canvases) {
    canvas.scrollIntoView({ behavior: "instant" });
    while (!drawn.has(canvas)) await new Promise((next) => setTimeout(next, 10));
  }
  requestAnimationFrame(() => requestAnimationFrame(done));
})"""
# The colours of a chart, and how many pixels have each: the background has none, being transparent.
_COLOURS = """[...document.querySelectorAll("canvas")].map((canvas) => {
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const counts = {};
  for (let i = 0; i < pixels.length; i += 4) {
    if (pixels[i + 3] === 255) {
      const name = `rgb(${pixels[i]}, ${pixels[i + 1]}, ${pixels[i + 2]})`;
      counts[name] = (counts[name] ?? 0) + 1;
    }
  }
  return [charts[canvas.id].kind, counts];
})"""
_SHOWN = (
    """lines.filter((line) => line.checkVisibility()).map((line) => [...line.cells].map((cell) => cell.textContent))"""
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser") / "page"
    write_page([sample()], folder, force=False)
    return folder / "index.html"


@pytest.fixture(autouse=True)
def no_errors_and_no_request_that_leaves_the_page(browser: Browser, page: Path) -> Iterator[None]:
    """Of every test here."""
    browser.prefer(prefers_color_scheme="light", prefers_reduced_motion="reduce")
    browser.errors.clear()
    browser.requests.clear()
    yield
    browser.watch()
    assert browser.errors == []
    assert {Path(url.removeprefix("file://")).name for url in browser.requests if url.startswith("file://")} >= {
        "index.html",
        "page.css",
        "page.js",
        "theme.js",
        "chart.umd.min.js",
    }
    assert [url for url in browser.requests if not url.startswith((page.parent.as_uri(), "data:"))] == []


def test_errors_and_requests_would_be_seen(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.ask("setTimeout(() => { throw Error('planted'); })")
    browser.ask("new Promise((done) => { new Image().src = 'http://[::1]:9/'; setTimeout(done, 100); })")
    browser.watch()
    assert any("planted" in error for error in browser.errors)
    assert "http://[::1]:9/" in browser.requests
    browser.errors.clear()
    browser.requests.remove("http://[::1]:9/")


def test_every_chart_is_drawn(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.ask(_DRAW_ALL)
    fastkl, floor, other = (browser.ask(f"colour('{name}')") for name in ("fastkl", "floor", "other"))
    found = browser.ask(_COLOURS)
    assert sorted(kind for kind, _ in found) == ["error"] * 2 + ["overview"] + ["scaling"] * 2 + ["speed"] * 2
    for kind, colours in found:
        assert colours.get(fastkl, 0) > 50, (kind, "fastkl's bars, marks or line")
        assert kind == "error" or colours.get(floor, 0) > 50, (kind, "the floor's")
        assert kind not in ("speed", "error") or colours.get(other, 0) > 500, (kind, "the other contestants' bars")
        assert len(colours) > 3, "text"


def test_a_curve_has_its_roofline_its_rates_and_its_marks(browser: Browser, page: Path) -> None:
    browser.open(page)  # which the fixture looks for
    write_page([session(curve(16))], page.parent / "curve", force=False)
    browser.open(page.parent / "curve" / "index.html")
    browser.ask(_DRAW_ALL)
    ((kind, colours),) = browser.ask(_COLOURS)
    assert kind == "scaling"
    for name, least in (("fastkl", 50), ("floor", 50), ("quiet", 25)):  # both lines, and the dots of the mark
        assert colours.get(browser.ask(f"colour('{name}')"), 0) > least, name
    ticks = "drawn.get(canvases[0]).scales.{}.ticks.map((tick) => tick.label).filter(Boolean)"
    assert browser.ask(ticks.format("x")) == ["1", "2", "4", "8", "16"]
    times, rates = (browser.ask(ticks.format(name)) for name in ("y", "rate"))
    assert len(times) >= 3
    for time, rate in zip(times, rates, strict=True):
        assert float(time) * float(rate) == pytest.approx(16, rel=0.01)
    places = "['y', 'rate'].map((name) => drawn.get(canvases[0]).scales[name].getPixelForValue(0.1))"
    left, right = browser.ask(places)
    assert left == right
    browser.ask("document.querySelector('summary').click()")
    assert browser.ask("document.querySelector('article table').checkVisibility()") is True
    assert browser.ask("document.querySelector('article table tbody').rows.length") == 5


def test_longer_bars_are_greater_times(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.ask(_DRAW_ALL)
    widths = browser.ask(
        "drawn.get(canvases.find((canvas) => charts[canvas.id].kind === 'speed')).getDatasetMeta(0).data"
        ".map((bar) => bar.x - bar.base)"
    )
    floor, fastkl, scipy, numkong, floor_1, fastkl_1 = widths
    assert floor < fastkl < numkong < fastkl_1 < scipy
    assert floor_1 == pytest.approx(numkong, abs=0.01)
    assert fastkl / scipy == pytest.approx(0.0506, abs=0.002)  # log(0.3125 / 0.25) / log(20.5 / 0.25)


def test_filter_narrows_the_table(browser: Browser, page: Path) -> None:
    browser.open(page)
    everything = browser.ask(_SHOWN)
    field = browser.driver.find_element("id", "filter")
    field.send_keys("FLOAT64 fastkl")
    assert [line[1:3] for line in browser.ask(_SHOWN)] == [["float64", "fastkl"], ["float64", "fastkl, 1 thread"]]
    assert browser.ask("shown.textContent") == f"2 of {len(everything)} lines"
    field.send_keys(" no such words")
    assert browser.ask(_SHOWN) == []
    field.send_keys(Keys.CONTROL + "a", Keys.DELETE)
    assert browser.ask(_SHOWN) == everything
    field.send_keys("\n")  # which must not load the page anew
    assert browser.ask("shown.textContent") == f"{len(everything)} of {len(everything)} lines"


def test_headings_sort_by_keyboard_and_what_is_unknown_stays_last(browser: Browser, page: Path) -> None:
    browser.open(page)
    heading = browser.driver.find_element("xpath", "//table[@id='all']//button[text()='Median']")
    expected = sorted(line["median"] for job in sample()["jobs"] for line in job["lines"] if line["median"])
    for direction, order in (("ascending", expected), ("descending", expected[::-1])):
        browser.ask("arguments[0].focus()", heading)
        heading.send_keys("\n")
        values = browser.ask("[...table.tBodies[0].rows].map((line) => line.cells[3].dataset.value)")
        assert values[-1] == ""
        assert list(map(float, values[:-1])) == order
        assert browser.ask("[...table.querySelectorAll('[aria-sort]')].map((th) => th.ariaSort)") == [direction]


def test_focus_is_visible(browser: Browser, page: Path) -> None:
    browser.open(page)
    seen = []
    for _ in range(12):
        browser.driver.switch_to.active_element.send_keys(Keys.TAB)
        style = "getComputedStyle(document.activeElement)"
        seen.append(browser.ask("document.activeElement.textContent"))
        assert browser.ask(f"[{style}.outlineStyle, {style}.outlineWidth]") == ["solid", "3px"], seen
    assert seen[:3] == ["Skip to the figures", "Dark", "At a glance"]


def test_dark_and_light_by_the_system_and_by_the_button(browser: Browser, page: Path) -> None:
    colours = "[getComputedStyle(document.documentElement).backgroundColor, colour('ink'), Chart.defaults.color]"
    browser.open(page)
    light = browser.ask(colours)
    shot = _picture(browser)
    browser.driver.find_element("id", "theme").click()
    dark = browser.ask(colours)
    assert browser.ask("button.getAttribute('aria-pressed')") == "true"
    assert _luminance(light[0]) > 0.9 > 0.1 > _luminance(dark[0])
    assert _luminance(light[1]) < 0.1 < 0.7 < _luminance(dark[1])
    assert dark[2] == dark[1] != light[2]  # of the text in the charts
    assert _picture(browser) != shot
    browser.driver.find_element("id", "theme").click()
    assert browser.ask(colours) == light
    browser.prefer(prefers_color_scheme="dark")
    browser.open(page)
    assert browser.ask(colours) == dark
    assert browser.ask("button.getAttribute('aria-pressed')") == "true"


def test_the_theme_that_was_chosen_is_remembered(browser: Browser, page: Path) -> None:
    state = "[isDark(), button.getAttribute('aria-pressed'), localStorage.length]"
    browser.open(page)
    assert browser.ask(state) == [False, "false", 0]
    browser.driver.find_element("id", "theme").click()
    for _ in range(2):
        assert browser.ask(state) == [True, "true", 1]
        browser.open(page)
    browser.driver.find_element("id", "theme").click()  # what the system prefers: nothing to remember
    browser.open(page)
    assert browser.ask(state) == [False, "false", 0]
    browser.ask("localStorage.setItem('fastkl-theme', 'pink')")
    browser.open(page)
    assert browser.ask("[isDark(), document.documentElement.dataset.theme ?? null]") == [False, None]
    browser.ask("localStorage.clear()")


def test_the_theme_changes_where_nothing_may_be_remembered(browser: Browser, page: Path) -> None:
    denied = (
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('', 'SecurityError'); } });"
    )
    command = "Page.addScriptToEvaluateOnNewDocument"
    script = browser.driver.execute_cdp_cmd(command, {"source": denied})
    try:
        browser.open(page)
        assert browser.ask("(() => { try { return localStorage.length; } catch { return 'denied'; } })()") == "denied"
        browser.driver.find_element("id", "theme").click()
        assert browser.ask("isDark()") is True
        browser.driver.find_element("id", "theme").click()
        assert browser.ask("isDark()") is False
        browser.driver.find_element("id", "theme").click()
        browser.open(page)
        assert browser.ask("isDark()") is False
    finally:
        browser.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_and_colours_are_told_apart_in_grey(scheme: str, browser: Browser, page: Path) -> None:
    browser.prefer(prefers_color_scheme=scheme)
    browser.open(page)
    names = ["paper", "panel", "ink", "quiet", "accent", "kept", "missed", "fastkl", "floor", "other"]
    found = {name: _luminance(browser.ask(f"colour('{name}')")) for name in names}
    for background in ("paper", "panel"):
        for text in ("ink", "quiet", "accent", "kept", "missed"):
            assert _contrast(found[text], found[background]) >= 4.5, (text, background)
        for bar in ("fastkl", "floor", "other"):
            assert _contrast(found[bar], found[background]) >= 3, (bar, background)
    assert _contrast(found["fastkl"], found["other"]) >= 1.7


def test_a_phone_shows_it_without_sideways_scrolling_but_of_tables(browser: Browser, page: Path) -> None:
    browser.open(page, width=320, height=640)
    browser.ask(_DRAW_ALL)
    assert browser.ask("document.documentElement.scrollWidth") == 320
    scrolled = "[...document.querySelectorAll('.scroll')].at(-1)"
    assert browser.ask(f"[{scrolled}.scrollWidth > 900, {scrolled}.clientWidth < 320]") == [True, True]
    assert browser.ask("canvases.every((canvas) => canvas.clientWidth > 200 && canvas.clientHeight > 60)")


def test_motion_only_where_it_is_welcome(browser: Browser, page: Path) -> None:
    for preference, behaviour in (("no-preference", "smooth"), ("reduce", "auto")):
        browser.prefer(prefers_reduced_motion=preference)
        browser.open(page)
        assert browser.ask("getComputedStyle(document.documentElement).scrollBehavior") == behaviour
        assert browser.ask("Chart.defaults.animation") is False


def test_paper_is_light_and_has_everything(browser: Browser, page: Path) -> None:
    browser.prefer(prefers_color_scheme="dark")
    browser.open(page)
    pdf = base64.b64decode(browser.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"])
    assert pdf.startswith(b"%PDF")
    browser.ask("dispatchEvent(new Event('beforeprint'))")
    assert browser.ask("[drawn.size === canvases.length, isDark(), document.querySelector('details').open]") == [
        True,
        False,
        True,
    ]
    browser.ask("dispatchEvent(new Event('afterprint'))")
    assert browser.ask("[isDark(), document.querySelector('details').open]") == [True, False]


def _picture(browser: Browser) -> bytes:
    return bytes(browser.driver.get_screenshot_as_png())


def _luminance(rgb: str) -> float:
    """The relative luminance of WCAG."""
    parts = [int(part) / 255 for part in rgb.removeprefix("rgb(").removesuffix(")").split(",")]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(a: float, b: float) -> float:
    return (max(a, b) + 0.05) / (min(a, b) + 0.05)
