"""The asv suites under benchmarks/: asv finds them, each runs, on the same data as ever, none times a compilation.

Times are not judged.
"""

import importlib
import inspect
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import issparse
from scipy.stats import entropy

import fastkl
from fastkl.bench import data

ROOT = Path(__file__).parents[1]
_KINDS = ("time_", "timeraw_", "track_", "peakmem_")
# Of these parameters all values are tried, of those in the second line by fastkl alone; of others the first. That each
# library does each job is for the tests of the table of jobs.
_WHOLE = ("library", "contestant", "objective")
_WHOLE_OF_FASTKL = ("job", "format", "axis")
# What makes the data small, by module.
_SMALL = {"table": {"_SCALE": 1e-3, "_SCALE_OF_THREADS": 1e-3, "_FITS": 2}, "storage": {"_ROWS": 200}}

# Runs suites as asv does, each set of parameters in a process of its own, forked when all is imported and nothing
# compiled; counts how often Numba compiles or loads, in setup and in the timed calls; and calls what is not timed.
_PROBE = """
import importlib, json, os, sys, traceback
from numba.core import event
from benchmarks.contest import _Contest

class Compilations(event.Listener):
    def __init__(self):
        self.count = 0
    def on_start(self, _):
        self.count += 1
    def on_end(self, _):
        pass

def run(suite, methods, values):
    seen = Compilations()
    event.register("numba:compiler_lock", seen)
    benchmark, found = suite(), {}
    try:
        getattr(benchmark, "setup", lambda *values: None)(*values)
    except NotImplementedError as reason:
        return {"skipped": str(reason)}
    found["in setup"] = seen.count
    for method in methods:
        seen.count = 0
        value = getattr(benchmark, method)(*values)
        found[method] = seen.count if method.startswith("time_") else value
    if hasattr(benchmark, "teardown"):
        benchmark.teardown(*values)
    return found

def in_a_fork(*work):
    reader, writer = os.pipe()
    if not (child := os.fork()):
        try:
            found = run(*work)
        except BaseException:
            found = {"failed": traceback.format_exc()}
        os.write(writer, json.dumps(found).encode())
        os._exit(0)
    os.close(writer)
    with open(reader) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return json.loads(text)

name, small, is_cold, work = json.loads(sys.argv[1])
module = importlib.import_module(f"benchmarks.{name}")
for constant, value in small.items():
    setattr(module, constant, value)
if is_cold:
    _Contest.enter = lambda self, peer, make: setattr(self, "call", peer.bind(make()))
print(json.dumps([in_a_fork(getattr(module, suite), methods, values) for suite, methods, values in work]))
"""


def _modules() -> dict[str, Any]:
    """Those of the folder that hold suites, by name."""
    sys.path.insert(0, str(ROOT))
    names = [
        path.stem for path in sorted((ROOT / "benchmarks").glob("*.py")) if not path.stem.startswith(("_", "test"))
    ]
    modules = {name: importlib.import_module(f"benchmarks.{name}") for name in names}
    sys.path.remove(str(ROOT))
    return {name: module for name, module in modules.items() if list(_suites(module))}


def _suites(module: Any) -> Iterator[tuple[Any, list[str]]]:
    """Each class that asv finds benchmarks in, and their names."""
    for name, suite in vars(module).items():
        if isinstance(suite, type) and not name.startswith("_") and suite.__module__ == module.__name__:
            methods = [method for method in dir(suite) if method.startswith(_KINDS)]
            if methods:
                yield suite, methods


def _axes(suite: Any) -> dict[str, list[Any]]:
    """The values of each parameter, by name."""
    params = getattr(suite, "params", ())
    axes = params if params and isinstance(params[0], list) else [list(params)] if params else []
    return dict(zip(getattr(suite, "param_names", ()), axes, strict=True))


MODULES = _modules()
TIMED = [name for name in MODULES if name != "startup"]
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="asv's own way to run suites needs a system that forks")


def _work_of(name: str) -> list[tuple[str, list[str], tuple[Any, ...]]]:
    """All suites of a module, with their methods and the parameters that are tried."""
    work = []
    for suite, methods in _suites(MODULES[name]):
        axes = _axes(suite)
        many = [values if axis in _WHOLE + _WHOLE_OF_FASTKL else values[:1] for axis, values in axes.items()]
        few = [values if axis in _WHOLE else values[:1] for axis, values in axes.items()]
        tried = [values for values in product(*many) if "fastkl" in values]
        tried += [values for values in product(*few) if "fastkl" not in values]
        work += [(suite.__name__, methods, values) for values in tried]
    return work


def _probe(name: str, work: Any, folder: Path, is_cold: bool = False) -> list[dict[str, Any]]:
    words, environment = json.dumps([name, _SMALL.get(name, {}), is_cold, work]), os.environ | {"TMPDIR": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, words], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", TIMED)
def test_every_suite_runs_and_none_times_a_compilation(name: str, tmp_path: Path) -> None:
    work = _work_of(name)
    found = _probe(name, work, tmp_path)
    assert list(tmp_path.iterdir()) == []  # of files that suites made, none is left
    assert {suite for suite, *_ in work} == {suite.__name__ for suite, _ in _suites(MODULES[name])}
    for (suite, methods, values), outcome in zip(work, found, strict=True):
        about = f"{name}.{suite}{values}"
        assert "failed" not in outcome, f"{about}: {outcome.get('failed')}"
        if "skipped" in outcome:
            assert "fastkl" not in values, f"{about}: {outcome}"
            continue
        if "time_call" in methods:
            assert outcome["time_call"] == 0, f"{about} compiles or loads while it is timed"
            if "fastkl" in values:
                assert outcome["in setup"] > 0, f"{about}: nothing was seen to be compiled or loaded"
        for method in methods:
            assert not method.startswith("track_") or math.isfinite(outcome[method]), about


def test_a_compilation_that_is_timed_would_be_seen(tmp_path: Path) -> None:
    values = (1, 16, "float64", "fastkl")
    warm, cold = (_probe("rows", [("Rows", ["time_call"], values)], tmp_path, is_cold)[0] for is_cold in (False, True))
    assert warm["time_call"] == 0 < warm["in setup"]
    assert cold["in setup"] == 0 < cold["time_call"]


def test_new_processes_import_and_call(monkeypatch: pytest.MonkeyPatch) -> None:
    startup = MODULES["startup"]
    p = np.ones((2, 256))
    for call in startup._CALLS.values():  # the same calls that new processes make
        eval(call, {"fastkl": fastkl, "np": np, "p": p})
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")  # from here on, for new processes: compiling there takes seconds
    imports = startup.Import()
    for _, methods in [pair for pair in _suites(startup) if pair[0] is startup.Import]:
        for method in methods:
            code = getattr(imports, method)()
            statement, setup = code if isinstance(code, tuple) else (code, "")
            subprocess.run([sys.executable, "-c", f"{setup}\n{statement}"], check=True)
    first = startup.FirstCall()
    first.setup("kl", "float64")
    assert first.track_compiling("kl", "float64") > 0
    assert first.track_loading("kl", "float64") > 0
    first.teardown("kl", "float64")
    assert not Path(first.kernel_cache).exists()


def _parameters(suite: Any, **given: Any) -> Iterator[tuple[Any, ...]]:
    """The first of each parameter that is not given."""
    return product(*[given.get(axis, values[:1]) for axis, values in _axes(suite).items()])


@pytest.mark.parametrize("suffix", MODULES["storage"]._FORMATS)
@pytest.mark.parametrize("dtype", ["float64", "uint16"])
def test_all_that_read_files_find_the_divergences_of_their_rows(
    suffix: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = MODULES["storage"]
    monkeypatch.setattr(storage, "_ROWS", 30)
    p, q = (data.two_counts if dtype == "uint16" else data.two_positive)(30, 64, dtype)
    for library in storage.LIBRARIES:
        suite = storage.Formats()
        suite.setup(suffix, dtype, library)
        assert np.asarray(suite.call()) == pytest.approx(entropy(p, q, axis=1), rel=1e-12), library
        suite.teardown(suffix, dtype, library)


def test_formats_whose_libraries_are_absent_are_skipped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("pyarrow", "zarr", "h5py"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    storage = MODULES["storage"]
    monkeypatch.setattr(storage, "_ROWS", 30)
    skipped = set()
    for suite in (storage.Formats, storage.Memory):
        for values in _parameters(suite, format=storage._FORMATS, library=list(storage.LIBRARIES)):
            benchmark = suite()
            try:
                benchmark.setup(*values)
            except NotImplementedError:
                skipped.add((suite.__name__, values[0], values[-1]))
            benchmark.teardown(*values)
    needs_none = {".npy", ".npz", ".csv"}
    formats = {("Formats", suffix) for suffix in storage._FORMATS if suffix not in needs_none}
    expected = {(name, suffix, library) for name, suffix in formats for library in storage.LIBRARIES}
    expected |= {("Formats", ".csv", library) for library in ("read, fastkl", "read, scipy")}
    expected |= {("Memory", suffix, suffix) for suffix in storage.Memory.params if suffix not in needs_none}
    assert skipped == expected
    assert list(tmp_path.iterdir()) == []


def test_a_contestant_that_is_absent_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    table = MODULES["table"]
    monkeypatch.setattr(table, "_SCALE", 1e-3)
    with pytest.raises(NotImplementedError, match="torch"):
        table.Divergences().setup("logits", "float64", "reference")
    with pytest.raises(NotImplementedError, match="alpha has no nobody"):
        table.contestant_of(table._JOBS["alpha"], "nobody")


@pytest.fixture(scope="module")
def asv(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The command, with the repository's settings but for where its results go."""
    if find_spec("asv") is None or not (ROOT / ".git").exists():
        pytest.skip("asv is not installed, or this is no clone")
    from asv.util import load_json

    home = tmp_path_factory.mktemp("asv")
    settings = load_json(str(ROOT / "asv.conf.json"), js_comments=True)
    settings |= {"repo": str(ROOT), "benchmark_dir": str(ROOT / "benchmarks")}
    settings |= {f"{name}_dir": str(home / name) for name in ("env", "results", "html")}
    (home / "asv.conf.json").write_text(json.dumps(settings))

    def run(*words: str) -> Path:
        command = [sys.executable, "-m", "asv", "--config", str(home / "asv.conf.json"), *words]
        environment = os.environ | {"HOME": str(home)}
        done = subprocess.run(
            command, cwd=home, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return home / "results"

    run("machine", "--yes")
    return run


_EXISTING = f"--environment=existing:{sys.executable}"


def test_asv_finds_all_suites_and_nothing_else(asv: Any) -> None:
    results = asv("run", _EXISTING, "--bench", "just-discover")
    found = set(json.loads((results / "benchmarks.json").read_text())) - {"version"}
    expected = {
        f"{name}.{suite.__name__}.{method}"
        for name, module in MODULES.items()
        for suite, methods in _suites(module)
        for method in methods
    }
    assert found == expected
    asv("check", _EXISTING)


def test_asv_measures_what_can_be_done_and_skips_the_rest(asv: Any) -> None:
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    bench = r"pairs.Nearest.time_call\(\d+, 32, 'float64', '(fastkl|scipy)'\)"
    results = asv("run", "--quick", _EXISTING, f"--set-commit-hash={commit.strip()}", "--bench", bench)
    (file,) = [path for path in results.glob("*/*.json") if path.name != "machine.json"]
    stored = json.loads(file.read_text())
    columns = dict(zip(stored["result_columns"], stored["results"]["pairs.Nearest.time_call"], strict=False))
    values = dict(zip(product(*columns["params"]), columns["result"], strict=True))
    for (rows, bins, dtype, library), seconds in values.items():
        asked = (bins, dtype) == ("32", "'float64'") and library in ("'fastkl'", "'scipy'")
        if asked and (rows, library) != ("1000", "'scipy'"):
            assert 0 < seconds < 60
        else:  # null is what was not asked for, not a number what is skipped
            assert seconds is None or math.isnan(seconds)


# Of each function of fastkl.bench.data: its numbers, the k-th one k times, summed.
_SUMS = {
    "columns": 281.4622661,
    "counts": 141757,
    "digits": 3852,
    "half_zero": 282.2996571,
    "histograms": 49.9776353,
    "near_pairs": 3.608885252e17,
    "one_against_many": 153.6216937,
    "one_pair": 20.2202572,
    "overlapping": 265.4053826,
    "positive": 157.826451,
    "queries_and_base": 15155.89682,
    "sparse_against_one": 159279.6596,
    "two_counts": 250616,
    "two_histograms": 99.67875495,
    "two_logits": 545.3576637,
    "two_modes": 295.1721077,
    "two_modes_mapped": 295.1721077,
    "two_positive": 298.9798848,
    "two_supports": 172.9305826,
}


def test_no_data_have_changed() -> None:
    made = {name: function for name, function in vars(data).items() if inspect.isfunction(function)}
    sums = {}
    for name in [name for name in made if not name.startswith("_")]:
        size = 4, 6, "uint16" if "counts" in name else "float64"
        has_seed = "seed" in inspect.signature(made[name]).parameters
        arrays = (made[name](*size, 1),) if has_seed else made[name](*size)
        dense = [array.toarray() if issparse(array) else array for array in arrays]
        sums[name] = sum(float(array.ravel() @ np.arange(1.0, array.size + 1)) for array in dense)
    assert sums == pytest.approx(_SUMS, rel=1e-9)
