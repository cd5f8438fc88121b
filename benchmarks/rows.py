"""Row-wise KL divergences over rows x bins x dtype x library, along both axes, and over threads."""

from fastkl._threads import available_cpus
from fastkl.bench import data
from fastkl.bench.case import Case
from fastkl.bench.peers import FASTKL, FLOOR

from .contest import LIBRARIES, _Contest

# Above this SciPy takes seconds a call, and its temporaries gigabytes.
_MOST_BINS = 1 << 25
_DTYPES = ["float64", "float32", "uint16"]
_THREADS = sorted({1, 2, available_cpus()} & set(range(available_cpus() + 1)))


def _make(dtype):
    return data.two_counts if dtype.startswith("uint") else data.two_positive


class Rows(_Contest):
    """KL divergences of normalised histograms."""

    params = ([1, 1_000, 100_000], [16, 256, 4_096], _DTYPES, list(LIBRARIES))
    param_names = ("rows", "bins", "dtype", "library")

    def setup(self, rows, bins, dtype, library):
        """Make the data, and compile for this dtype and layout."""
        if rows * bins > _MOST_BINS:
            raise NotImplementedError  # how asv spells a skip
        make = _make(dtype)
        self.enter(LIBRARIES[library], lambda: Case(*make(rows, bins, dtype), available_cpus(), normalize=True))


class Axis(_Contest):
    """Histograms that are rows, and such that are columns."""

    params = ([-1, 0], _DTYPES, list(LIBRARIES))
    param_names = ("axis", "dtype", "library")

    def setup(self, axis, dtype, library):
        """Make the data: the same numbers of histograms and of bins."""
        make, shape = _make(dtype), (256, 20_000) if axis == 0 else (20_000, 256)
        options = {"normalize": True, "axis": axis}
        self.enter(LIBRARIES[library], lambda: Case(*make(*shape, dtype), available_cpus(), **options))


class Threads(_Contest):
    """One batch on 1, 2 and all threads, beside the read floor on as many."""

    params = (_THREADS, ["float64", "float32"], ["fastkl", "read floor"])
    param_names = ("threads", "dtype", "contestant")

    def setup(self, threads, dtype, contestant):
        """Make the data, beyond the caches."""
        peer = {"fastkl": FASTKL, "read floor": FLOOR}[contestant]
        self.enter(peer, lambda: Case(*data.two_positive(50_000, 256, dtype), threads, normalize=True))
