"""Is it length? The classes after everything that length predicts is taken out."""

import numpy as np

from empathy_geometry.evaluation.covariates import CovariateControl, length_covariates, residualise
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.studies.finding import Finding
from empathy_geometry.studies.tripartite.section import Section
from empathy_geometry.studies.tripartite.setup import Setup, rows_of, smallest
from empathy_geometry.studies.verdicts import SURVIVAL, survival

NAMES = ("characters", "words", "sentences")


def length(setup: Setup) -> Section:
    """Characters, words and sentences regressed out inside the training folds, pair by pair."""
    acts = setup.studied()
    assert acts.texts is not None  # extraction keeps them
    found: dict[str, CovariateControl] = {}
    for a, b in setup.subject.pairs:
        pair = acts.where(label=[a, b])
        assert pair.texts is not None
        columns = length_covariates(pair.texts)
        varies = np.ptp(columns, axis=0) > 0
        if not varies.any():
            continue
        found[f"{a} - {b}"] = residualise(
            rows_of(pair, setup.at),
            pair.labels == a,
            columns[:, varies],
            groups=pair.groups,
            names=[n for n, v in zip(NAMES, varies, strict=True) if v],
            seed=setup.seed,
        )
    shares: dict[str, Estimate | None] = {name: c.surviving for name, c in found.items()}
    worst, share = smallest(shares) if shares else ("", None)
    alone = f"length alone: AUROC {found[worst].covariates_alone}" if found else "all responses are of one length"
    line = Finding(
        "length",
        f"{setup.subject.all} do not rest on length",
        "-",
        f"share surviving ({worst})",
        share,
        alone,
        f"AUROC before {found[worst].before}, after {found[worst].after}" if found else "-",
        survival(share, controls_hold=True),
        SURVIVAL,
        f"{setup.subject.which_pair}; " + (" ".join(found[worst].notes) if found else ""),
    )
    numbers = {name: c.to_dict() for name, c in found.items()}
    return Section("length", "Length residualised", (line,), numbers)
