"""All pairs over rows x bins x dtype, beside the bare product of matrices; and the nearest rows."""

from fastkl._threads import available_cpus
from fastkl.bench import data
from fastkl.bench.pairs import FASTKL_PAIRS, PRODUCT, PairsCase

_WAYS = {"fastkl": FASTKL_PAIRS, "bare product": PRODUCT}


class Pairs:
    """KL divergences of all pairs of normalised histograms."""

    params = ([200, 2_000], [32, 256], ["float64", "float32"], list(_WAYS))
    param_names = ("rows", "bins", "dtype", "way")

    def setup(self, rows, bins, dtype, way):
        """Make the data, and compile for this type."""
        self.call = _WAYS[way].bind(PairsCase(*data.two_positive(rows, bins, dtype), available_cpus(), normalize=True))
        self.call()

    def time_pairs(self, *params):
        """Time one call."""
        self.call()

    def peakmem_pairs(self, *params):
        """Peak memory of data, compiler and call."""
        self.call()


class Nearest:
    """The 10 nearest of ten times as many rows."""

    params = ([100, 1_000], list(_WAYS))
    param_names = ("rows", "way")

    def setup(self, rows, way):
        """Make the data, and compile for this type."""
        case = PairsCase(*data.queries_and_base(rows, 256, "float64"), available_cpus(), normalize=True, k=10)
        self.call = _WAYS[way].bind(case)
        self.call()

    def time_nearest(self, *params):
        """Time one call."""
        self.call()
