"""Does what was learned in one language hold in another? Scenarios held out in both, because the texts are parallel."""

import numpy as np
import torch

from empathy_geometry.activations.pooled import Activations
from empathy_geometry.evaluation.baselines import baseline_scores
from empathy_geometry.evaluation.fold_scores import decision_values, standardise
from empathy_geometry.evaluation.metrics import macro_auroc
from empathy_geometry.evaluation.ranking import one_vs_rest
from empathy_geometry.evaluation.text_features import BaselineName
from empathy_geometry.foundation._types import FloatArray, IntArray
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.studies.finding import Finding, Verdict
from empathy_geometry.studies.tripartite.section import Section
from empathy_geometry.studies.tripartite.setup import Setup, rows_of
from empathy_geometry.studies.verdicts import ends
from empathy_geometry.texts.splits import Fold, grouped_folds
from empathy_geometry.texts.token_ids import TokenIds

_RESAMPLES = 500
_COUNTED: tuple[BaselineName, ...] = ("tfidf", "words_and_marks", "characters", "model_tokens")

RULE = (
    "supported: the mean AUROC between languages lies above the larger of 1/2 and the best text-only baseline "
    "transferred alike; not supported: at or below it, or below 0.6; else cannot tell"
)


def languages(setup: Setup) -> Section:
    """Three-way AUROC, trained in one language, tested in another, on scenarios that neither has seen."""
    names = list(setup.empathy.languages)
    acts = [setup.source.activations(texts, setup.position) for texts in setup.empathy.languages.values()]
    first = acts[0]
    for other in acts[1:]:
        if not (np.array_equal(first.labels, other.labels) and np.array_equal(first.groups, other.groups)):
            raise ValueError("the languages must hold the same scenarios and classes in the same order")
    codes = np.unique(first.labels, return_inverse=True)[1].reshape(-1)
    folds = grouped_folds(codes, groups=first.groups, seed=setup.seed)
    rows = [rows_of(a, setup.at) for a in acts]
    probed = _transferred(rows, codes, folds, setup.probe)
    readers: dict[str, dict[tuple[int, int], FloatArray]] = _words(acts, codes, folds)
    if all(a.token_embeddings is not None for a in acts):
        embedded = [a.token_embeddings.double().numpy() for a in acts]  # type: ignore[union-attr]
        readers["token_embeddings"] = _transferred(embedded, codes, folds, setup.probe)
    between = _mean(probed, codes, first.groups, setup.seed)
    words = {name: _mean(scores, codes, first.groups, setup.seed) for name, scores in readers.items()}
    best = max(words, key=lambda name: words[name].value)
    threshold = max(0.5, words[best].value)
    low, high = ends(between)
    verdict: Verdict = (
        "supported" if low > threshold else "not supported" if high <= max(threshold, 0.6) else "cannot tell"
    )
    areas = {
        f"{names[i]} to {names[j]}": macro_auroc(scores, codes, groups=first.groups)
        for (i, j), scores in probed.items()
    }
    within = float(np.mean([areas[f"{n} to {n}"].value for n in names]))
    line = Finding(
        "languages",
        "the separation transfers between languages",
        "-",
        "mean AUROC between languages",
        between,
        f"{best}, transferred alike, {words[best]}",
        f"0.5; within languages {within:.3f}",
        verdict,
        RULE,
        f"{len(np.unique(first.groups))} scenarios, held out in every language",
    )
    numbers = {"layer": setup.at, "languages": names, "auroc": areas, "baselines": words}
    return Section("languages", "Transfer between languages", (line,), numbers)


def _transferred(
    rows: list[FloatArray], codes: IntArray, folds: tuple[Fold, ...], probe: Probe
) -> dict[tuple[int, int], FloatArray]:
    """Out-of-fold scores in each language of probes trained in each, [n, n_classes]."""
    found = {(i, j): np.zeros((len(codes), int(codes.max()) + 1)) for i in range(len(rows)) for j in range(len(rows))}
    for fold in folds:
        for i, source in enumerate(rows):
            fitted = probe.fit(source[fold.train], codes[fold.train])
            seen = decision_values(fitted, source[fold.train])
            for j, target in enumerate(rows):
                found[i, j][fold.test] = standardise(decision_values(fitted, target[fold.test]), seen)
    return found


def _words(
    acts: list[Activations], codes: IntArray, folds: tuple[Fold, ...]
) -> dict[str, dict[tuple[int, int], FloatArray]]:
    """The same of each text-only baseline that counts."""
    n = len(codes)
    tokens = [a.token_ids for a in acts]
    known = [t for t in tokens if t is not None]
    which = [name for name in _COUNTED if name != "model_tokens" or len(known) == len(acts)]
    found: dict[str, dict[tuple[int, int], FloatArray]] = {name: {} for name in which}
    for i, source in enumerate(acts):
        for j, target in enumerate(acts):
            assert source.texts is not None
            assert target.texts is not None
            texts = [*source.texts.responses, *target.texts.responses]
            across = [Fold(fold.train, n + fold.test) for fold in folds]
            scores = baseline_scores(
                texts,
                np.tile(codes, 2),
                folds=across,
                token_ids=TokenIds.joined([known[i], known[j]]) if "model_tokens" in which else None,
                which=which,
            )
            for name in which:
                found[name][i, j] = scores[name][n:]
    return found


def _mean(scores: dict[tuple[int, int], FloatArray], codes: IntArray, groups: np.ndarray, seed: int) -> Estimate:
    """Mean AUROC over pairs of different languages, scenarios resampled in all languages at once."""
    across = torch.from_numpy(np.stack([s.T for (i, j), s in scores.items() if i != j]))
    labels = torch.from_numpy(codes)
    index = np.unique(groups, return_inverse=True)[1].reshape(-1)
    members = [np.flatnonzero(index == g) for g in range(int(index.max()) + 1)]
    rng = np.random.default_rng(seed)

    def mean(rows: IntArray) -> float:
        chosen = torch.from_numpy(rows)
        return float(one_vs_rest(across[:, :, chosen], labels[chosen].expand(len(across), -1), "auroc").mean())

    resampled = [
        mean(np.concatenate([members[k] for k in rng.integers(len(members), size=len(members))]))
        for _ in range(_RESAMPLES)
    ]
    low, high = np.quantile(resampled, [0.025, 0.975])
    value = mean(np.arange(len(codes)))
    return Estimate(value, float(low), float(high), 0.95, len(codes), len(members), "bootstrap over scenarios")
