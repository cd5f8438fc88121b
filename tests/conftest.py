"""Settings of the whole suite, and fresh interpreters for the tests that need one."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from functions import FUNCTIONS

import fastkl

hypothesis.settings.register_profile("fastkl", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("fastkl")

PACKAGE = Path(fastkl.__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several processes run the tests, have one of them all that compile a function's kernels: half the work."""
    for item in items:
        if item.get_closest_marker("xdist_group"):
            continue
        callspec = getattr(item, "callspec", None)
        name = callspec.params.get("name") if callspec else None
        if isinstance(name, str) and name in FUNCTIONS:
            item.add_marker(pytest.mark.xdist_group(name.rstrip("0123456789. ").removeprefix("cross_")))


@pytest.fixture
def run_python(tmp_path: Path) -> Callable[..., str]:
    """Run a script in a fresh interpreter that finds this fastkl; return what it prints."""

    def run(script: str, package: Path = PACKAGE, timeout: float = 120, env: Any = (), **options: Any) -> str:
        path = tmp_path / "script.py"
        path.write_text(textwrap.dedent(script))
        environment = {**os.environ, "PYTHONPATH": str(package.parent), **dict(env)}
        done = subprocess.run(
            [sys.executable, str(path)],
            capture_output=True,
            text=True,
            timeout=timeout,
            env=environment,
            cwd=tmp_path,
            **options,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
