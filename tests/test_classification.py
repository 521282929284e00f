import numpy as np
import pytest
import torch
from planted import pairs

from empathy_geometry.activations.pooled import Activations
from empathy_geometry.evaluation.classification import MISSING, classification
from empathy_geometry.texts.labeled_texts import LabeledTexts
from empathy_geometry.texts.splits import grouped_folds


def activations() -> Activations:
    X, y, groups = pairs(6, 5, layers=3)
    labels = np.where(y == 1, "warm", "cold").astype("<U5")
    labels[:2] = "other"
    texts = LabeledTexts([f"Hi. number {i}" for i in range(12)], labels, groups, prompts=["Hi."] * 12)
    return Activations(torch.tensor(X), (2, 5, 9), labels, groups, texts=texts)


def test_activations_bring_labels_groups_layers_and_responses():
    data = classification(activations(), None, groups=MISSING, positive="warm", negative="cold")
    assert (data.n, data.n_groups, data.layers, data.classes) == (10, 5, (2, 5, 9), ("cold", "warm"))
    assert data.texts == tuple(f" number {i}" for i in range(2, 12))
    assert data.groups_given
    assert data.codes.tolist() == [0, 1] * 5


def test_layers_can_be_chosen():
    data = classification(activations(), None, groups=None, layers=(9,))
    assert data.values.shape == (12, 1, 1, 5)
    assert (data.layers, data.groups_given, data.n_groups) == ((9,), False, 12)
    with pytest.raises(ValueError, match=r"\[4\] were not extracted"):
        classification(activations(), None, groups=None, layers=(4,))


def test_one_class_against_the_rest():
    data = classification(activations(), None, groups=MISSING, positive="warm")
    assert (data.classes, data.n, int(data.codes.sum())) == (("rest", "warm"), 12, 5)


def test_folds_are_translated_to_the_kept_rows():
    acts = activations()
    folds = grouped_folds(acts.labels[2:], groups=acts.groups[2:], n_splits=5)
    shifted = [type(f)(f.train + 2, np.r_[f.test + 2, [0, 1]] if k == 0 else f.test + 2) for k, f in enumerate(folds)]
    data = classification(acts, None, groups=MISSING, positive="warm", negative="cold")
    for given, kept in zip(folds, data.folds(shifted, n_splits=5, seed=0), strict=True):
        assert (given.test == kept.test).all()


def test_half_precision_and_bfloat16_are_read():
    X, y, groups = pairs(5, 4)
    for dtype in (torch.float16, torch.bfloat16):
        assert classification(torch.tensor(X).to(dtype), y, groups=groups).rows(0, 0).dtype == np.float64


X, Y, G = pairs(5, 4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: classification(X, Y, groups=MISSING), TypeError, "groups=None by name"),
        (lambda: classification(X, None, groups=G), TypeError, "y is missing"),
        (lambda: classification(X[:, 0], Y, groups=G), ValueError, "axis of rows"),
        (lambda: classification(X.astype(str), Y, groups=G), TypeError, "real numbers"),
        (lambda: classification(np.where(X > 2, np.nan, X), Y, groups=G), ValueError, "finite"),
        (lambda: classification(X[:, None, None, None], Y, groups=G), ValueError, "n, d_model"),
        (lambda: classification(X, Y[:3], groups=G), ValueError, "one entry for each of 10 rows"),
        (lambda: classification(X, Y, groups=G[:3]), ValueError, "groups must have one entry"),
        (lambda: classification(X, np.zeros(10), groups=G), ValueError, "two classes"),
        (lambda: classification(X, Y, groups=G, positive="p"), ValueError, "does not occur"),
        (lambda: classification(X, Y, groups=G, negative=0), ValueError, "positive beside it"),
        (lambda: classification(X, Y, groups=G, positive=1, negative=1), ValueError, "must differ"),
        (lambda: classification(X, Y, groups=G, layers=(0, 1)), ValueError, "name each of 1 layers"),
        (lambda: classification(X, Y, groups=G, texts=["a"]), ValueError, "one text for each"),
        (lambda: classification(X, Y, groups=G, texts="a"), TypeError, "sequence of strings"),
        (lambda: classification(X, Y, groups=G, token_embeddings=X[:2]), ValueError, "token_embeddings"),
        (lambda: classification(X[:0], Y[:0], groups=G[:0]), ValueError, "empty"),
    ],
)
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
