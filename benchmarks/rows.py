"""Row-wise divergences over rows x bins x dtype x library: time, and the peak memory of the process."""

from fastkl._threads import available_cpus
from fastkl.bench import data
from fastkl.bench.case import Case
from fastkl.bench.peers import FASTKL, SCIPY

_LIBRARIES = {"fastkl": FASTKL, "scipy": SCIPY}
# Above this SciPy takes seconds a call, and its temporaries gigabytes.
_MOST_BINS = 1 << 25


class Rows:
    """KL divergences of normalised histograms."""

    params = ([1_000, 100_000], [16, 256, 4_096], ["float64", "float32", "uint16"], list(_LIBRARIES))
    param_names = ("rows", "bins", "dtype", "library")

    def setup(self, rows, bins, dtype, library):
        """Make the data, and compile for this dtype and layout."""
        if rows * bins > _MOST_BINS:
            raise NotImplementedError  # how asv spells a skip
        make = data.two_counts if dtype.startswith("uint") else data.two_positive
        p, q = make(rows, bins, dtype)
        self.call = _LIBRARIES[library].bind(Case(p, q, available_cpus(), normalize=True))
        self.call()

    def time_kl(self, *params):
        """Time one call."""
        self.call()

    def peakmem_kl(self, *params):
        """Peak memory of data, compiler and call."""
        self.call()
