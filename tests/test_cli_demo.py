"""The story of `fastkl demo`: its numbers, its pictures, its page, and what it refuses."""

import base64
import io
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from PIL import Image

import fastkl
from fastkl.cli import _story_batch, demo, main
from fastkl.cli._story import Row, Story, cells, make_story, number
from fastkl.cli._story_figures import Figure, draw_figures
from fastkl.cli._story_page import page

FILES = sorted([*demo.PICTURES, demo.PAGE])
QUICK = ["demo", "--rows", "30", "--threads", "1"]


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def story() -> Story:
    return make_story(1)


@pytest.fixture(scope="module")
def figures(story: Story) -> list[Figure]:
    return draw_figures(story)


@pytest.fixture(scope="module")
def fits() -> _story_batch.Timed:
    return _story_batch.time_fits(40, 1)


class Page(HTMLParser):
    """What a page of HTML consists of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, Any]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


# The numbers


def test_the_story_has_the_numbers_of_the_textbook(story: Story) -> None:
    forward, left, right = story.rows
    assert (forward.mu, forward.sigma) == pytest.approx((5, np.sqrt(26)), abs=1e-5)
    assert forward.forward == pytest.approx(0.935902, abs=1e-6)
    assert forward.forward == pytest.approx(0.5 * np.log(26) - np.log(2), abs=1e-5)
    assert (left.mu, left.sigma, left.reverse) == pytest.approx((0, 1, np.log(2)), abs=2e-5)
    assert (right.mu, right.sigma, right.reverse) == pytest.approx((10, 1, np.log(2)), abs=2e-5)


def test_the_other_direction_is_that_of_the_continuous_distributions(story: Story) -> None:
    def log_p(x: Any) -> Any:
        return np.logaddexp(scipy.stats.norm.logpdf(x, 0, 1), scipy.stats.norm.logpdf(x, 10, 1)) - np.log(2)

    x = np.linspace(-40, 50, 200_001)
    for row in story.rows:
        log_q = scipy.stats.norm.logpdf(x, row.mu, row.sigma)
        for found, log_of, log_from in [(row.forward, log_p(x), log_q), (row.reverse, log_q, log_p(x))]:
            assert found == pytest.approx(np.sum(np.exp(log_of) * (log_of - log_from)) * (x[1] - x[0]), rel=1e-6)


def test_the_third_minimum_covers_both_modes_and_is_higher(story: Story) -> None:
    third = story.covering
    assert third.mu == pytest.approx(5, abs=1e-6)
    assert 4 < third.sigma < 5
    assert third.reverse > story.rows[1].reverse + 1


def test_cells_show_digits_and_no_negative_zero() -> None:
    assert cells(Row("fit", -4e-7, 1.0, 0.9359016, 12.5)) == ["fit", "0.0000", "1.0000", "0.935902", "12.500000"]
    assert number(-0.12345, 3) == "-0.123"


def test_many_fits_agree_with_scipy_and_their_histograms_do_not_depend_on_threads(fits: _story_batch.Timed) -> None:
    assert fits.rows == 40
    assert fits.scipy_rows == _story_batch.SCIPY_ROWS
    assert fits.difference < 1e-12
    assert set(fits.seconds) == {"forward", "reverse"}
    one, three = (_story_batch._histograms(3000, threads) for threads in (1, 3))
    np.testing.assert_array_equal(one, three)
    np.testing.assert_array_equal(one[:40], _story_batch._histograms(40, 1))


def test_the_histograms_have_two_modes() -> None:
    p = _story_batch._histograms(200, 1)
    peaks = ((p[:, 1:-1] > p[:, :-2]) & (p[:, 1:-1] >= p[:, 2:])).sum(1)
    assert set(peaks.tolist()) <= {1, 2}
    assert (peaks == 2).mean() > 0.95
    assert p[:, [0, -1]].max() < 1e-3 * p.max()


def test_the_estimate_is_the_part_times_the_rest() -> None:
    timed = _story_batch.Timed(100_000, {"forward": 1.0, "reverse": 3.0}, 12, 0.030, 1e-15)
    assert (
        timed.scipy_text
        == "30 ms per histogram for both, from 12 of them; all would take 50 minutes, 750 times as long"
    )
    few = _story_batch.Timed(1_000, {"forward": 0.1, "reverse": 0.3}, 12, 0.030, 1e-15)
    assert few.scipy_text.endswith("all would take 30 s, 75 times as long")


# The pictures


def test_the_figures_are_pictures_with_something_in_them(figures: list[Figure]) -> None:
    assert [f"{figure.name}.png" for figure in figures] == list(demo.PICTURES)
    for figure in figures:
        picture = Image.open(io.BytesIO(figure.png))
        assert min(picture.size) >= 500
        shares = np.array(picture.convert("L").histogram()) / (picture.width * picture.height)
        assert 0.02 < 1 - shares[255] < 0.9


def test_the_words_for_those_who_cannot_see_have_the_numbers(figures: list[Figure], story: Story) -> None:
    target, forward, reverse, summary = (figure.alt for figure in figures)
    assert "at 0 and at 10" in target
    assert "mu 5.0000, sigma 5.0990, KL(P‖Q) 0.935902 nats" in forward
    assert "mu 0.0000, sigma 1.0000 and mu 10.0000, sigma 1.0000, KL(Q‖P) 0.693146 nats" in reverse
    for row in story.rows:
        assert all(text in summary for text in cells(row))


# The page


def test_the_page_opens_without_network_scripts_or_other_files(
    story: Story, figures: list[Figure], fits: _story_batch.Timed
) -> None:
    text = page(story, figures, fits)
    assert not re.search(
        r"https?:|//[a-z]|url\(|@import|<script|javascript|\son\w+=", re.sub(r'"data:[^"]*"', "", text)
    )
    found = Page(text)
    assert found.open == []
    assert not {tag for tag, _ in found.tags} & {"a", "link", "script", "iframe", "object", "base", "form"}
    pictures = [attributes for tag, attributes in found.tags if tag == "img"]
    for attributes, figure in zip(pictures, figures, strict=True):
        start = "data:image/png;base64,"
        assert attributes["src"].startswith(start)
        assert base64.b64decode(attributes["src"].removeprefix(start), validate=True) == figure.png
        assert attributes["alt"] == figure.alt
    for _, attributes in found.tags:
        assert not {"href", "srcset", "style"} & set(attributes)
    assert ("html", {"lang": "en"}) in found.tags
    assert ("meta", {"charset": "utf-8"}) in found.tags


def test_the_page_has_all_numbers_and_code_that_runs(
    story: Story, figures: list[Figure], fits: _story_batch.Timed
) -> None:
    found = Page(page(story, figures, fits))
    words = "".join(found.texts)
    for row in story.rows:
        assert all(text in found.texts for text in cells(row))
    assert "Fits of 40 histograms" in words
    assert fits.scipy_text in words
    code = next(text for text in found.texts if text.startswith("import numpy"))
    variables: dict[str, Any] = {}
    exec(code, variables)
    assert variables["forward"].divergence == pytest.approx(story.rows[0].forward, rel=1e-12)

    from matplotlib import pyplot

    pyplot.close("all")


# The command


def test_demo_tells_the_story_and_writes_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*QUICK, "--out", "pictures"]) == 0
    out = capsys.readouterr().out
    assert "30 pairs of histograms" in out
    assert re.search(r"forward +5\.0000 +5\.0990 +0\.935902 +3\.\d{6}\n", out)
    assert re.search(r"reverse, left mode +0\.0000 +1\.0000 +24\.\d{6} +0\.693146\n", out)
    assert re.search(r"reverse, right mode +10\.0000 +1\.0000 +24\.\d{6} +0\.693146\n", out)
    assert "Fits of 10 histograms of two modes" in out
    assert len(re.findall(r"[\d.]+ s, [\d,]+ histograms per second", out)) == 2
    assert f"Pictures: {Path('pictures', 'index.html')}" in out
    assert max(map(len, out.splitlines())) <= 120
    assert sorted(os.listdir("pictures")) == FILES
    text = Path("pictures", "index.html").read_text(encoding="utf-8")
    for name in demo.PICTURES:
        png = Path("pictures", name).read_bytes()
        assert png.startswith(b"\x89PNG")
        assert base64.b64encode(png).decode() in text


def test_the_folder_has_a_name_of_its_own_unless_one_is_given() -> None:
    assert main(QUICK) == 0
    assert os.listdir() == ["fastkl-demo"]
    assert sorted(os.listdir("fastkl-demo")) == FILES


@pytest.mark.parametrize("name", FILES)
def test_files_are_replaced_only_by_force(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkdir("pictures")
    Path("pictures", name).write_text("precious")
    Path("pictures", "other").write_text("precious")
    assert main([*QUICK, "--out", "pictures"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"fastkl: {Path('pictures', name)} exists; --force replaces it\n"
    assert Path("pictures", name).read_text() == "precious"
    assert sorted(os.listdir("pictures")) == sorted([name, "other"])


def test_force_replaces_the_files_of_the_story_alone() -> None:
    os.mkdir("pictures")
    for name in (*FILES, "other"):
        Path("pictures", name).write_text("precious")
    assert main([*QUICK, "--out", "pictures", "--force"]) == 0
    assert sorted(os.listdir("pictures")) == sorted([*FILES, "other"])
    assert Path("pictures", "other").read_text() == "precious"
    assert all(Path("pictures", name).read_bytes() != b"precious" for name in FILES)


@pytest.mark.parametrize(
    ("out", "message"), [("file", "file is not a folder"), ("absent/pictures", "absent is not a folder")]
)
def test_a_place_that_is_no_folder_is_refused_before_anything_is_computed(
    out: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").write_text("precious")
    for extra in ([], ["--force"]):
        assert main([*QUICK, "--out", out, *extra]) == 2
        assert capsys.readouterr() == ("", f"fastkl: {message}\n")
    assert os.listdir() == ["file"]


def test_the_story_can_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    Path("fastkl-demo").write_text("in the way, but of nothing")
    assert main([*QUICK, "--no-story"]) == 0
    out = capsys.readouterr().out
    assert "30 pairs of histograms" in out
    assert "Forward" not in out
    assert "Fits" not in out
    assert os.listdir() == ["fastkl-demo"]


def test_without_matplotlib_one_line_says_what_is_left_out() -> None:
    script = f"import sys; sys.modules['matplotlib'] = None; import fastkl.cli as c; sys.exit(c.main({QUICK!r}))"
    environment = {**os.environ, "PYTHONPATH": str(Path(fastkl.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True, timeout=120
    )
    assert done.stderr == ""
    lines = [line.strip() for line in done.stdout.splitlines() if "matplotlib" in line]
    assert lines == ["Pictures are left out, they need matplotlib: pip install 'fastkl[plot]'"]
    assert "0.935902" in done.stdout
    assert "Fits of 10 histograms" in done.stdout
    assert os.listdir() == []
