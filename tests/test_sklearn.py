"""The estimator: it passes scikit-learn's own checks, and its neighbours are those of `nearest`."""

import numpy as np
import pytest

import fastkl

pytest.importorskip("sklearn", minversion="1.6")


@pytest.mark.filterwarnings("ignore")
def test_the_checks_of_scikit_learn():
    from sklearn.utils.estimator_checks import check_estimator

    from fastkl.sklearn import KLNeighborsClassifier

    check_estimator(KLNeighborsClassifier())


def test_digits():
    from sklearn.datasets import load_digits
    from sklearn.model_selection import cross_val_score

    from fastkl.sklearn import KLNeighborsClassifier

    pixels, labels = load_digits(return_X_y=True)
    classifier = KLNeighborsClassifier(3, divergence="js")
    assert cross_val_score(classifier, pixels, labels, cv=5).mean() > 0.95
    divergences, indices = classifier.fit(pixels[:900], labels[:900]).kneighbors(pixels[900:])
    expected = fastkl.nearest(pixels[900:], pixels[:900], 3, divergence="js", pseudocount=0.5)
    np.testing.assert_array_equal(divergences, expected[0])
    np.testing.assert_array_equal(indices, expected[1])
    with pytest.raises(ValueError, match="divergence must be"):
        KLNeighborsClassifier(divergence="euclidean").fit(pixels, labels)
