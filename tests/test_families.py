"""Splits by phrasing family compose with evaluation and refuse what would leak."""

import numpy as np
import pytest
import torch

from empathy_geometry import datasets
from empathy_geometry.activations.pooled import Activations
from empathy_geometry.evaluation.cross_validation import cross_validate
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.texts.families import family_folds, family_split
from empathy_geometry.texts.labeled_texts import LabeledTexts


def acts(signal: bool) -> Activations:
    texts = datasets.humor_pairs()
    rng = np.random.default_rng(0)
    values = rng.normal(size=(len(texts), 1, 6))
    sign = np.where(texts.labels == "humorous", 1.0, -1.0)
    # The concept is written with the opposite sign in family b, unless there is a signal that both share.
    values[:, 0, 0] += 3 * sign * (1 if signal else np.where(texts.families == "a", 1.0, -1.0))
    return Activations(torch.as_tensor(values), (0,), texts.labels, texts.groups, texts=texts)


@pytest.mark.parametrize("name", [name for name in datasets.ALL if name != "support_moves"])
def test_every_packaged_set_splits_in_halves(name: str) -> None:
    texts = datasets.ALL[name]()
    train, test = family_split(texts)
    assert len(train) == len(test) == len(texts) / 2
    assert set(train.classes) == set(test.classes) == set(texts.classes)
    assert not set(train.groups) & set(test.groups)


def test_split_and_folds_of_activations() -> None:
    train, test = family_split(acts(True), train="b", test="a")
    assert (len(train), len(test)) == (60, 60)
    assert set(train.texts.families) == {"b"}
    folds = family_folds(acts(True))
    assert sorted(np.concatenate([f.test for f in folds]).tolist()) == list(range(120))


def test_folds_tell_a_concept_from_a_phrasing() -> None:
    shared, phrasing = acts(True), acts(False)
    for rows, expected in ((shared, 1.0), (phrasing, 0.0)):
        evaluation = cross_validate(Probe("ridge"), rows, positive="humorous", folds=family_folds(rows))
        assert float(evaluation.auroc) == pytest.approx(expected, abs=0.05)


def test_where_every_scenario_is_in_both_families_no_fold_has_it_on_both_sides() -> None:
    moves = datasets.support_moves()
    folds = family_folds(moves)
    assert [(len(f.train), len(f.test)) for f in folds] == [(256, 256)] * 4
    assert sorted(np.concatenate([f.test for f in folds]).tolist()) == list(range(len(moves)))
    for fold in folds:
        assert not set(moves.groups[fold.train]) & set(moves.groups[fold.test])
        assert not set(moves.families[fold.train]) & set(moves.families[fold.test])
        assert set(moves.labels[fold.train]) == set(moves.classes)
        assert set(moves.contexts[fold.train]) == set(moves.contexts)
    with pytest.raises(
        ValueError, match=r"64 scenario\(s\) are in two families, such as 'crisis-01'.* try family_folds"
    ):
        family_split(moves)
    # One scenario that is in one family only, and it is no longer clear what belongs where.
    rows = np.flatnonzero((moves.groups != "work-04") | (moves.families == "a"))
    with pytest.raises(ValueError, match=r"63 scenario\(s\) are in two families"):
        family_folds(moves[rows])


def test_refusals() -> None:
    plain = LabeledTexts(["a", "b"], ["x", "y"], ["g", "g"])
    with pytest.raises(ValueError, match="without families"):
        family_split(plain)
    mixed = LabeledTexts(["a", "b"], ["x", "y"], ["g", "g"], families=["a", "b"])
    with pytest.raises(ValueError, match="in two families, such as 'g'"):
        family_folds(mixed)
    one = LabeledTexts(["a", "b"], ["x", "y"], ["g", "h"], families=["a", "a"])
    with pytest.raises(ValueError, match="only one family"):
        family_folds(one)
    with pytest.raises(ValueError, match="both are 'a'"):
        family_split(one, train="a", test="a")
    with pytest.raises(ValueError, match="test='b' does not occur among the families"):
        family_split(one)
    lacking = LabeledTexts(["a", "b", "c"], ["x", "y", "x"], ["g", "h", "i"], families=["a", "a", "b"])
    with pytest.raises(ValueError, match=r"class \['y'\] occurs in family 'a' only"):
        family_folds(lacking)
