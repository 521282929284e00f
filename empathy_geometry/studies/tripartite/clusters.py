"""Do the classes form clusters without labels? Purity, adjusted Rand index and silhouette, with permutation nulls."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import adjusted_rand_score, silhouette_score

from empathy_geometry.evaluation.clusters import adjusted_rand, purity, silhouette
from empathy_geometry.evaluation.nulls import NullTest, label_null
from empathy_geometry.foundation._types import FloatArray, IntArray, StrArray
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.studies.finding import Finding, Verdict
from empathy_geometry.studies.tripartite.section import Section
from empathy_geometry.studies.tripartite.setup import Setup, rows_of
from empathy_geometry.studies.tripartite.subject import Subject
from empathy_geometry.studies.verdicts import ALPHA, ends

RULE = (
    "supported: permutation p <= 0.05 and the interval lies above the same number of a bag of words, and above 0; not "
    "supported: p > 0.05, or the interval lies at or below it; else cannot tell. A perfect value counts as above"
)


def clusters(setup: Setup) -> Section:
    """k-means with a cluster for each class, rows as they are and centred within scenarios; beside a bag of words."""
    acts, subject = setup.studied(), setup.subject
    k = len(subject.classes)
    assert acts.texts is not None  # extraction keeps them
    words = _bag_of_words(acts.texts.responses, setup.seed)
    lines: list[Finding] = []
    numbers: dict[str, Any] = {}
    for space in ("as they are", "centred within scenarios"):
        rows, baseline = rows_of(acts, setup.at), words
        if space != "as they are":
            rows, baseline = _centred(rows, acts.groups), _centred(words, acts.groups)
        found, told = _clustered(rows, k, setup.seed), _clustered(baseline, k, setup.seed)
        for name, measure, quick, ours, theirs in _measures(
            rows, baseline, found, told, acts.labels, acts.groups, subject
        ):
            test = label_null(
                quick, acts.labels, groups=acts.groups, n_permutations=setup.n_permutations, seed=setup.seed
            )
            numbers[f"{name}, {space}"] = {"ours": ours, "words": theirs, "pvalue": test.pvalue}
            lines.append(_line(name, space, measure, ours, theirs, test, subject))
    return Section("clusters", "Clusters without labels", tuple(lines), {"layer": setup.at, **numbers})


Measure = tuple[str, str, Callable[[np.ndarray], float], Estimate, Estimate]


def _measures(
    rows: FloatArray,
    words: FloatArray,
    found: IntArray,
    told: IntArray,
    labels: StrArray,
    groups: StrArray,
    subject: Subject,
) -> list[Measure]:
    """Name, description, statistic of permuted labels, our estimate, that of the words."""
    return [
        (
            "purity",
            "purity of k-means",
            lambda y: float(purity(found, y)),
            purity(found, labels, groups=groups),
            purity(told, labels, groups=groups),
        ),
        (
            "adjusted Rand",
            "adjusted Rand index of k-means",
            lambda y: float(adjusted_rand_score(y, found)),
            adjusted_rand(found, labels, groups=groups),
            adjusted_rand(told, labels, groups=groups),
        ),
        (
            "silhouette",
            f"silhouette of the {subject.several}",
            lambda y: float(silhouette_score(rows, y)),
            silhouette(rows, labels, groups=groups),
            silhouette(words, labels, groups=groups),
        ),
    ]


def _line(
    name: str, space: str, described: str, ours: Estimate, words: Estimate, test: NullTest, subject: Subject
) -> Finding:
    low, high = ends(ours) if ours.value < 1 else (1.0, 1.0)
    verdict: Verdict = "cannot tell"
    if test.pvalue > ALPHA or high <= words.value:
        verdict = "not supported"
    elif low > max(words.value, 0.0):
        verdict = "supported"
    null = test.null_distribution
    return Finding(
        f"{name}, {space}",
        f"the {subject.several} are clusters of their own ({name}; rows {space})",
        "-",
        described,
        ours,
        f"bag of words {words}",
        f"mean {null.mean():.3f}, 95 % point {np.quantile(null, 0.95):.3f}, p = {test.pvalue:.3g} ({test.scheme})",
        verdict,
        RULE,
    )


def _clustered(rows: FloatArray, k: int, seed: int) -> IntArray:
    return np.asarray(KMeans(k, n_init=20, random_state=seed).fit_predict(rows), dtype=np.int64)


def _centred(rows: FloatArray, groups: StrArray) -> FloatArray:
    index = np.unique(groups, return_inverse=True)[1].reshape(-1)
    means = np.zeros((index.max() + 1, rows.shape[1]))
    np.add.at(means, index, rows)
    return np.asarray(rows - (means / np.bincount(index)[:, None])[index])


def _bag_of_words(texts: tuple[str, ...], seed: int) -> FloatArray:
    """TF-IDF in its main axes, as is usual before k-means."""
    counts = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b").fit_transform(texts)
    size = min(100, counts.shape[0] - 1, counts.shape[1] - 1)
    return np.asarray(TruncatedSVD(size, random_state=seed).fit_transform(counts), dtype=np.float64)
