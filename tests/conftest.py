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


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Where several processes run the tests, have one of them all that compile the same kernels: half the work."""
    if config.getoption("dist") != "load":  # what `-n` does, unless the user wants another
        return None
    from xdist.scheduler import LoadScopeScheduling

    class ByKernels(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _kernels_of(nodeid)

    return ByKernels(config, log)


def _kernels_of(nodeid: str) -> str:
    # What tests share that compile the same; of others the name, which none shares.
    path, _, test = nodeid.partition("::")
    if path == "tests/test_jit.py":  # callers, which each process compiles anew
        return path
    name = next((value for value in test.partition("[")[2].rstrip("]").split("-") if value in FUNCTIONS), None)
    if name is None:
        return nodeid
    if name.startswith(("alpha", "renyi")):
        return "powers"
    return name.removeprefix("cross_")


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
