"""Nearest neighbours by divergence, as an estimator of scikit-learn."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, check_non_negative, validate_data

from fastkl.pairs import nearest

_Array = npt.NDArray[Any]

__all__ = ["KLNeighborsClassifier"]


class KLNeighborsClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Classifies histograms by a vote of the nearest known ones, those of the smallest divergence from them.

    Parameters
    ----------
    n_neighbors : int
        How many vote, each with the same weight.
    divergence, alpha, pseudocount
        As in `fastkl.nearest`. The pseudo-count, 1/2 by default, is what is added to every bin: without one a histogram
        of zeros is an error, and most divergences of sparse counts are infinite.
    n_jobs : int, optional
        The most threads to use. Default: one for each CPU.

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
        return nearest(X, self._rows, self.n_neighbors if n_neighbors is None else n_neighbors, **self._options())

    def predict_proba(self, X: Any) -> _Array:
        """The part of the votes that each class gets."""
        check_is_fitted(self)
        _, indices = self.kneighbors(X, min(self.n_neighbors, len(self._labels)))
        votes = self._labels[indices]
        return np.stack([(votes == label).mean(1) for label in range(len(self.classes_))], 1)

    def predict(self, X: Any) -> _Array:
        """The class with the most votes; of equal ones the first."""
        shares = self.predict_proba(X)
        predicted: _Array = self.classes_[shares.argmax(1)]
        return predicted

    def _options(self) -> dict[str, Any]:
        options = {"divergence": self.divergence, "alpha": self.alpha, "pseudocount": self.pseudocount}
        return options | {"threads": self.n_jobs}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = tags.input_tags.sparse = True
        return tags
