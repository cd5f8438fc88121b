"""All pairs over rows x bins x dtype, beside the bare product of matrices and SciPy; and the nearest rows."""

from fastkl._threads import available_cpus
from fastkl.bench import data
from fastkl.bench.jobs import PAIRS
from fastkl.bench.pairs import PairsCase

from .contest import _Contest, contestant_of

_JOBS = {job.name: job for job in PAIRS}
_LIBRARIES = ["fastkl", "bare product", "scipy"]
_MOST_OF_SCIPY = 1 << 16  # pairs, of which its callable takes some microseconds each


class Pairs(_Contest):
    """KL divergences of all pairs of normalised histograms."""

    params = ([200, 2_000], [32, 256], ["float64", "float32"], _LIBRARIES)
    param_names = ("rows", "bins", "dtype", "library")

    def setup(self, rows, bins, dtype, library):
        """Make the data, and compile for this type."""
        if library == "scipy" and rows**2 > _MOST_OF_SCIPY:
            raise NotImplementedError  # how asv spells a skip
        options = {"threads": available_cpus(), "normalize": True}
        peer = contestant_of(_JOBS["pairs"], library)
        self.enter(peer, lambda: PairsCase(*data.two_positive(rows, bins, dtype), **options))


class Nearest(_Contest):
    """The 10 nearest of ten times as many rows."""

    params = ([50, 1_000], [32, 256], ["float64", "float32"], _LIBRARIES)
    param_names = ("rows", "bins", "dtype", "library")

    def setup(self, rows, bins, dtype, library):
        """Make the data, and compile for this type."""
        if library == "scipy" and 10 * rows**2 > _MOST_OF_SCIPY:
            raise NotImplementedError
        options = {"threads": available_cpus(), "normalize": True, "k": 10}
        peer = contestant_of(_JOBS["nearest"], library)
        self.enter(peer, lambda: PairsCase(*data.queries_and_base(rows, bins, dtype), **options))
