"""The folder of the page: written beside and renamed, so that it is there in full or not at all."""

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from fastkl.bench.html.figures import check_session
from fastkl.bench.html.page import STATIC, Page

_COPIED = ("page.css", "theme.js", "page.js", "chart.umd.min.js", "chart.umd.min.js.LICENSE.md")


def check_folder(folder: Path, force: bool) -> None:
    """Raise CommandError, before anything is measured, where the page may not be put or can't be."""
    from fastkl.cli._command import CommandError, UsageError

    if not folder.absolute().parent.is_dir():
        raise UsageError(f"{folder.parent} is not a folder")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; the page is a folder")
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise UsageError(f"{folder} is not empty; --force replaces the page in it")
    writable = folder if folder.is_dir() else folder.absolute().parent
    if not os.access(writable, os.W_OK | os.X_OK):
        raise CommandError(f"{folder} can't be written: no permission to write in {writable}")


def write_page(sessions: list[dict[str, Any]], folder: Path, force: bool) -> None:
    """Make the page of these sessions in ``folder``; other files that are in it stay as they are."""
    for session in sessions:
        check_session(session)
    check_folder(folder, force)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.absolute().parent))
    try:
        _fill(made, sessions)
        if folder.is_dir():
            for name in (*_COPIED, "figures.json", "index.html"):
                os.replace(made / name, folder / name)
        else:
            made.chmod(0o777 & ~_umask())  # temporary folders are for their owner alone
            os.replace(made, folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _fill(made: Path, sessions: list[dict[str, Any]]) -> None:
    for name in _COPIED:
        (made / name).write_bytes((STATIC / name).read_bytes())
    (made / "figures.json").write_text(json.dumps(sessions, indent=1, allow_nan=False), encoding="utf-8")
    (made / "index.html").write_text(Page(sessions).text(), encoding="utf-8")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
