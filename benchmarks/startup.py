"""What a new process pays before the first answer: imports, compilation, loading from the kernel cache."""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import fastkl

# asv takes the path away from the processes that its benchmarks start, and this copy may not be an installed one.
_FOLDER = str(Path(fastkl.__file__).parents[1])

_FIRST_CALL = """
import sys, time
import numpy as np
import fastkl
p = np.ones((2, 256), sys.argv[2])
call = eval("lambda: " + sys.argv[1])
start = time.perf_counter()
call()
print(time.perf_counter() - start)
"""
_CALLS = {
    "kl": "fastkl.kl_divergence(p, p)",
    "js": "fastkl.js_divergence(p, p)",
    "pairwise": "fastkl.pairwise(p)",
    "nearest": "fastkl.nearest(p, p)",
    "fit": "fastkl.fit(p, points=np.arange(256))",
}


def _seconds_of_first_call(function, dtype, kernel_cache):
    environment = os.environ | {"NUMBA_CACHE_DIR": kernel_cache, "PYTHONPATH": _FOLDER}
    command = [sys.executable, "-c", _FIRST_CALL, _CALLS[function], dtype]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


class Import:
    """Imports, each in a fresh process."""

    def timeraw_fastkl(self):
        """Import fastkl, numba included."""
        return "import fastkl", f"import sys; sys.path.append({_FOLDER!r})"

    def timeraw_numba(self):
        """Import numba: what fastkl adds to it should stay below 0.1 s."""
        return "import numba"

    def timeraw_scipy_stats(self):
        """Import scipy.stats, which `scipy.stats.entropy` needs."""
        return "import scipy.stats"


class FirstCall:
    """The first call of a function in a fresh process."""

    params = (list(_CALLS), ["float64", "float32", "uint16"])
    param_names = ("function", "dtype")
    unit = "s"
    timeout = 300

    def setup(self, function, dtype):
        """Make an empty kernel cache."""
        self.kernel_cache = tempfile.mkdtemp()

    def teardown(self, function, dtype):
        """Remove it."""
        shutil.rmtree(self.kernel_cache)

    def track_compiling(self, function, dtype):
        """Seconds with an empty kernel cache."""
        return _seconds_of_first_call(function, dtype, self.kernel_cache)

    def track_loading(self, function, dtype):
        """Seconds with the kernels in the cache: the median of three processes."""
        _seconds_of_first_call(function, dtype, self.kernel_cache)
        return statistics.median(_seconds_of_first_call(function, dtype, self.kernel_cache) for _ in range(3))
