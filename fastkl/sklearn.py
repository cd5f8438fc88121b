"""Nearest neighbours by divergence, as an estimator of scikit-learn."""

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, check_non_negative, validate_data

from fastkl._products import DIVERGENCES
from fastkl._threads import available_cpus
from fastkl.pairs import nearest

_Array = npt.NDArray[Any]

__all__ = ["KLNeighborsClassifier"]


class KLNeighborsClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Classifies histograms by a vote of the nearest known ones, those of the smallest divergence from them.

    Parameters
    ----------
    n_neighbors : int
        How many vote, each with the same weight; at most as many as there are known ones. Those of an infinite
        divergence do not vote, and a histogram that has no others is an error.
    divergence, alpha, pseudocount
        As in `fastkl.nearest`. The pseudo-count, 1/2 by default, is what is added to every bin: without one a histogram
        of zeros is an error, and most divergences of sparse counts are infinite.
    n_jobs : int, optional
        The most threads to use: -1 stands for one for each CPU, -2 for one less, and so on. Default: one for each CPU.

    Attributes
    ----------
    classes_ : ndarray
        The labels that were seen, sorted.
    n_features_in_ : int
        The number of bins.

    References
    ----------
    T. Cover and P. Hart, Nearest neighbor pattern classification, IEEE Transactions on Information Theory 13 (1967),
    21-27.

    Examples
    --------
    >>> from fastkl.sklearn import KLNeighborsClassifier
    >>> classifier = KLNeighborsClassifier(n_neighbors=1).fit([[8, 1, 1], [1, 8, 1]], ["left", "middle"])
    >>> classifier.predict([[3, 2, 1], [0, 1, 0]])
    array(['left', 'middle'], dtype='<U6')
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "divergence": [StrOptions(set(DIVERGENCES))],
        "alpha": [Real, None],
        "pseudocount": [Interval(Real, 0, None, closed="left")],
        "n_jobs": [Interval(Integral, None, -1, closed="right"), Interval(Integral, 1, None, closed="left"), None],
    }

    def __init__(
        self,
        n_neighbors: int = 5,
        *,
        divergence: str = "kl",
        alpha: float | None = None,
        pseudocount: float = 0.5,
        n_jobs: int | None = None,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.divergence = divergence
        self.alpha = alpha
        self.pseudocount = pseudocount
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any) -> "KLNeighborsClassifier":
        """Remember the histograms, the rows of X, and their labels."""
        self._validate_params()
        X, y = validate_data(self, X, y, accept_sparse="csr", dtype=[np.float64, np.float32])
        check_non_negative(X, type(self).__name__)
        check_classification_targets(y)
        nearest(X[:1], X, 1, **self._options())  # what is wrong with the options or the rows is said now
        self.classes_, self._labels = np.unique(y, return_inverse=True)
        self._rows = X
        return self

    def kneighbors(self, X: Any, n_neighbors: int | None = None) -> tuple[_Array, _Array]:
        """The divergences of the nearest known histograms from each row of X, and which they are."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=[np.float64, np.float32], reset=False)
        check_non_negative(X, type(self).__name__)
        return nearest(X, self._rows, self._number_of(n_neighbors), **self._options())

    def predict_proba(self, X: Any) -> _Array:
        """The part of the votes that each class gets."""
        divergences, indices = self.kneighbors(X)
        labels, votes = self._labels[indices], np.isfinite(divergences)
        count = votes.sum(1, keepdims=True)
        if not count.all():
            raise ValueError(
                f"X[{np.argmin(count)}] has an infinite divergence from every known histogram"
                f" ({np.count_nonzero(count == 0)} of {len(count)} have); a larger pseudocount makes them finite"
            )
        shares: _Array = np.stack([(votes & (labels == k)).sum(1) for k in range(len(self.classes_))], 1) / count
        return shares

    def predict(self, X: Any) -> _Array:
        """The class with the most votes; of equal ones the first."""
        shares = self.predict_proba(X)
        predicted: _Array = self.classes_[shares.argmax(1)]
        return predicted

    def _number_of(self, n_neighbors: Any) -> int:
        wanted, known = self.n_neighbors if n_neighbors is None else n_neighbors, len(self._labels)
        if not isinstance(wanted, Integral):
            raise TypeError(f"n_neighbors must be a whole number, not {wanted!r}")
        number = int(wanted)
        if not 1 <= number <= known:
            raise ValueError(f"n_neighbors must be between 1 and {known}, the number of known histograms, not {number}")
        return number

    def _options(self) -> dict[str, Any]:
        options = {"divergence": self.divergence, "alpha": self.alpha, "pseudocount": self.pseudocount}
        threads = self.n_jobs
        if threads is not None and threads < 0:
            threads = max(1, available_cpus() + 1 + threads)
        return options | {"threads": threads}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = tags.input_tags.sparse = True
        return tags
