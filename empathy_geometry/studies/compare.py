"""Bandwidth results side by side: every pair, paired by shared scenarios, corrected for the number of looks."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy.stats import t as student

from empathy_geometry.evaluation.nulls import holm
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.provenance import Provenance
from empathy_geometry.foundation.result_file import find_results, one_kind, title, verified
from empathy_geometry.foundation.settings import takes_settings
from empathy_geometry.foundation.table import Table
from empathy_geometry.reports.study import Study
from empathy_geometry.studies.bandwidth import Bandwidth
from empathy_geometry.studies.compare_entries import (
    IN_UNITS,
    QUANTITIES,
    Entry,
    Measured,
    Scale,
    entries_of,
    setting_of,
)

Relation = Literal[
    "models", "concepts", "concept and its control", "trained and random weights", "base and instruct", "other"
]

_TUNED = re.compile(r"[-_](instruct|it|chat|sft|dpo)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Contrast:
    """One quantity of two results.

    Attributes:
        quantity: What is compared.
        first: Name of one result.
        second: Name of the other.
        relation: What tells the two apart.
        effect: first - second, or first / second, with its interval; None where it cannot be told.
        scale: "difference" or "ratio".
        standardised: Difference (of logarithms, for a ratio) in standard errors.
        pvalue: Two-sided, of no difference.
        pvalue_holm: Corrected for all contrasts of the comparison.
        corrected: The effect with the interval that goes with the corrected p, so that all intervals of the comparison
            hold together (Bonferroni); what the table shows.
        in_norms: first / second with alpha counted in mean residual norms; None where that is not known.
        n_shared: Scenarios that both results were measured on; paired by them where there are any.
        note: What a reader must know; may be empty.
    """

    quantity: str
    first: str
    second: str
    relation: Relation
    effect: Estimate | None
    scale: Scale
    standardised: float | None
    pvalue: float | None
    pvalue_holm: float | None
    n_shared: int
    note: str = ""
    corrected: Estimate | None = None
    in_norms: float | None = None


_HOW = (
    "Brackets are {0:g} % intervals that hold for all rows together (Bonferroni). Differences (-) are 0, ratios (/) 1 "
    "where nothing differs. Results that share scenarios are paired: the same blocks of scenarios are left out of both "
    "(grouped jackknife). p-values are two-sided and corrected for all rows together (Holm)."
)


@dataclass(frozen=True, eq=False)
class Comparison(Study):
    """Result of `compare`.

    Attributes:
        results: What each compared result says, by its name: model, concept, values.
        contrasts: Every quantity of every pair.
        level: Coverage of the intervals.
        provenance: Kind and origin.
    """

    results: Mapping[str, Mapping[str, Any]]
    contrasts: tuple[Contrast, ...]
    level: float
    provenance: Provenance

    @property
    def study(self) -> str:
        """Name of the study; its file is called after it."""
        return "compare"

    def tables(self) -> tuple[Table, ...]:
        """Every contrast, then what was compared."""
        contrasts = [
            {
                "quantity": c.quantity,
                "pair": f"{c.first} {'/' if c.scale == 'ratio' else '-'} {c.second}",
                "effect": c.corrected or c.effect or "cannot be told",
                "p (Holm)": "-" if c.pvalue_holm is None else _shown_p(c.pvalue_holm),
                "scenarios": f"paired, {c.n_shared}" if c.n_shared else "independent",
                "relation": c.relation,
                "note": c.note,
            }
            for c in self.contrasts
        ]
        values = [
            {"result": name, "model": r["model"], "concept": r["concept"], "measured at": setting_of(r), **r["values"]}
            for name, r in self.results.items()
        ]
        heading = title(f"Comparison of {len(self.results)} results", self.provenance.kind)
        return Table.of(heading, contrasts, notes=[_HOW.format(100 * self.level)]), Table.of(
            "What was compared", values
        )

    def to_frame(self) -> Any:
        """One row per contrast, as a pandas DataFrame (pandas must be installed)."""
        import pandas as pd

        return pd.DataFrame(
            [asdict(c) | {"effect": None if c.effect is None else c.effect.value} for c in self.contrasts]
        )


@takes_settings()
def compare(
    results: Mapping[str, Bandwidth | Mapping[str, Any]] | Sequence[Bandwidth | Mapping[str, Any] | str | Path],
    *,
    controls: bool = True,
    level: float = 0.95,
    unsigned: bool = False,
) -> Comparison:
    """Compare bandwidth results of any number of models or concepts, pair by pair.

    Where two results were measured on the same scenarios, the same blocks of scenarios are left out of both at once,
    so that what the scenarios have in common cancels (a paired jackknife on the logarithm of ratios); elsewhere the
    two variances add. All p-values are corrected together (Holm).

    Args:
        results: `Bandwidth` objects, their JSON, or folders and files that hold some; a mapping gives them names,
            else they are named by model (and by concept where that differs).
        controls: Compare each concept with its control concept as well.
        level: Coverage of the intervals.
        unsigned: Also compare files without a checksum: made by hand, or by a version that wrote none.

    Raises:
        ValueError: fewer than two results, planted and measured ones together, other units of alpha, or a
            damaged or unsigned file.
        FileNotFoundError: a folder does not exist.

    Source: Busing et al. (1999), Statistics and Computing 9, for the grouped jackknife; Holm (1979).

    Example:
        >>> print(compare(["results/base", "results/instruct"]))  # doctest: +SKIP
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie strictly between 0 and 1, got {level}; try 0.95")
    found = _read(results, unsigned)
    kind = one_kind(found)
    entries = [entry for name, result in found.items() for entry in entries_of(name, result, controls=controls)]
    if len(entries) < 2:
        raise ValueError(
            f"a comparison needs at least two results, got {list(found)}; measure another model or concept"
        )
    units = sorted({entry.units for entry in entries})
    if len(units) > 1:
        raise ValueError(f"the results count alpha in {units}; measure all in one unit (units=...)")
    asked = [
        (quantity, a, b)
        for a, b in combinations(entries, 2)
        for quantity in QUANTITIES
        if _is_asked(a, b) and quantity in a.measured and quantity in b.measured
    ]
    contrasts = [_contrast(quantity, a, b, level) for quantity, a, b in asked]
    looks = max(sum(c.pvalue is not None for c in contrasts), 1)
    together = [_contrast(quantity, a, b, 1 - (1 - level) / looks).effect for quantity, a, b in asked]
    contrasts = [
        c if c.pvalue is None else replace(c, corrected=effect) for c, effect in zip(contrasts, together, strict=True)
    ]
    return Comparison(
        {
            e.name: {
                "model": e.model,
                "concept": e.concept,
                "control": e.is_control,
                "random_weights": e.random_weights,
                "values": {q: m.value for q, m in e.measured.items()},
                **e.setting,
            }
            for e in entries
        },
        _corrected(contrasts),
        level,
        Provenance(
            kind,
            model={"name": ", ".join(dict.fromkeys(e.model for e in entries))},
            texts={role: digest for r in found.values() for role, digest in r["provenance"]["texts"].items()},
            settings={"units": units[0], "created": {n: r["provenance"]["created"] for n, r in found.items()}},
        ),
    )


def _read(results: Any, unsigned: bool) -> dict[str, dict[str, Any]]:
    """Every result as JSON by a name of its own."""
    if isinstance(results, Mapping) and "study" not in results:
        return {str(n): _content(r, str(n)) for n, r in results.items()}
    if isinstance(results, str | Path | Bandwidth | Mapping):
        results = [results]
    if not isinstance(results, Iterable):
        raise TypeError(f"compare takes several Bandwidth results, files or folders, got {type(results).__name__}")
    plain: list[dict[str, Any]] = []
    for item in results:
        if isinstance(item, str | Path):
            there = find_results([item], "bandwidth", unsigned=unsigned)
            if not there:
                raise ValueError(f"{item} holds no bandwidth.json; run the bandwidth study with --output {item} first")
            plain += there.values()
        else:
            plain.append(_content(item, "a result"))
    wrong = [r.get("study") for r in plain if r.get("study") != "bandwidth"]
    if wrong:
        raise ValueError(f"compare takes bandwidth results, got one of the study {wrong[0]!r}")
    models = [str(r["provenance"]["model"].get("name", "unnamed")) for r in plain]
    names = [m if models.count(m) == 1 else f"{m}: {r['concept']['name']}" for m, r in zip(models, plain, strict=True)]
    unique = [n if names.count(n) == 1 else f"{n} ({names[: i + 1].count(n)})" for i, n in enumerate(names)]
    return dict(zip(unique, plain, strict=True))


def _content(result: Bandwidth | Mapping[str, Any], name: str) -> dict[str, Any]:
    """What a result says; JSON that brings its checksum must fit it."""
    if not isinstance(result, Bandwidth | Mapping):
        raise TypeError(
            f"compare takes Bandwidth results, their JSON, or folders and files that hold some; {name} is a "
            f"{type(result).__name__}"
        )
    return result.to_dict() if isinstance(result, Bandwidth) else verified(dict(result), name, unsigned=True)


def _is_asked(a: Entry, b: Entry) -> bool:
    """Concepts with each other, and each with its own control; not controls among themselves."""
    if not (a.is_control or b.is_control):
        return True
    return a.is_control != b.is_control and f"{a.name}, control" == b.name


def _relation(a: Entry, b: Entry) -> Relation:
    if b.is_control:
        return "concept and its control"
    if a.random_weights != b.random_weights:
        trained, fresh = (b, a) if a.random_weights else (a, b)
        return "trained and random weights" if fresh.model.startswith(f"{trained.model} (") else "other"
    if a.weights == b.weights:
        return "concepts" if a.concept != b.concept or a.texts != b.texts else "other"
    if a.texts != b.texts:
        return "other"
    tuned = [bool(_TUNED.search(e.model)) for e in (a, b)]
    stems = [_TUNED.sub("", e.model) for e in (a, b)]
    return "base and instruct" if stems[0] == stems[1] and tuned[0] != tuned[1] else "models"


def _shared(a: Entry, b: Entry) -> int:
    """Scenarios left out together in both results; 0 unless all shared ones are."""
    together = sum(len(x & y) for x, y in zip(a.blocks, b.blocks, strict=False))
    both = len(frozenset().union(*a.blocks) & frozenset().union(*b.blocks))
    return together if len(a.blocks) == len(b.blocks) and together == both else 0


def _contrast(quantity: str, a: Entry, b: Entry, level: float) -> Contrast:
    scale = QUANTITIES[quantity]
    x, y = a.measured[quantity], b.measured[quantity]
    shared = _shared(a, b)
    # Held-out scores of a control concept are not there; its sizes share the prompts with the concept's.
    contrast = Contrast(quantity, a.name, b.name, _relation(a, b), None, scale, None, None, None, shared)
    on_a, on_b = _on_scale(x, scale), _on_scale(y, scale)
    if on_a is None or on_b is None:
        return replace(contrast, note="a value or a replicate of it is not finite")
    if x.censored and y.censored:
        return replace(contrast, note="both are only known to be at least so large")
    (value_a, left_a), (value_b, left_b) = on_a, on_b
    difference = value_a - value_b
    inflation = max(x.inflation, y.inflation)
    if shared:
        error, df = _jackknife_error(left_a - left_b)
    else:
        (ea, da), (eb, db) = _jackknife_error(left_a), _jackknife_error(left_b)
        error = float(np.hypot(ea, eb))
        df = error**4 / (ea**4 / da + eb**4 / db) if error > 0 else da + db
    error *= float(np.sqrt(inflation))
    half = float(student.ppf((1 + level) / 2, df)) * error
    ends = np.array([difference, difference - half, difference + half])
    ends = np.exp(ends) if scale == "ratio" else ends
    censored = "right" if x.censored else ("left" if y.censored else None)
    method = ("paired" if shared else "independent") + " grouped jackknife" + (", log scale" * (scale == "ratio"))
    n = sum(map(len, a.blocks))
    if error == 0:
        # As for two scores at the ceiling: an interval of no width would claim to know what cannot be known.
        effect = Estimate(float(ends[0]), None, None, level, n, n, f"{method}; no interval", censored)
        return replace(contrast, effect=effect, note="no replicate varies, so there is no interval")
    effect = Estimate(float(ends[0]), float(ends[1]), float(ends[2]), level, n, n, method, censored)
    z = difference / error
    norms = _in_norms(quantity, a, b)
    if norms is not None and np.log(norms) * difference < 0:
        note = f"no winner: in mean residual norms the ratio is {norms:.3g}, the other way round"
        return replace(contrast, effect=effect, in_norms=norms, note=note)
    p = float(2 * student.sf(abs(z), df))
    return replace(contrast, effect=effect, standardised=z, pvalue=p, in_norms=norms)


def _in_norms(quantity: str, a: Entry, b: Entry) -> float | None:
    """The ratio with alpha in mean residual norms, where both results know it; layers differ in their class gaps."""
    if quantity not in IN_UNITS or a.in_norms is None or b.in_norms is None or min(a.in_norms, b.in_norms) <= 0:
        return None
    ratio = a.in_norms / b.in_norms
    if quantity == "bandwidth":
        sizes = a.measured["dimensionality"].value, b.measured["dimensionality"].value
        if None in sizes or not sizes[1]:
            return None
        ratio *= float(sizes[0] or 0.0) / float(sizes[1])
    return ratio if ratio > 0 else None


def _shown_p(pvalue: float) -> str:
    return "< 0.0001" if pvalue < 1e-4 else f"{pvalue:.4f}"


def _on_scale(m: Measured, scale: Scale) -> tuple[float, np.ndarray] | None:
    if m.value is None or not np.isfinite([m.value, *m.left_out]).all():
        return None
    if scale == "difference":
        return m.value, m.left_out
    if m.value <= 0 or (m.left_out <= 0).any():
        return None
    return float(np.log(m.value)), np.log(m.left_out)


def _jackknife_error(left_out: np.ndarray) -> tuple[float, float]:
    """Standard error and degrees of freedom, which fall with the kurtosis of the replicates (see `jackknife`)."""
    deviations = left_out - left_out.mean()
    variance = float((deviations**2).mean())
    n = len(left_out)
    if variance <= 1e-24 * max(1.0, float(np.abs(left_out).max()) ** 2):
        return 0.0, float(n - 1)
    kurtosis = float((deviations**4).mean()) / variance**2
    return float(np.sqrt((n - 1) * variance)), min(n - 1.0, 2 * n / max(kurtosis - 1, 1e-9))


def _corrected(contrasts: Sequence[Contrast]) -> tuple[Contrast, ...]:
    pvalues = {i: c.pvalue for i, c in enumerate(contrasts) if c.pvalue is not None}
    corrected = holm(list(pvalues.values())).tolist() if pvalues else []
    by_index = dict(zip(pvalues, corrected, strict=True))
    return tuple(replace(c, pvalue_holm=by_index.get(i)) for i, c in enumerate(contrasts))
