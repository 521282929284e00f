"""From readouts under edits to rows with intervals, ranks and verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from empathy_geometry.causal.dose_response import DoseResponse, dose_response, mean_over_scenarios
from empathy_geometry.causal.edit_values import BASE, READOUTS, EditValues, Key
from empathy_geometry.causal.preparation import Preparation
from empathy_geometry.causal.result import CausalEffect, Readout, Test
from empathy_geometry.causal.specificity import SpecificityMatrix, specificity_matrix
from empathy_geometry.causal.verdicts import judge
from empathy_geometry.causal.written_text import UNEDITED, WrittenTexts
from empathy_geometry.evaluation.metrics import auroc
from empathy_geometry.evaluation.nulls import empirical_pvalue
from empathy_geometry.foundation._types import FloatArray
from empathy_geometry.foundation.estimate import Estimate


def _rank(effect: float, controls: Mapping[str, FloatArray]) -> float:
    """The larger of the p-values against each kind of direction that means nothing."""
    kinds = [kind for kind in ("isotropic", "shuffled labels") if kind in controls]
    return max(empirical_pvalue(effect, controls[kind]) for kind in kinds)


def separates(values: EditValues, target: int, readout: int) -> Estimate:
    """AUROC of a readout between the classes on all test scenarios, unedited."""
    scenarios = np.unique(values.texts.groups)
    return _auroc(values, BASE, target, readout, scenarios)


def _auroc(values: EditValues, key: Key, target: int, readout: int, scenarios: np.ndarray) -> Estimate:
    sides = [values.side(key, target, readout, positive=p, scenarios=scenarios) for p in (True, False)]
    n = len(scenarios)
    return auroc(np.concatenate(sides), np.repeat([True, False], n), groups=np.tile(np.arange(n), 2))


def sufficiency_rows(
    values: EditValues,
    prepared: Preparation,
    target: int,
    dose: float,
    valid: Mapping[str, Estimate],
    others: Sequence[str],
) -> list[CausalEffect]:
    """Adding one direction, on every readout: how far texts of the negative classes move."""
    t = prepared.targets[target]
    length = t.length * dose
    rows = []
    for k, readout in enumerate(READOUTS):
        effect = mean_over_scenarios(values.shift(("add", t.name, dose), target, k))
        found = {
            kind: np.array([values.shift(("add", kind, i, length), target, k).mean() for i in range(len(vectors))])
            for kind, vectors in prepared.nulls.items()
        }
        found |= {n: np.array([values.shift(("add", "control", n, length), target, k).mean()]) for n in others}
        apart = float(values.separation(BASE, target, k).mean())
        rows.append(
            _row(t.name, "sufficiency", readout, "add", effect, found, valid[readout], apart=apart)  # type: ignore[arg-type]
        )
    return rows


def necessity_rows(
    values: EditValues,
    prepared: Preparation,
    target: int,
    valid: Mapping[str, Estimate],
    others: Sequence[str],
) -> list[CausalEffect]:
    """Taking one direction out, on every readout: how much closer the classes come."""
    t = prepared.targets[target]
    rows = []
    for k, readout in enumerate(READOUTS):
        base = values.separation(BASE, target, k)

        def loss(key: Key, base: FloatArray = base, k: int = k) -> FloatArray:
            return np.asarray(base - values.separation(key, target, k))

        found = {
            kind: np.array([loss(("mean_ablate", t.name, kind, i)).mean() for i in range(len(vectors))])
            for kind, vectors in prepared.nulls.items()
        }
        found |= {n: np.array([loss(("mean_ablate", t.name, "control", n)).mean()]) for n in others}
        before = _auroc(values, BASE, target, k, values.edited)
        for operation in ("mean_ablate", "ablate"):
            key = (operation, t.name)
            rows.append(
                _row(
                    t.name,
                    "necessity",
                    readout,  # type: ignore[arg-type]
                    operation,
                    mean_over_scenarios(loss(key)),
                    found,
                    valid[readout],
                    before,
                    _auroc(values, key, target, k, values.edited),
                    float(base.mean()),
                )
            )
    return rows


def _row(
    name: str,
    test: Test,
    readout: Readout,
    operation: str,
    effect: Estimate,
    controls: Mapping[str, FloatArray],
    valid: Estimate,
    before: Estimate | None = None,
    after: Estimate | None = None,
    apart: float | None = None,
) -> CausalEffect:
    pvalue = _rank(effect.value, controls)
    verdict, note = judge(effect, pvalue, valid)
    readable = apart is not None and apart > 0 and valid.low is not None and valid.low > 0.5
    share = _share(effect, apart) if readable and apart is not None else None
    return CausalEffect(name, test, readout, operation, effect, controls, pvalue, before, after, verdict, note, share)


def _share(effect: Estimate, apart: float) -> Estimate:
    """The effect in units of the distance between the classes, which is taken as known."""
    low, high = (None if end is None else end / apart for end in (effect.low, effect.high))
    return replace(effect, value=effect.value / apart, low=low, high=high, method=f"{effect.method}; share")


def written_rows(
    written: WrittenTexts,
    values: EditValues,
    prepared: Preparation,
    target: int,
    valid: Mapping[str, Estimate],
    others: Sequence[str],
) -> list[CausalEffect]:
    """What the model writes under one direction, and under its instruction; no rows where it writes nothing."""
    t = prepared.targets[target]
    spread = values.spread(target, READOUTS.index("later layers"))

    def shift(name: str) -> FloatArray:
        moved = (written.scores[name][:, target] - written.scores[UNEDITED][:, target]) / spread
        return np.asarray(moved[np.isfinite(moved)])

    rows = []
    effects = {name: shift(name) for name in (t.name, f"prompt: {t.name}")}
    if min(map(len, effects.values())) < 2:
        return []
    isotropic = [shift(f"isotropic {i + 1}") for i in range(len(prepared.nulls["isotropic"]))]
    found = {"isotropic": np.array([s.mean() for s in isotropic if len(s)])}
    found |= {n: np.array([s.mean()]) for n in others if len(s := shift(f"control: {n}"))}
    effect = mean_over_scenarios(effects[t.name])
    rows.append(_row(t.name, "sufficiency", "written text", "add", effect, found, valid["later layers"]))
    baseline = mean_over_scenarios(effects[f"prompt: {t.name}"])
    rows.append(
        CausalEffect(t.name, "prompt baseline", "written text", "instruction", baseline, {}, None, None, None, "")
    )
    return rows


def damage_rows(
    damage: Mapping[Key, FloatArray], prepared: Preparation, target: int, dose: float, others: Sequence[str]
) -> list[CausalEffect]:
    """What one direction costs on neutral text."""
    t = prepared.targets[target]
    length = t.length * dose
    found = {
        kind: np.array([damage["add", kind, i, length].mean() for i in range(len(vectors))])
        for kind, vectors in prepared.nulls.items()
    }
    found |= {n: np.array([damage["add", "control", n, length].mean()]) for n in others}
    rows = []
    keys: list[tuple[str, Key]] = [("add", ("add", t.name, dose)), ("mean_ablate", ("mean_ablate", t.name))]
    for operation, key in [*keys, ("ablate", ("ablate", t.name))]:
        effect = mean_over_scenarios(damage[key])
        added = operation == "add"
        rows.append(
            CausalEffect(
                t.name,
                "damage",
                "neutral text",
                operation,
                effect,
                found if added else {},
                _rank(effect.value, found) if added else None,
                None,
                None,
                "",
            )
        )
    return rows


def doses_of(values: EditValues, target: int, doses: Sequence[float]) -> dict[str, DoseResponse]:
    """Dose-response of one direction on its own readouts."""
    name = values.targets[target].name
    found = {}
    for k, readout in enumerate(READOUTS):
        shifts = [values.shift(("add", name, alpha), target, k) for alpha in doses]
        found[readout] = dose_response([0.0, *doses], np.stack([np.zeros_like(shifts[0]), *shifts]))
    return found


def specificity_of(values: EditValues, prepared: Preparation, dose: float, seed: int) -> dict[str, SpecificityMatrix]:
    """Every direction on every target, by readout; empty for one direction."""
    names = tuple(t.name for t in prepared.targets)
    if len(names) < 2:
        return {}
    found = {}
    for k, readout in enumerate(READOUTS):
        effects = np.array([[values.shift(("add", i, dose), j, k) for j in range(len(names))] for i in names])
        found[readout] = specificity_matrix(effects, names, seed=seed)
    return found
