"""k-means beside scikit-learn from the same first centres, and by its properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinymed import nn
from tinymed.errors import UserError
from tinymed.unsupervised.kmeans import fit_filters, kmeans, seed_centres


def blobs(seed=0, n=60, features=3, groups=4):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(groups, features))[rng.integers(0, groups, n)] * 6 + rng.normal(size=(n, features))


@given(st.integers(0, 10**6), st.integers(1, 6))
def test_rounds_are_scikit_learns(seed, clusters):
    cluster = pytest.importorskip("sklearn.cluster")
    points = blobs(seed)
    initial = seed_centres(points, clusters, seed)
    found = kmeans(points, clusters, initial=initial)
    other = cluster.KMeans(clusters, init=initial, n_init=1, max_iter=100, tol=1e-4, algorithm="lloyd").fit(points)
    np.testing.assert_allclose(found.centres, other.cluster_centers_, rtol=1e-9, atol=1e-9)
    assert np.array_equal(found.labels, other.labels_)
    assert found.inertia == pytest.approx(other.inertia_, rel=1e-9)


def test_first_centres_are_drawn_by_squared_distance():
    """Three points at 0, 1 and 3: given the first is 0, the second is 3 with chance 9 / 10."""
    points = np.array([[0.0], [1.0], [3.0]])
    seconds = [c[1, 0] for a in range(900) if (c := seed_centres(points, 2, attempt=a))[0, 0] == 0]
    assert len(seconds) == pytest.approx(300, abs=60)
    assert np.mean(np.array(seconds) == 3) == pytest.approx(0.9, abs=0.05)


@given(st.integers(0, 10**6), st.integers(1, 8))
def test_properties(seed, clusters):
    points = blobs(seed, 30)
    found = kmeans(points, clusters, seed=seed, tolerance=0)
    assert np.array_equal(found.assign(points), found.labels)
    assert len(set(found.labels.tolist())) == clusters
    for k in range(clusters):
        np.testing.assert_allclose(found.centres[k], points[found.labels == k].mean(axis=0), rtol=1e-9, atol=1e-9)
    again = kmeans(points, clusters, seed=seed, tolerance=0)
    assert np.array_equal(found.centres, again.centres)
    assert kmeans(points, clusters, seed=seed, restarts=4).inertia <= kmeans(points, clusters, seed=seed).inertia


def test_an_empty_cluster_gets_the_farthest_point():
    points = np.array([[0.0], [0.1], [10.0], [10.1], [30.0]])
    found = kmeans(points, 3, initial=np.array([[0.0], [500.0], [600.0]]))
    assert sorted(found.centres[:, 0].round(2).tolist()) == [0.05, 10.05, 30.0]


def test_equal_points():
    found = kmeans(np.ones((5, 2)), 3)
    assert found.inertia == 0
    assert (found.centres == 1).all()


@pytest.mark.parametrize(
    ("points", "clusters"), [(np.ones((3, 2)), 4), (np.ones(3), 1), (np.full((3, 1), np.nan), 1), (np.ones((3, 2)), 0)]
)
def test_refusals(points, clusters):
    with pytest.raises(UserError, match="kmeans: takes finite points"):
        kmeans(points, clusters)


def test_filters_refuse_what_does_not_fit():
    conv = nn.Conv2d(2, 3, 5)
    with pytest.raises(UserError, match="smaller than a filter"):
        fit_filters(conv, np.zeros((1, 2, 4, 9)), 9)
    with pytest.raises(UserError, match=r"images \[n, 2, height, width\]"):
        fit_filters(conv, np.zeros((1, 3, 9, 9)), 9)
