import numpy as np
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from empathy_geometry.evaluation.metrics import accuracy, auroc, d_prime, forced_choice
from empathy_geometry.evaluation.nulls import holm, max_t
from empathy_geometry.evaluation.ranking import auroc_rows, d_prime_rows

scored = st.lists(
    st.tuples(st.one_of(st.integers(-3, 3).map(float), st.floats(-1e6, 1e6)), st.booleans(), st.integers(0, 5)),
    min_size=6,
    max_size=40,
)


@given(scored)
@settings(max_examples=150, deadline=None)
def test_auroc_is_sklearns_and_its_interval_holds_it(rows):
    scores, labels, groups = (np.array(column) for column in zip(*rows, strict=True))
    assume(labels.any() and not labels.all())
    found = auroc(scores, labels, groups=groups)
    assert abs(found.value - roc_auc_score(labels, scores)) < 1e-9
    if found.low is not None:
        assert 0 <= found.low <= found.value + 1e-12
        assert found.value - 1e-12 <= found.high <= 1


@given(scored, st.floats(0.1, 10), st.floats(-5, 5))
@settings(max_examples=60, deadline=None)
def test_auroc_and_d_prime_ignore_the_unit(rows, scale, shift):
    scores, labels, _ = (np.array(column) for column in zip(*rows, strict=True))
    scores = np.round(scores, 2)
    assume(2 <= labels.sum() <= len(labels) - 2)
    moved = scale * scores + shift
    assume(len(np.unique(moved)) == len(np.unique(scores)))
    assert abs(auroc(scores, labels).value - auroc(moved, labels).value) < 1e-9
    assume(np.ptp(scores[labels]) > 0.1 or np.ptp(scores[~labels]) > 0.1)
    first, second = d_prime(scores, labels).value, d_prime(moved, labels).value
    assert abs(first - second) <= 1e-6 * (1 + abs(first))


@given(scored)
@settings(max_examples=100, deadline=None)
def test_rows_at_once_equal_one_by_one(rows):
    scores, labels, _ = (np.array(column) for column in zip(*rows, strict=True))
    assume(2 <= labels.sum() <= len(labels) - 2)
    stacked = torch.tensor(np.stack([scores, -scores, np.zeros_like(scores)]))
    label = torch.tensor(np.stack([labels, labels, labels]))
    expected = [auroc(row, labels).value for row in stacked.numpy()]
    assert np.allclose(auroc_rows(stacked, label).numpy(), expected, atol=1e-12)
    if np.ptp(scores[labels]) > 1e-3 * np.abs(scores).max() > 0:
        assert np.isclose(d_prime_rows(stacked, label)[0].item(), d_prime(scores, labels).value, rtol=1e-6)
    assert d_prime_rows(stacked, label)[2].item() == 0


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=2, max_size=30))
@settings(max_examples=60, deadline=None)
def test_accuracy_interval_holds_the_value(rows):
    right, groups = (np.array(column) for column in zip(*rows, strict=True))
    found = accuracy(right, np.ones(len(right), dtype=bool), groups=groups)
    assert found.value == right.mean()
    if found.low is not None:
        assert 0 <= found.low <= found.value <= found.high <= 1


@given(st.integers(1, 12), st.integers(0, 12))
def test_forced_choice_counts_wins(won, lost):
    assume(won + lost > 0)
    n = won + lost
    scores = np.concatenate([np.tile([0.0, 1.0], won), np.tile([1.0, 0.0], lost)])
    found = forced_choice(scores, np.tile([0, 1], n), groups=np.repeat(np.arange(n), 2))
    assert found.value == won / n
    assert found.low <= found.value <= found.high


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_never_lowers_and_keeps_the_order(p):
    adjusted = holm(p)
    assert (adjusted >= np.array(p) - 1e-15).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()
    assert adjusted.max() <= 1


@given(st.integers(0, 10_000), st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_step_down_is_never_weaker_than_single_step(seed, k):
    rng = np.random.default_rng(seed)
    observed, null = rng.normal(size=k), rng.normal(size=(k, 50))
    assert (max_t(observed, null) <= max_t(observed, null, step_down=False) + 1e-12).all()
