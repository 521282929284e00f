import json

import numpy as np
import pytest
from sklearn.svm import SVC

from empathy_geometry.evaluation.cross_validation import cross_validate
from empathy_geometry.evaluation.erasers import ErasedProbe, leace
from empathy_geometry.evaluation.erasing import erasure
from empathy_geometry.geometry.probes import Probe


def crossed(seed=0, *, n=30, d=24, overlap=0.0, size=3.0):
    """Two concepts at a planted cosine, crossed within each of n scenarios."""
    rng = np.random.default_rng(seed)
    a, b = np.tile([0, 0, 1, 1], n), np.tile([0, 1, 0, 1], n)
    groups, e = np.repeat(np.arange(n), 4), np.eye(d)
    x = rng.standard_normal((4 * n, d)) + rng.standard_normal((n, d))[groups]
    other = overlap * e[0] + np.sqrt(1 - overlap**2) * e[1]
    return x + size * (a[:, None] * e[0] + b[:, None] * other), a, b, groups


def test_an_independent_concept_survives_and_the_controls_fall_to_chance():
    x, a, b, groups = crossed()
    result = erasure(x, a, b, groups=groups)
    assert result.target.low > 0.5
    assert result.concept.low > 0.5
    assert result.concept_without_concept.value == pytest.approx(0.5)
    assert result.target_without_target.value == pytest.approx(0.5)
    assert result.conclusive
    assert result.surviving.value == pytest.approx(1.0, abs=0.1)
    assert result.surviving.low < result.surviving.value < result.surviving.high


def test_an_overlapping_concept_loses_more():
    independent, overlapping = (erasure(*crossed(overlap=o)[:3], groups=crossed()[3]) for o in (0.0, 0.9))
    assert overlapping.target_without_concept.value < independent.target_without_concept.value - 0.05


def test_fresh_scenarios_keep_part_of_the_concept_and_that_is_noted():
    x, a, b, groups = crossed(n=25, d=100)
    result = erasure(x, a, b, groups=groups)
    assert result.fresh_control.value > 0.55
    assert any("has not seen" in note for note in result.notes)


def test_a_failed_positive_control_withholds_the_share():
    rng = np.random.default_rng(0)
    x, a, b, groups = crossed(d=6)
    # The concept also sits in a variance, which linear erasure leaves and a nonlinear probe reads.
    x[:, 2] = rng.standard_normal(len(b)) * np.where(b == 1, 6.0, 0.2)
    result = erasure(x, a, b, groups=groups, probe=SVC(kernel="rbf"))
    assert result.concept_without_concept.low > 0.5
    assert not result.conclusive
    assert result.surviving is None
    assert "inconclusive" in str(result)
    assert "not to be read" in str(result)


def test_an_unreadable_target_is_inconclusive():
    x, a, b, groups = crossed(size=0.0)
    result = erasure(x, a, b, groups=groups)
    assert not result.conclusive
    assert "cannot be read to begin with" in result.notes[0]


def test_association_of_the_labels_is_noted():
    x, a, b, groups = crossed()
    b = np.where(np.random.default_rng(0).random(len(b)) < 0.5, a, b)
    assert any("phi" in note for note in erasure(x, a, b, groups=groups).notes)


def test_erasure_on_all_rows_is_the_artefact_and_inside_folds_is_not():
    x, a, _, groups = crossed(n=20, d=400)
    everywhere = leace(x, a.astype(float))(x)
    assert float(cross_validate(Probe("lda"), everywhere, a, groups=groups).auroc) < 0.1
    inside = cross_validate(ErasedProbe(Probe("lda"), 1), np.column_stack([x, a, groups]), a, groups=groups)
    assert float(inside.auroc) == 0.5


def test_results_print_and_save():
    x, a, b, groups = crossed(n=15)
    result = erasure(x, a, b, groups=groups)
    json.dumps(result.to_dict(), allow_nan=False)
    assert "fresh control" in str(result)
    assert "surviving" in set(result.to_frame()["quantity"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"concept": lambda a: a}, "all four combinations"),
        ({"concept": lambda a: np.zeros_like(a)}, "both classes"),
        ({"concept": lambda a: a[:-1]}, "one entry for each"),
        ({"concept": lambda a: a * 2}, "booleans or 0/1"),
    ],
)
def test_bad_input_is_explained(change, message):
    x, a, _, groups = crossed(n=8)
    with pytest.raises(ValueError, match=message):
        erasure(x, a, change["concept"](a), groups=groups)


def test_scenarios_reach_every_interval():
    x, a, b, groups = crossed()
    for given, n in ((groups, 30), (None, 120)):
        found = erasure(x, a, b, groups=given)
        assert found.target.n_groups == found.concept.n_groups == found.target_without_concept.n_groups == n


@pytest.mark.parametrize("d", [24, 300])
def test_where_rows_are_does_not_matter(d):
    x, a, _, _ = crossed(d=d)
    far = 1e3 * np.random.default_rng(0).standard_normal(d)
    assert np.allclose(leace(x + far, a)(x + far), leace(x, a)(x) + far, atol=1e-6)
