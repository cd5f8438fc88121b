"""Fetches what fastkl carries along of other projects anew from npm, and compares it with the copies here.

::

    python benchmarks/vendor.py            fails where a copy is not what npm has
    python benchmarks/vendor.py --update   after a change of the version in vendored.json: copies and hashes anew
"""

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "fastkl" / "bench" / "html" / "static"


def fetch(package: str, version: str, names: list[str]) -> dict[str, bytes]:
    """Files of a version of an npm package, by their paths in it."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", "--silent", f"{package}@{version}", "--pack-destination", folder]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (archive,) = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as tar:
            root = tar.getnames()[0].split("/")[0]
            return {name: tar.extractfile(f"{root}/{name}").read() for name in names}  # type: ignore[union-attr]


def main(update: bool) -> int:
    """Compare, or update; the exit status."""
    record = FOLDER / "vendored.json"
    vendored = json.loads(record.read_text())
    files = vendored["files"]
    found = fetch(vendored["package"], vendored["version"], [file["from"] for file in files.values()])
    different = 0
    for name, file in files.items():
        content = found[file["from"]]
        digest = hashlib.sha256(content).hexdigest()
        if update:
            file["sha256"] = digest
            (FOLDER / name).write_bytes(content)
        elif digest != file["sha256"] or (FOLDER / name).read_bytes() != content:
            different += 1
            print(f"{name} is not {file['from']} of {vendored['package']} {vendored['version']}", file=sys.stderr)
    if update:
        record.write_text(json.dumps(vendored, indent=2) + "\n")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main("--update" in sys.argv[1:]))
