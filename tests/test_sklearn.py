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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"divergence": "euclidean"}, "The 'divergence' parameter of KLNeighborsClassifier must be a str among"),
        ({"n_neighbors": "a"}, "The 'n_neighbors' parameter of KLNeighborsClassifier must be an int in the range"),
        ({"n_neighbors": 0}, "The 'n_neighbors' parameter of KLNeighborsClassifier must be an int in the range"),
        ({"n_neighbors": 1.5}, "The 'n_neighbors' parameter"),
        ({"n_jobs": 0}, "The 'n_jobs' parameter"),
        ({"pseudocount": -1}, "The 'pseudocount' parameter"),
        ({"alpha": "2"}, "The 'alpha' parameter"),
        ({"divergence": "renyi"}, "alpha"),
    ],
)
def test_parameters_are_looked_at_in_fit(options, message):
    from fastkl.sklearn import KLNeighborsClassifier

    with pytest.raises(ValueError, match=message):
        KLNeighborsClassifier(**options).fit([[1, 2], [2, 1]], [0, 1])


@pytest.mark.parametrize("n_jobs", [None, 1, 2, -1, -2, -1000])
def test_numbers_of_jobs_are_those_of_scikit_learn(n_jobs, monkeypatch):
    import fastkl.sklearn

    X, y = np.random.default_rng(0).integers(0, 9, (40, 6)), np.arange(40) % 3
    expected = fastkl.sklearn.KLNeighborsClassifier(3, n_jobs=1).fit(X, y).predict(X[:7])
    threads, run = [], fastkl.sklearn.nearest
    monkeypatch.setattr(fastkl.sklearn, "available_cpus", lambda: 4)
    monkeypatch.setattr(fastkl.sklearn, "nearest", lambda *a, **o: threads.append(o["threads"]) or run(*a, **o))
    np.testing.assert_array_equal(
        fastkl.sklearn.KLNeighborsClassifier(3, n_jobs=n_jobs).fit(X, y).predict(X[:7]), expected
    )
    assert threads == [{None: None, 1: 1, 2: 2, -1: 4, -2: 3, -1000: 1}[n_jobs]] * 2


def test_more_neighbours_than_known_histograms_are_refused_by_every_method():
    from fastkl.sklearn import KLNeighborsClassifier

    classifier = KLNeighborsClassifier(99).fit(np.ones((5, 3)), [0, 1, 0, 1, 0])
    for method in (classifier.predict, classifier.predict_proba, classifier.kneighbors):
        with pytest.raises(
            ValueError, match="n_neighbors must be between 1 and 5, the number of known histograms, not 99"
        ):
            method(np.ones((1, 3)))
    with pytest.raises(ValueError, match="n_neighbors must be between 1 and 5"):
        classifier.kneighbors(np.ones((1, 3)), 0)
    with pytest.raises(TypeError, match="n_neighbors must be a whole number, not 'a'"):
        classifier.kneighbors(np.ones((1, 3)), "a")


def test_infinitely_far_neighbours_do_not_vote():
    from fastkl.sklearn import KLNeighborsClassifier

    known, labels = [[1, 1, 0], [1, 0, 1], [0, 1, 1], [2, 0, 1]], ["a", "b", "b", "b"]
    classifier = KLNeighborsClassifier(4, pseudocount=0).fit(known, labels)
    np.testing.assert_array_equal(classifier.predict_proba([[1, 3, 0], [1, 0, 0]]), [[1, 0], [1 / 3, 2 / 3]])
    assert classifier.predict([[1, 3, 0]]) == ["a"]
    with pytest.raises(ValueError, match=r"X\[1\] has an infinite divergence from every known histogram \(1 of 2"):
        classifier.predict([[1, 3, 0], [1, 1, 1]])
