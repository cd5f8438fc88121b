"""All pairs over rows x bins x dtype, beside the bare product of matrices and SciPy; and the nearest rows."""

from fastkl._threads import available_cpus
from fastkl.bench import data
from fastkl.bench.pairs import CDIST_CALLABLE, FASTKL_PAIRS, PRODUCT, PairsCase
from fastkl.bench.peers import same

from .contest import Contest as _Contest

_WAYS = {"fastkl": FASTKL_PAIRS, "bare product": PRODUCT}
_WITH_SCIPY = _WAYS | {"scipy": CDIST_CALLABLE.on("all of it", same)}


class Pairs(_Contest):
    """KL divergences of all pairs of normalised histograms."""

    params = ([200, 2_000], [32, 256], ["float64", "float32"], list(_WITH_SCIPY))
    param_names = ("rows", "bins", "dtype", "library")

    def setup(self, rows, bins, dtype, library):
        """Make the data, and compile for this type."""
        if library == "scipy" and rows > 200:
            raise NotImplementedError  # it takes half a minute
        case = PairsCase(*data.two_positive(rows, bins, dtype), available_cpus(), normalize=True)
        self.enter(_WITH_SCIPY[library], case)


class Nearest(_Contest):
    """The 10 nearest of ten times as many rows."""

    params = ([100, 1_000], ["float64", "float32"], list(_WAYS))
    param_names = ("rows", "dtype", "way")

    def setup(self, rows, dtype, way):
        """Make the data, and compile for this type."""
        case = PairsCase(*data.queries_and_base(rows, 256, dtype), available_cpus(), normalize=True, k=10)
        self.enter(_WAYS[way], case)
