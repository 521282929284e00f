"""Can the classes be told apart, two and two and all at once, and by more than words?"""

import numpy as np

from empathy_geometry.evaluation.metrics import accuracy
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.layers import most_chosen
from empathy_geometry.studies.finding import Finding
from empathy_geometry.studies.tripartite.section import Section
from empathy_geometry.studies.tripartite.setup import Detection, Setup, named_by
from empathy_geometry.studies.tripartite.subject import Subject
from empathy_geometry.studies.verdicts import ALPHA, GREATER, ends

REFERENCE = "AUROC 1.0 (on its texts TF-IDF alone: accuracy 1.0, first word 0.95)"


def classification(setup: Setup) -> Section:
    """Pairs and all classes at once, layer chosen inside the training folds, with permutation tests over layers."""
    acts, subject = setup.studied(), setup.subject
    found: dict[str, Detection] = {}
    if len(subject.classes) > 2:
        found = {" - ".join(pair): setup.detect(acts, pair) for pair in subject.pairs}
    found[subject.whole] = whole = setup.detect_all()
    if setup.layer is None:
        setup.layer = most_chosen(whole.evaluation.chosen_layers)
    lines = [
        d.finding(
            f"classification {name}",
            f"{subject.all} are told apart, beyond words"
            if name == subject.ways
            else f"{name}: told apart, beyond words",
            reference=REFERENCE if subject.is_empathy else "-",
        )
        for name, d in found.items()
    ]
    numbers = {name: d.numbers() for name, d in found.items()}
    return Section(
        "classification",
        f"Classification of {subject.all}",
        (*lines, _accuracy(whole, subject), _null(whole, subject)),
        {"layer": setup.layer, **numbers},
    )


def _accuracy(d: Detection, subject: Subject) -> Finding:
    e = d.evaluation
    counts = np.unique(e.labels, return_counts=True)[1]
    # Whoever always names the largest class is right that often.
    chance = float(counts.max() / counts.sum())
    shown = f"1/{len(counts)}" if np.ptp(counts) == 0 else f"{chance:.3f}, the share of the largest class"
    low, high = ends(e.accuracy)
    verdict = "supported" if low > chance else "not supported" if high <= chance else "cannot tell"
    return Finding(
        f"accuracy {subject.ways}",
        f"{subject.ways} accuracy is above chance",
        "-",
        "accuracy",
        e.accuracy,
        best_words(d),
        f"chance {chance:.3f}",
        verdict,  # type: ignore[arg-type]
        GREATER.format(shown) + " (chance, not words: see the lines above for those)",
    )


def best_words(d: Detection) -> str:
    """Accuracy of the best text-only baseline, from its out-of-fold scores."""
    e = d.evaluation
    if e.best_baseline is None:
        return "no texts"
    told = named_by(e.baseline_scores[e.best_baseline], e.classes)
    return f"{e.best_baseline} {accuracy(told, e.labels, groups=e.groups)}"


def _null(d: Detection, subject: Subject) -> Finding:
    t = d.test
    null = t.null_distribution
    verdict = "supported" if t.pvalue <= ALPHA else "not supported"
    return Finding(
        "null distribution",
        f"the best layer's {subject.ways} AUROC exceeds the distribution under shuffled labels",
        "-",
        f"AUROC, largest of {len(t.layers)} layers,",
        Estimate(t.statistic, n=t.n, n_groups=t.n_groups, method="no interval: see the null"),
        "-",
        f"mean {null.mean():.3f}, 95 % point {t.critical_value():.3f}, p = {t.pvalue:.3g}, {len(null)} permutations "
        f"{t.scheme} scenarios",
        verdict,  # type: ignore[arg-type]
        "supported: p <= 0.05, layers paid for (max-T); else not supported. Says nothing about words",
    )
