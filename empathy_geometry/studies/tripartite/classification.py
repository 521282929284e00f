"""Can the three types be told apart, two and two and all at once, and by more than words?"""

from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.studies.tripartite.finding import Finding, Section
from empathy_geometry.studies.tripartite.sets import TYPES
from empathy_geometry.studies.tripartite.setup import PAIRS, Detection, Setup, most_chosen
from empathy_geometry.studies.tripartite.verdicts import ALPHA, GREATER, ends

REFERENCE = "AUROC 1.0 (on its texts TF-IDF alone: accuracy 1.0, first word 0.95)"


def classification(setup: Setup) -> Section:
    """Pairs and the three-way problem, layer chosen inside the training folds, with permutation tests over layers."""
    acts = setup.types()
    found: dict[str, Detection] = {" - ".join(pair): setup.detect(acts, pair) for pair in PAIRS}
    found["three-way"] = whole = setup.detect_types()
    if setup.layer is None:
        setup.layer = most_chosen(whole.evaluation.chosen_layers)
    lines = [
        d.finding(
            f"classification {name}",
            "the three types are told apart, beyond words"
            if name == "three-way"
            else f"{name}: told apart, beyond words",
            reference=REFERENCE,
        )
        for name, d in found.items()
    ]
    numbers = {name: d.numbers() for name, d in found.items()}
    return Section(
        "classification",
        "Classification of the three types",
        (*lines, _accuracy(whole), _null(whole)),
        {"layer": setup.layer, **numbers},
    )


def _accuracy(d: Detection) -> Finding:
    e = d.evaluation
    chance = 1 / len(TYPES)
    low, high = ends(e.accuracy)
    verdict = "supported" if low > chance else "not supported" if high <= chance else "cannot tell"
    return Finding(
        "accuracy three-way",
        "three-way accuracy is above chance",
        "-",
        "accuracy",
        e.accuracy,
        best_words(d),
        f"chance {chance:.3f}",
        verdict,  # type: ignore[arg-type]
        GREATER.format("1/3") + " (chance, not words: see the lines above for those)",
    )


def best_words(d: Detection) -> str:
    """Accuracy of the best text-only baseline, from its out-of-fold scores."""
    e = d.evaluation
    if e.best_baseline is None:
        return "no texts"
    from empathy_geometry.evaluation.metrics import accuracy

    scores = e.baseline_scores[e.best_baseline]
    names = [e.classes[i] for i in (scores.argmax(axis=1) if scores.ndim == 2 else (scores > 0).astype(int))]
    return f"{e.best_baseline} {accuracy(names, e.labels, groups=e.groups)}"


def _null(d: Detection) -> Finding:
    t = d.test
    null = t.null_distribution
    verdict = "supported" if t.pvalue <= ALPHA else "not supported"
    return Finding(
        "null distribution",
        "the best layer's three-way AUROC exceeds the distribution under shuffled labels",
        "-",
        f"AUROC, largest of {len(t.layers)} layers,",
        Estimate(t.statistic, n=t.n, n_groups=t.n_groups, method="no interval: see the null"),
        "-",
        f"mean {null.mean():.3f}, 95 % point {t.critical_value():.3f}, p = {t.pvalue:.3g}, {len(null)} permutations "
        f"{t.scheme} scenarios",
        verdict,  # type: ignore[arg-type]
        "supported: p <= 0.05, layers paid for (max-T); else not supported. Says nothing about words",
    )
