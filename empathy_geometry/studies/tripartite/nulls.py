"""What must come out null: random weights, and shuffled labels, each through the whole analysis."""

from dataclasses import replace

import numpy as np

from empathy_geometry.evaluation.metrics import auroc_excess
from empathy_geometry.evaluation.nulls import shuffled_labels
from empathy_geometry.studies.finding import Finding, Verdict
from empathy_geometry.studies.tripartite.section import Section
from empathy_geometry.studies.tripartite.setup import Detection, Setup, best_baseline, words_of
from empathy_geometry.studies.verdicts import GREATER, NULL, greater, null_holds

SHUFFLED_RULE = (
    "supported (the null holds): the {} AUROC of shuffled labels, layer chosen in training folds, lies within "
    "the central 95 % of the permutation distribution of the largest layer or below it; else not supported"
)


def random_weights(setup: Setup) -> Section:
    """All classes through the same architecture with random weights, beside the trained model."""
    several = setup.subject.several
    control = setup.detect_all(random=True)
    trained = setup.detect_all()
    e = control.evaluation
    t = trained.evaluation
    gain = auroc_excess(
        t.scores,
        {"random weights": e.scores},
        np.array([t.classes.index(label) for label in t.labels.tolist()]),
        groups=t.groups,
        inflation=t.variance_inflation,
        baseline_inflation={"random weights": e.variance_inflation},
    )["random weights"]
    lines = (
        Finding(
            "random weights",
            f"through random weights the {several} are not told apart beyond words (a null that must hold)",
            "-",
            "AUROC",
            e.auroc,
            best_baseline(e),
            _null(control),
            null_holds(e.excess, words_of(e)),
            NULL,
            "random weights still tell words apart, so that the null is no excess, not an AUROC of 1/2",
        ),
        Finding(
            "trained against random weights",
            "training adds to what the architecture gives",
            "-",
            "AUROC, trained - random,",
            gain,
            f"trained {t.auroc}, random {e.auroc}",
            "0",
            greater(gain, 0.0),
            GREATER.format("0"),
        ),
    )
    return Section("random_weights", "Random weights", lines, {"random": control.numbers()})


def shuffled(setup: Setup) -> Section:
    """Labels shuffled once within scenarios, then everything as with true ones."""
    acts = setup.studied()
    # Another seed than the permutation test's, whose first draw this would be.
    drawn = shuffled_labels(acts.labels, groups=acts.groups, n=1, seed=setup.seed + 1)[0].astype(str)
    found = setup.detect(replace(acts, labels=drawn), setup.subject.classes)
    e, null = found.evaluation, found.test.null_distribution
    verdict: Verdict = "supported" if e.auroc.value <= np.quantile(null, 0.975) else "not supported"
    line = Finding(
        "shuffled labels",
        "shuffled labels are not told apart (a null that must hold)",
        "-",
        "AUROC",
        e.auroc,
        best_baseline(e),
        _null(found),
        verdict,
        SHUFFLED_RULE.format(setup.subject.ways),
    )
    return Section("shuffled_labels", "Shuffled labels", (line,), found.numbers())


def _null(d: Detection) -> str:
    t = d.test
    return (
        f"mean {t.null_distribution.mean():.2f}, 95 % point {t.critical_value():.2f}, p = {t.pvalue:.3g} "
        f"(max over {len(t.layers)} layers)"
    )
