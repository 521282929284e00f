"""A frozen direction follows ratings that were planted, its words do where words carry them, and nothing moves it."""

import numpy as np
import pytest
import torch

from empathy_geometry.activations.pooled import Activations
from empathy_geometry.evaluation.carried_over import carried_over
from empathy_geometry.geometry.directions import ConceptDirection
from empathy_geometry.studies.frozen_readings import freeze_reading, human_truth
from empathy_geometry.studies.label_meanings import what_labels_mean
from empathy_geometry.texts.labeled_texts import LabeledTexts

WORDS = {"warmth": "so sorry friend", "question": "when was that ?", "advice": "try the office"}


def packaged(*, words: bool) -> Activations:
    r = np.random.default_rng(0)
    labels = [move for _ in range(20) for move in WORDS]
    X = r.normal(size=(60, 1, 8))
    for axis, move in enumerate(WORDS):
        X[:, 0, axis] += 3 * np.array([label == move for label in labels])
    said = [WORDS[label] if words else "well the day began" for label in labels]
    groups = np.repeat(np.arange(20), 3)
    texts = LabeledTexts(said, labels, groups)
    return Activations(torch.tensor(X), (4,), labels, groups, texts=texts)


def rated(*, words: bool) -> Activations:
    r = np.random.default_rng(1)
    levels = r.integers(0, 3, 150)
    X = r.normal(size=(150, 1, 8))
    X[:, 0, 0] += 1.5 * levels
    said = [f"{'so sorry' if level and words else 'the bus'} came {i}" for i, level in enumerate(levels)]
    groups = np.arange(150) // 2
    texts = LabeledTexts(said, ["text"] * 150, groups, targets={"felt": levels})
    return Activations(torch.tensor(X), (4,), ["text"] * 150, groups, texts=texts)


def test_a_frozen_direction_follows_planted_ratings_beyond_words() -> None:
    acts, people = packaged(words=False), rated(words=False)
    reading = freeze_reading(acts, "felt", {"warmth": 1.0}, layer=4, alpha=10.0)
    found = human_truth([reading], acts, people)
    assert float(found.auroc["felt"]) > 0.85
    assert found.spearman["felt"].low > 0.5
    assert found.excess["felt"].low > 0.1
    assert reading.sha256[:16] in str(found)
    assert freeze_reading(acts, "felt", {"warmth": 1.0}, layer=4, alpha=10.0).sha256 == reading.sha256
    assert freeze_reading(acts, "felt", {"warmth": 1.0}, layer=4, alpha=11.0).sha256 != reading.sha256
    other = freeze_reading(acts, "felt", {"question": 1.0}, layer=4, alpha=10.0)
    assert float(human_truth([other], acts, people).auroc["felt"]) < 0.5
    assert found.to_dict()["type"] == "HumanTruth"


def test_words_that_carry_over_leave_no_excess() -> None:
    acts = packaged(words=True)
    reading = freeze_reading(acts, "felt", {"warmth": 2.0, "question": 1.0}, layer=4, alpha=10.0)
    found = human_truth([reading], acts, rated(words=True))
    assert float(found.words["felt"]) > 0.9
    assert found.excess["felt"].low < 0


def test_words_carried_over_see_marks_and_case_and_not_the_new_texts() -> None:
    texts, y = ["well?", "well.", "so?", "so."] * 5, [1, 0, 1, 0] * 5
    found = carried_over(texts, y, ["good?", "good."], groups=np.arange(20) // 2)
    assert found.scores["best_in_training"][0] > found.scores["best_in_training"][1]
    more = carried_over(texts, y, ["good?", "good.", "another text entirely"], groups=np.arange(20) // 2)
    for name, scores in found.scores.items():
        assert np.allclose(more.scores[name][:2], scores), name


def test_what_is_refused() -> None:
    acts = packaged(words=False)
    with pytest.raises(ValueError, match="no labels of the packaged texts"):
        freeze_reading(acts, "felt", {"kindness": 1.0}, layer=4)
    reading = freeze_reading(acts, "other", {"warmth": 1.0}, layer=4)
    with pytest.raises(ValueError, match="target 'other' is unknown"):
        human_truth([reading], acts, rated(words=False))
    with pytest.raises(ValueError, match="does not say its layer"):
        what_labels_mean(ConceptDirection(torch.ones(8)), acts)


def test_what_labels_mean_finds_the_planted_class() -> None:
    acts = packaged(words=False)
    directions = {move: freeze_reading(acts, move, {move: 1.0}, layer=4).direction for move in WORDS}
    found = what_labels_mean(directions, acts)
    for move in WORDS:
        areas = {label: float(e) for label, e in found.auroc[move].items()}
        assert max(areas, key=lambda label: areas[label]) == move
    ax = found.plot()
    assert [text.get_text() for text in ax.get_yticklabels()] == list(WORDS)
