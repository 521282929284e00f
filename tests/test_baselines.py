import numpy as np
import pytest
from planted import pairs, triplets
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from empathy_geometry.evaluation.baselines import baseline_scores, first_word, text_baselines
from empathy_geometry.evaluation.fold_scores import standardise
from empathy_geometry.evaluation.metrics import auroc, macro_auroc
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
    with pytest.raises(TypeError, match="one string"):
        baseline_scores("text", [1], folds=FOLDS)
    crossing = [Fold(np.arange(15, 30), np.arange(15)), Fold(np.arange(15), np.arange(15, 30))]
    with pytest.raises(ValueError, match="training and test at once"):
        text_baselines(texts(), Y, groups=GROUPS, folds=crossing)
