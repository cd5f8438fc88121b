"""From a fresh interpreter to the first answer: imports, the kernel cache, places that can't be written."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import PACKAGE

FIRST_ANSWER = """
import numpy as np
import fastkl

p, q = np.arange(1.0, 101), np.arange(101.0, 1, -1)
print(float(fastkl.kl_divergence(p, q)).hex())
"""


@pytest.fixture
def bare_package(tmp_path):
    """A copy of the package without compiled kernels."""
    return Path(shutil.copytree(PACKAGE, tmp_path / "site" / "fastkl", ignore=shutil.ignore_patterns("__pycache__")))


def first_answer():
    p, q = np.arange(1.0, 101), np.arange(101.0, 1, -1)
    p, q = p / p.sum(), q / q.sum()
    return float((p * np.log(p / q)).sum())


def test_import_is_light(run_python):
    heavy = [
        "scipy.stats",
        "scipy.optimize",
        "matplotlib",
        "pandas",
        "polars",
        "dask",
        "distributed",
        "zarr",
        "pyarrow",
        "xarray",
    ]
    heavy += [
        "hist",
        "boost_histogram",
        "asv",
        "jax",
        "numexpr",
        "numkong",
        "torch",
        "sklearn",
        "pytest",
        "concurrent.futures.process",
    ]
    script = f"""
    import sys, threading
    import fastkl
    print([name for name in {heavy} if name in sys.modules], threading.active_count())
    """
    assert run_python(script).strip() == "[] 1"


def test_import_compiles_nothing(run_python):
    script = """
    from fastkl import kernels
    compiled = [name for name in kernels.__all__ if getattr(getattr(kernels, name), "signatures", None)]
    print(compiled)
    """
    assert run_python(script).strip() == "[]"


def test_kernels_come_back_from_the_cache_until_a_file_of_theirs_changes(run_python, bare_package):
    script = FIRST_ANSWER + (
        "from fastkl import kernels\n"
        "found = [getattr(kernels, name) for name in kernels.__all__]\n"
        "stats = [kernel.stats for kernel in found if hasattr(kernel, 'stats')]\n"
        "print(sum(sum(s.cache_hits.values()) for s in stats), sum(sum(s.cache_misses.values()) for s in stats))\n"
    )

    def run():
        answer, hits, misses = run_python(script, package=bare_package, env={"NUMBA_CACHE_DIR": ""}).split()
        return float.fromhex(answer), int(hits), int(misses)

    answer, hits, misses = run()
    assert answer == pytest.approx(first_answer(), rel=1e-13)
    assert hits == 0
    assert misses > 0
    assert run() == (answer, misses, 0)

    terms = bare_package / "kernels" / "_terms.py"
    source, stat = terms.read_text(), terms.stat()
    line = "    return kl_term(x, b * y)\n"
    assert source.count(line) == 1
    terms.write_text(source.replace(line, "    return 2.0 * kl_term(x, b * y)\n"))
    os.utime(terms, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    doubled, hits, misses = run()
    assert doubled == pytest.approx(2 * answer, rel=1e-13)
    assert hits == 0


def test_eight_processes_fill_one_empty_cache(tmp_path):
    script = tmp_path / "first.py"
    script.write_text(FIRST_ANSWER)
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, str(script)]
    running = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    answers = set()
    for process in running:
        out, err = process.communicate(timeout=200)
        assert process.returncode == 0, err
        answers.add(float.fromhex(out))
    assert len(answers) == 1
    assert answers.pop() == pytest.approx(first_answer(), rel=1e-13)
    assert any((tmp_path / "cache").rglob("*.nbc"))


# The superuser ignores permission bits by a capability: give that one up, which counts for the program to come.
OBEY_PERMISSION_BITS = """
import ctypes, os, sys
if os.geteuid() == 0 and "OBEDIENT" not in os.environ:
    drop_from_bounding_set, dac_override, dac_read_search = 24, 1, 2
    for capability in (dac_override, dac_read_search):
        if ctypes.CDLL(None).prctl(drop_from_bounding_set, capability, 0, 0, 0):
            os.setgid(65534)
            os.setuid(65534)
    os.execve(sys.executable, [sys.executable, __file__], {**os.environ, "OBEDIENT": "1"})
"""


@pytest.mark.skipif(sys.platform == "win32", reason="permission bits of POSIX")
def test_without_a_place_to_write(run_python, bare_package, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    for path in [home, bare_package, *bare_package.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    script = f"""
    import os
    for folder in ({str(bare_package)!r}, {str(bare_package / "kernels")!r}, {str(home)!r}):
        try:
            open(os.path.join(folder, "probe"), "w")
        except PermissionError:
            continue
        raise AssertionError(folder + " can be written")
    """
    script = OBEY_PERMISSION_BITS + "\n".join(line[4:] for line in script.splitlines()) + FIRST_ANSWER
    places = {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}
    places["NUMBA_CACHE_DIR"] = ""
    try:
        answer = run_python(script, package=bare_package, env=places)
    finally:
        for path in [bare_package, *bare_package.rglob("*")]:
            path.chmod(0o755)
    assert float.fromhex(answer) == pytest.approx(first_answer(), rel=1e-13)
    assert not list(home.iterdir())
