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

import fastkl

hypothesis.settings.register_profile("fastkl", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("fastkl")

PACKAGE = Path(fastkl.__file__).parent


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
