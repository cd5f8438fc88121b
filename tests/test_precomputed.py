"""Matrices of all pairs where other libraries take ``metric="precomputed"``."""

import numpy as np
import pytest

import fastkl


@pytest.fixture(scope="module")
def digits():
    datasets = pytest.importorskip("sklearn.datasets")
    return datasets.load_digits(return_X_y=True)


def test_nearest_neighbours_classify(digits):
    neighbors = pytest.importorskip("sklearn.neighbors")
    pixels, labels = digits
    known, asked = slice(0, 1200), slice(1200, None)
    classifier = neighbors.KNeighborsClassifier(3, metric="precomputed")
    classifier.fit(fastkl.pairwise(pixels[known], pseudocount=0.5), labels[known])
    to_known = fastkl.pairwise(pixels[asked], pixels[known], pseudocount=0.5)
    assert classifier.score(to_known, labels[asked]) > 0.95
    # The same neighbours as those of `nearest`.
    _, found = classifier.kneighbors(to_known)
    _, indices = fastkl.nearest(pixels[asked], pixels[known], 3, pseudocount=0.5)
    np.testing.assert_array_equal(found, indices)


def test_clusters(digits):
    cluster = pytest.importorskip("sklearn.cluster")
    metrics = pytest.importorskip("sklearn.metrics")
    pixels, labels = digits
    distances = np.sqrt(fastkl.pairwise(pixels[:600], divergence="js"))
    found = cluster.AgglomerativeClustering(10, metric="precomputed", linkage="average").fit_predict(distances)
    assert metrics.adjusted_rand_score(labels[:600], found) > 0.5
    found = cluster.DBSCAN(eps=0.19, min_samples=4, metric="precomputed").fit_predict(distances)
    clustered = found >= 0
    assert clustered.mean() > 0.7
    assert metrics.homogeneity_score(labels[:600][clustered], found[clustered]) > 0.95


@pytest.mark.filterwarnings("ignore")
def test_umap(digits):
    umap = pytest.importorskip("umap")
    metrics = pytest.importorskip("sklearn.metrics")
    pixels, labels = digits[0][:300], digits[1][:300]
    distances = np.sqrt(fastkl.pairwise(pixels, divergence="js"))
    points = umap.UMAP(n_neighbors=10, metric="precomputed", random_state=0, n_jobs=1).fit_transform(distances)
    assert points.shape == (300, 2)
    assert metrics.silhouette_score(points, labels) > 0.2
