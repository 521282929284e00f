import numpy as np
import pytest
from planted import pairs, triplets
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from empathy_geometry.evaluation.baselines import CHOSEN, PENALTIES, _scores_by_penalty, baseline_scores, text_baselines
from empathy_geometry.evaluation.cross_validation import cross_validate
from empathy_geometry.evaluation.fold_scores import standardise
from empathy_geometry.evaluation.metrics import auroc, macro_auroc
from empathy_geometry.evaluation.text_features import first_word
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.texts.labeled_texts import LabeledTexts
from empathy_geometry.texts.splits import Fold, grouped_folds

_, Y, GROUPS = pairs(15)
FOLDS = grouped_folds(Y, groups=GROUPS)
TOPICS = ["work", "school", "rain", "money", "sleep"]


def texts(first=("so", "so"), words=("a plan", "a plan"), tail=("", "")) -> list[str]:
    return [f"{first[k]} the {TOPICS[g % 5]} is {words[k]}.{tail[k]}" for k, g in zip(Y, GROUPS, strict=True)]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("first_word", texts(first=("well", "oh"))),
        ("tfidf", texts(words=("a plan", "very sad"))),
        ("length", texts(tail=("", " And then it went on. And on."))),
        ("words_and_marks", texts(words=("a plan!", "a plan?"))),
        ("words_and_marks", texts(words=("a Plan", "a plan"))),
        ("characters", texts(words=("a plan", "a plain"))),
        ("characters", texts(words=("a plan?", "a plan!"))),
        ("covariates", texts(words=("a plan!", "a plan?"))),
        ("covariates", texts(words=("I plan", "you plan"))),
    ],
)
def test_each_baseline_sees_what_it_should(name, told):
    found = text_baselines(told, Y, groups=GROUPS, folds=FOLDS, which=[name])[name]
    assert auroc(found.scores, Y).value == 1.0
    blind = text_baselines(texts(), Y, groups=GROUPS, folds=FOLDS, which=[name])[name]
    assert auroc(blind.scores, Y).value == pytest.approx(0.5)


def test_tfidf_equals_the_sklearn_pipeline():
    rng = np.random.default_rng(0)
    vocabulary = np.array(["warm", "cold", "plan", "sad", "the", "a", "rain"])
    told = [" ".join(rng.choice(vocabulary, 8)) for _ in Y]
    found = baseline_scores(told, Y, folds=FOLDS, which=["tfidf"])["tfidf"]
    rows, expected = np.array(told, dtype=object), np.zeros(len(Y))
    for fold in FOLDS:
        plain = make_pipeline(
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b"),
            LogisticRegression(C=10.0, tol=1e-8, max_iter=10_000),
        ).fit(rows[fold.train], Y[fold.train])
        expected[fold.test] = standardise(
            plain.decision_function(rows[fold.test]), plain.decision_function(rows[fold.train])
        )
    assert np.allclose(found, expected, atol=1e-4)


def test_responses_are_judged_not_prompts():
    told = texts(first=("well", "oh"))
    wrapped = LabeledTexts([f"Same prompt. {t}" for t in told], Y, GROUPS, prompts=["Same prompt. "] * len(Y))
    found = baseline_scores(wrapped, Y, folds=FOLDS, which=["first_word"])["first_word"]
    assert auroc(found, Y).value == 1.0


def test_token_embeddings_and_several_classes():
    X, y, groups = triplets(12, strength=3.0)
    folds = grouped_folds(y, groups=groups)
    found = text_baselines(["same words"] * 36, y, groups=groups, folds=folds, token_embeddings=X)
    assert macro_auroc(found["token_embeddings"].scores, y).value > 0.9
    assert macro_auroc(found["tfidf"].scores, y).value == pytest.approx(0.5)
    assert all(1 <= b.inflation <= 2 for b in found.values())
    assert "token_embeddings" not in text_baselines(["x"] * 36, y, groups=groups, folds=folds)


def test_words_unseen_in_training_do_no_harm():
    told = [f"word{i} only" for i in range(30)]
    assert np.isfinite(baseline_scores(told, Y, folds=FOLDS)["first_word"]).all()


def test_first_word_survives_punctuation():
    assert [first_word(t) for t in ("— «Äh, well»", "I'm here", "1234 !!", "don\u2019t")] == [
        "äh",
        "i'm",
        "",
        "don\u2019t",
    ]


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="which must be one of"):
        text_baselines(texts(), Y, groups=GROUPS, folds=FOLDS, which=["bert"])
    with pytest.raises(ValueError, match="token_embeddings must have 30 rows"):
        text_baselines(texts(), Y, groups=GROUPS, folds=FOLDS, token_embeddings=np.ones((3, 2)))
    with pytest.raises(TypeError, match="sequence of strings"):
        baseline_scores("text", [1], folds=FOLDS)
    crossing = [Fold(np.arange(15, 30), np.arange(15)), Fold(np.arange(15), np.arange(15, 30))]
    with pytest.raises(ValueError, match="training and test at once"):
        text_baselines(texts(), Y, groups=GROUPS, folds=crossing)


@pytest.mark.parametrize(
    ("one", "other"),
    [("fine?", "fine."), ("Fine.", "fine."), ("I see.", "a see."), ("it\u2019s.", "it's."), ("so é", "so e")],
)
def test_what_texts_alone_tell_is_no_excess_of_a_probe_that_sees_it_too(one, other):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 8))
    labels, groups = np.tile([0, 1], 30), np.repeat(np.arange(30), 2)
    rows[:, 0] += 5 * labels
    told = [f"{TOPICS[g % 5]} {TOPICS[g % 3]} {one if k else other}" for k, g in zip(labels, groups, strict=True)]
    found = cross_validate(Probe("ridge"), rows, labels, groups=groups, texts=told)
    assert found.auroc.value > 0.95
    assert found.baselines[CHOSEN].value > 0.95
    assert found.excess.low <= 0


def test_the_best_in_training_is_chosen_without_the_test_rows():
    """Labels without meaning: the best in hindsight is above chance by luck, the one chosen inside is not."""
    inside, hindsight = [], []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        told = [" ".join(rng.choice(TOPICS, 6)) + rng.choice([".", "!", "?"]) for _ in range(36)]
        labels, groups = rng.permutation(np.tile([0, 1], 18)), np.arange(36)
        folds = grouped_folds(labels, groups=groups)
        found = text_baselines(told, labels, groups=groups, folds=folds)
        areas = {name: auroc(b.scores, labels).value for name, b in found.items()}
        inside.append(areas.pop(CHOSEN))
        hindsight.append(max(areas.values()))
    assert abs(np.mean(inside) - 0.5) < 0.06
    assert np.mean(hindsight) > np.mean(inside) + 0.06


def test_the_best_in_training_is_as_good_as_the_one_that_knows():
    told = texts(words=("a plan?", "a plan!"))
    found = text_baselines(told, Y, groups=GROUPS, folds=FOLDS)
    assert auroc(found[CHOSEN].scores, Y).value == 1.0
    assert auroc(found["tfidf"].scores, Y).value < 0.8


def test_penalties_are_chosen_inside_the_training_rows():
    """What happens to the labels of test rows must not move their own scores."""
    told = texts(words=("a plan", "very sad"))
    before = text_baselines(told, Y, groups=GROUPS, folds=FOLDS, which=["tfidf"])["tfidf"].scores[FOLDS[0].test]
    changed = Y.copy()
    changed[FOLDS[0].test] = 1 - changed[FOLDS[0].test]
    after = text_baselines(told, changed, groups=GROUPS, folds=FOLDS, which=["tfidf"])["tfidf"]
    assert np.allclose(before, after.scores[FOLDS[0].test])


def test_the_same_question_is_answered_once_and_another_anew():
    told = texts(words=("a plan", "very sad"))
    ask = {"groups": GROUPS, "folds": FOLDS, "which": ["tfidf"]}
    first = text_baselines(told, Y, **ask)["tfidf"]
    assert text_baselines(list(told), Y.copy(), **ask)["tfidf"] is first
    assert text_baselines([*told[:-1], "other words"], Y, **ask)["tfidf"] is not first
    assert text_baselines(told, 1 - Y, **ask)["tfidf"] is not first
    with pytest.raises(ValueError, match="read-only"):
        first.scores[0] = 9


@pytest.mark.parametrize("told", ["\U0001f642", "...", "x", "5"])
def test_texts_without_a_word_are_no_error(told):
    found = text_baselines([told] * len(Y), Y, groups=GROUPS, folds=FOLDS)
    assert all(auroc(b.scores, Y).value == pytest.approx(0.5) for b in found.values())


def test_token_embeddings_of_many_correlated_features_are_solved_as_scikit_learn_does():
    rng = np.random.default_rng(0)
    n, d = 400, 320
    y, groups = np.tile([0, 1], n // 2), np.repeat(np.arange(n // 2), 2)
    X = rng.normal(size=(n, 1)) + 0.03 * (rng.normal(size=(n, d)) + 0.3 * rng.normal(size=d) * y[:, None])
    folds = grouped_folds(y, groups=groups, n_splits=2)
    found = text_baselines(["a b"] * n, y, groups=groups, folds=folds, token_embeddings=X, which=["token_embeddings"])
    assert np.isfinite(found["token_embeddings"].scores).all()
    part = folds[0]
    for C, own in zip(PENALTIES, _scores_by_penalty(Probe("logistic"), X, y, part), strict=True):
        scaled = (X - X[part.train].mean(0)) / X[part.train].std(0)
        theirs = LogisticRegression(C=C, max_iter=5000, tol=1e-8).fit(scaled[part.train], y[part.train])
        assert np.corrcoef(own, theirs.decision_function(scaled[part.test]))[0, 1] > 0.999
