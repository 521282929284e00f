"""A bandwidth result read for comparison: values, and what they are without each block of scenarios."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from empathy_geometry.evaluation.ranking import auroc_rows
from empathy_geometry.foundation._types import FloatArray
from empathy_geometry.models.random_weights import is_random_weights

Scale = Literal["ratio", "difference"]

QUANTITIES: Mapping[str, Scale] = {
    "AUROC": "difference",
    "excess over the best text-only baseline": "difference",
    "d'": "difference",
    "dimensionality": "ratio",
    "steering range +": "ratio",
    "bandwidth": "ratio",
}
"""What is compared, and on which scale: differences for held-out scores, ratios for sizes."""

IN_UNITS = ("steering range +", "bandwidth")
"""Quantities that depend on the unit of alpha."""


@dataclass(frozen=True, eq=False)
class Measured:
    """One quantity of one result.

    Attributes:
        value: Of all scenarios; None where it was not finite or not measured.
        left_out: Without each block, [n_blocks]; NaN where it was not finite.
        inflation: Factor on the variance, because scenarios train each other's probe.
        censored: As in `Estimate`.
    """

    value: float | None
    left_out: FloatArray
    inflation: float = 1.0
    censored: str | None = None


@dataclass(frozen=True, eq=False)
class Entry:
    """One result among those that are compared.

    Attributes:
        name: By which it is told from the others.
        model: Name of the model.
        weights: SHA-256 of its weights, or its name where that is not known.
        concept: "positive - negative".
        texts: SHA-256 of the concept's texts.
        is_control: Whether this is the control concept of a result.
        blocks: Scenarios that were left out together.
        units: Unit of alpha.
        measured: By the names of `QUANTITIES`; a control concept has no scores.
        in_norms: Steering range in mean residual norms; None where it is not known.
        setting: Layer, number of layers, width, chat template and whether it was a quick run, where they are known.
    """

    name: str
    model: str
    weights: str
    concept: str
    texts: str
    is_control: bool
    blocks: tuple[frozenset[str], ...]
    units: str
    measured: Mapping[str, Measured]
    in_norms: float | None
    setting: Mapping[str, Any]

    @property
    def random_weights(self) -> bool:
        """Whether the model is a random-weights control."""
        return is_random_weights(self.model)


def entries_of(name: str, result: Mapping[str, Any], *, controls: bool) -> list[Entry]:
    """The concept of a bandwidth result, and its control concept where asked for.

    Args:
        name: What the result is called.
        result: What `Bandwidth.to_dict` gives, or its JSON.
        controls: Whether to take the control concept too.

    Raises:
        ValueError: no bandwidth result, or one of an older version.
    """
    try:
        texts = list(result["provenance"]["texts"].values())
        identity = result["provenance"]["model"]
        called = str(identity.get("name", name))
        model = called, str(identity.get("fingerprint", identity.get("weights_sha256", called)))
        setting = _setting(result)
        found = [_entry(name, model, result["concept"], texts[0], _scores(result), setting, is_control=False)]
        if controls and result["control"] is not None:
            control = result["control"]
            found.append(_entry(f"{name}, control", model, control, texts[-1], {}, setting, is_control=True))
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(
            f"{name} is no bandwidth result of this version ({type(error).__name__}: {error}); measure it again"
        ) from error
    return found


def setting_of(result: Mapping[str, Any]) -> str:
    """Where and how a result was measured, in words.

    Example:
        >>> setting_of({"layer": 5, "n_layers": 18, "d_model": 640, "quick": True, "template": None})
        'layer 5 of 18, d_model 640, template not recorded, QUICK RUN'
    """
    layer = "layer not recorded" if result.get("layer") is None else f"layer {result['layer']}"
    of = "" if result.get("n_layers") is None else f" of {result['n_layers']}"
    width = "" if result.get("d_model") is None else f", d_model {result['d_model']}"
    template = "template not recorded" if result.get("template") is None else f"template {result['template']}"
    return f"{layer}{of}{width}, {template}" + (", QUICK RUN" if result.get("quick") else "")


def _entry(
    name: str,
    model: tuple[str, str],
    factors: Mapping[str, Any],
    texts: str,
    scores: Mapping[str, Measured],
    setting: Mapping[str, Any],
    *,
    is_control: bool,
) -> Entry:
    replicates = factors["replicates"]
    d = np.array([np.nan if v is None else v for v in replicates["dimensionality"]], dtype=float)
    r = np.array([np.nan if v is None else v for v in replicates["steering_range"]], dtype=float)
    censored = factors["range_positive"]["censored"]
    measured = dict(scores) | {
        "dimensionality": Measured(factors["dimensionality"]["participation_ratio"]["value"], d),
        "steering range +": Measured(factors["range_positive"]["value"], r, censored=censored),
        "bandwidth": Measured(factors["bandwidth"]["value"], d * r, censored=censored),
    }
    blocks = tuple(frozenset(names) for names in replicates["blocks"])
    norms = factors.get("range_in_norms") or {}
    return Entry(
        name,
        *model,
        factors["name"],
        texts,
        is_control,
        blocks,
        factors["sweep"]["units"],
        measured,
        norms.get("value"),
        setting,
    )


def _setting(result: Mapping[str, Any]) -> dict[str, Any]:
    identity, settings = result["provenance"]["model"], result["provenance"].get("settings", {})
    return {
        "layer": result.get("layer", settings.get("layer")),
        "n_layers": identity.get("n_layers"),
        "d_model": identity.get("d_model"),
        "template": identity.get("template", settings.get("template")),
        "quick": bool(settings.get("quick", False)),
    }


def _scores(result: Mapping[str, Any]) -> dict[str, Measured]:
    """Held-out AUROC, excess and d' of all scenarios and without each block (the fitted probes are kept)."""
    e = result["evaluation"]
    scores, groups = np.asarray(e["scores"], dtype=float), np.asarray(e["groups"])
    positive = np.asarray(e["labels"]) == e["classes"][1]
    names = np.asarray(result["scenarios"])[groups]
    baseline = None if e["best_baseline"] is None else np.asarray(e["baseline_scores"][e["best_baseline"]], dtype=float)
    kept = [~np.isin(names, list(block)) for block in result["concept"]["replicates"]["blocks"]]
    kept = [np.ones(len(scores), dtype=bool), *kept]

    def measured(values: list[float]) -> Measured:
        return Measured(values[0] if np.isfinite(values[0]) else None, np.array(values[1:]), e["variance_inflation"])

    own = [_auroc(scores[k], positive[k]) for k in kept]
    found = {"AUROC": measured(own), "d'": measured([_d_prime(scores[k], positive[k]) for k in kept])}
    if baseline is not None:
        theirs = [_auroc(baseline[k], positive[k]) for k in kept]
        found["excess over the best text-only baseline"] = measured([a - b for a, b in zip(own, theirs, strict=True)])
    return found


def _auroc(scores: FloatArray, positive: np.ndarray) -> float:
    return float(auroc_rows(torch.as_tensor(scores)[None], torch.as_tensor(positive)[None])[0])


def _d_prime(scores: FloatArray, positive: np.ndarray) -> float:
    up, down = scores[positive], scores[~positive]
    spread = (up.var(ddof=1) + down.var(ddof=1)) / 2
    return float((up.mean() - down.mean()) / np.sqrt(spread)) if spread > 0 else float("nan")
