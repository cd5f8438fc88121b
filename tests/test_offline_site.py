"""The site of `asv publish` made offline: of a tiny project with two commits, in a real browser."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from browser import FOUND, Browser, chromium

ROOT = Path(__file__).parents[1]
# Names with blanks, commas, dots, quotes and letters beyond ASCII become addresses and names of files.
_SUITE = """\
class Sizes:
    params = ([10, 100_000], ["bare product", "Rényi, ½", ".h5: 'a/b'"])
    param_names = ["n", "library"]

    def time_sum(self, n, library):
        sum(range(n))

    def peakmem_sum(self, n, library):
        sum(range(n))
"""
_ASV = {
    "version": 1, "project": "tiny", "repo": ".", "branches": ["main"], "environment_type": "existing",
    "benchmark_dir": "benchmarks", "results_dir": ".asv/results", "html_dir": ".asv/html",
}  # fmt: skip


def run(*command: str, folder: Path) -> str:
    """A command in a folder, in a home of its own, that must succeed; what it printed."""
    given = {"HOME": str(folder.parent), "GIT_CONFIG_GLOBAL": os.devnull}
    names = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    done = subprocess.run(command, cwd=folder, env=os.environ | given | names, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site as asv made it."""
    if find_spec("asv") is None:
        pytest.skip("asv is not installed")
    project = tmp_path_factory.mktemp("asv") / "tiny"
    (project / "benchmarks").mkdir(parents=True)
    (project / "benchmarks" / "__init__.py").touch()
    (project / "benchmarks" / "tiny.py").write_text(_SUITE)
    (project / "asv.conf.json").write_text(json.dumps(_ASV))
    asv = (sys.executable, "-m", "asv")
    run("git", "init", "--quiet", "--initial-branch=main", folder=project)
    run("git", "add", "asv.conf.json", "benchmarks", folder=project)
    run(*asv, "machine", "--yes", folder=project)
    for message in ("one", "two"):
        run("git", "commit", "--quiet", "--allow-empty", "--message", message, folder=project)
        commit = run("git", "rev-parse", "HEAD", folder=project)
        run(*asv, "run", "--quick", f"--environment=existing:{sys.executable}", f"--set-commit-hash={commit}",
            folder=project)  # fmt: skip
    run(*asv, "publish", folder=project)
    return project / ".asv" / "html"


@pytest.fixture(scope="module")
def site(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of it, made offline."""
    if shutil.which("npm") is None or subprocess.run(["npm", "ping"], capture_output=True).returncode != 0:
        pytest.skip("there is no npm, or no registry that it reaches")
    site = tmp_path_factory.mktemp("offline") / "html"
    shutil.copytree(published, site)
    assert run(sys.executable, "-m", "benchmarks.offline_site", str(site), folder=ROOT) == str(site / "index.html")
    return site


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if FOUND is None:
        pytest.skip("there is no Chromium on this machine")
    with chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


def test_the_page_loads_files_of_its_folder_and_they_come_with_licences(published: Path, site: Path) -> None:
    assert (published / "index.html").read_text().count('src="http') >= 9
    text = (site / "index.html").read_text()
    assert "integrity=" not in text
    assert 'src="http' not in text
    packages = json.loads((ROOT / "benchmarks" / "offline_site.json").read_text())
    for package in packages:
        folder = site / "vendor" / package["package"]
        scripts = [path for path in folder.rglob("*.js") if path.relative_to(site).as_posix() in text]
        assert scripts
        assert list(folder.glob("LICENSE*")) or all("MIT license" in path.read_text()[:200] for path in scripts)


# Of copies: a canvas that is read again and again makes the browser complain.
_COLOURED = """[...document.querySelectorAll("canvas.flot-base")].filter((canvas) => canvas.checkVisibility()).map(
  (canvas) => {
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
    copy.drawImage(canvas, 0, 0);
    const pixels = copy.getImageData(0, 0, canvas.width, canvas.height).data;
    let coloured = 0;
    for (let i = 0; i < pixels.length; i += 4) {
      if (pixels[i + 3] > 200 && Math.abs(pixels[i] - pixels[i + 2]) > 60) coloured += 1;
    }
    return coloured;
  })"""
_LEGEND = "[...document.querySelectorAll('#main-graph .legendLabel')].map((label) => label.innerText)"
_ONCE = """new Promise((done) => {
  const look = () => (%s ? done(true) : setTimeout(look, 20));
  look();
})"""


# Each view is opened afresh: asv draws a graph twice where the table before it is still writing its order into the
# address, which happens on a busy machine.
def test_every_view_works_from_the_file_system(site: Path, browser: Browser) -> None:
    browser.open(site / "index.html")
    assert browser.ask(_ONCE % f"{_COLOURED}.filter((count) => count > 50).length === 2"), "the grid has curves"
    browser.open(site / "index.html", part="#/summarylist")
    assert browser.ask(_ONCE % "document.querySelectorAll('#summarylist-body tbody tr').length === 12")
    names = browser.ask("document.getElementById('summarylist-body').innerText")
    assert all(f"tiny.Sizes.{kind}_sum ({n}, " in names for kind in ("time", "peakmem") for n in (10, 100000))
    assert all(library in names for library in ("'bare product'", "'Rényi, ½'", "\".h5: 'a/b'\""))
    browser.open(site / "index.html", part="#/regressions")
    assert browser.ask(_ONCE % "document.getElementById('regressions-body').innerText.includes('Best after')")
    for kind in ("peakmem", "time"):
        browser.open(site / "index.html", part=f"#tiny.Sizes.{kind}_sum")
        is_shown = f"document.querySelector('.navbar').innerText.includes('{kind}_sum')"
        assert browser.ask(_ONCE % f"{is_shown} && {_LEGEND}.length === 6 && {_COLOURED}.some((count) => count > 200)")
    browser.watch()
    assert browser.errors == []
    assert [url for url in browser.requests if not url.startswith((site.as_uri(), "data:"))] == []


def test_curves_come_and_go_with_the_parameters(site: Path, browser: Browser) -> None:
    browser.open(site / "index.html", part="#tiny.Sizes.time_sum")
    assert browser.ask(_ONCE % f"{_LEGEND}.length === 6 && {_COLOURED}[0] > 200"), "all curves"
    for button, left in (("bare product", 4), ("100000", 2)):
        browser.ask(f"$('#graphdisplay-navigation a.btn').filter((_, a) => a.innerText === '{button}').click()")
        assert browser.ask(_ONCE % f"{_LEGEND}.length === {left}")
    assert browser.ask(_LEGEND) == ["library-Rényi, ½; n-10", "library-\".h5: 'a/b'\"; n-10"]
    assert browser.ask(_ONCE % f"{_COLOURED}[0] > 200"), "the two that are left, at their own scale"
    browser.watch()
    assert browser.errors == []


def offline_site(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks import offline_site

    return offline_site


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "has no index.html: run `asv publish` first"),
        ('<script src="https://example.org/new.js"></script>', "loads https://example.org/new.js, which"),
        ('<script src="offline_data.js"></script>', "is made offline already"),
    ],
)
def test_another_site_is_left_as_it_is(
    text: str | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if text is not None:
        (tmp_path / "index.html").write_text(text)
    before = {path: path.read_text() for path in tmp_path.iterdir()}
    with pytest.raises(SystemExit, match=said):
        offline_site(monkeypatch).make_offline(tmp_path, [])
    assert {path: path.read_text() for path in tmp_path.iterdir()} == before


def test_a_script_that_is_not_the_recorded_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = offline_site(monkeypatch)
    monkeypatch.setattr(module, "fetch", lambda package, version, names: dict.fromkeys(names, b"other"))
    (tmp_path / "index.html").write_text('<script src="https://example.org/a.js"></script>')
    packages = [
        {"package": "a", "version": "1", "files": {"a.js": {"replaces": "https://example.org/a.js", "sha256": "0"}}}
    ]
    with pytest.raises(SystemExit, match=r"a\.js of a 1 is not what offline_site\.json recorded"):
        module.make_offline(tmp_path, packages)
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
