"""Makes the site that `asv publish` wrote open from the file system, without a network.

::

    asv publish && python -m benchmarks.offline_site           # in the folder of the repository

Its page loads scripts from other hosts and its figures by requests, which a browser refuses for files. The scripts are
fetched from npm, in the versions and with the hashes of offline_site.json, and come with their licences into vendor/;
the figures go into a script of their own, of which offline_site.js answers the page's requests.
"""

import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

from benchmarks.vendor import fetch

HERE = Path(__file__).parent
_LOADED = re.compile(r'<(?:script|link)\b[^>]*?\b(?:src|href)="(https?://[^"]+)"[^>]*>')


def make_offline(site: Path, packages: list[dict[str, Any]]) -> None:
    """Bring everything that the page loads into its folder."""
    page = site / "index.html"
    if not page.is_file():
        raise SystemExit(f"{site} has no index.html: run `asv publish` first")
    text = page.read_text(encoding="utf-8")
    if "offline_data.js" in text:
        raise SystemExit(f"{site} is made offline already: run `asv publish` again for newer figures")
    known = {file.get("replaces") for package in packages for file in package["files"].values()}
    if unknown := [url for url in _LOADED.findall(text) if url not in known]:
        raise SystemExit(f"{page} loads {unknown[0]}, which offline_site.json does not have")
    local = _vendor(site, packages)
    tags = list(_LOADED.finditer(text))
    for tag in reversed(tags):
        path = local[tag[1]]
        own = f'<script src="{path}">' if tag[0].startswith("<script") else f'<link rel="stylesheet" href="{path}">'
        if tag is tags[-1]:
            own += '\n    <script src="offline_data.js"></script>\n    <script src="offline_site.js"></script>'
        text = text[: tag.start()] + own + text[tag.end() :]
    (site / "offline_data.js").write_text(f"window.asvFiles = {_figures(site)};\n", encoding="utf-8")
    (site / "offline_site.js").write_bytes((HERE / "offline_site.js").read_bytes())
    page.write_text(text, encoding="utf-8")


def _vendor(site: Path, packages: list[dict[str, Any]]) -> dict[str, str]:
    """Write the packages' files under vendor/; where each address that they stand for is now."""
    local = {}
    for package in packages:
        name, version, files = package["package"], package["version"], package["files"]
        for path, content in fetch(name, version, list(files)).items():
            if hashlib.sha256(content).hexdigest() != files[path]["sha256"]:
                raise SystemExit(f"{path} of {name} {version} is not what offline_site.json recorded")
            target = site / "vendor" / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            if url := files[path].get("replaces"):
                local[url] = target.relative_to(site).as_posix()
    return local


def _figures(site: Path) -> str:
    """The texts of the site's JSON files by path; asv also asks for an icon, to see whether its server lives."""
    texts = {path.relative_to(site).as_posix(): path.read_text(encoding="utf-8") for path in site.rglob("*.json")}
    return json.dumps({"swallow.ico": "", **dict(sorted(texts.items()))}, indent=0)


if __name__ == "__main__":
    made = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(".asv/html")
    make_offline(made, json.loads((HERE / "offline_site.json").read_text(encoding="utf-8")))
    print(made / "index.html")
