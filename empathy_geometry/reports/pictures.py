"""A figure for every result that a study's JSON holds."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from empathy_geometry import plots
from empathy_geometry.reports.document import Picture
from empathy_geometry.reports.shapes import Found
from empathy_geometry.steering.range import DEFAULT_THRESHOLD

MOST_OF_A_KIND = 6
"""Figures of one kind in one study; the numbers of the rest are in its tables and JSON."""

_CAPTIONS = {
    "layer_emergence": "Held-out statistic by layer. A layer counts only above the dashed line, which pays for looking "
    "at all of them; the concept counts only above the text-only baseline.",
    "null_distribution": "The same analysis on rearranged labels. The further the blue line lies to the right of the "
    "grey, the less chance explains it.",
    "roc_curve": "Scores of texts that the probe was not fitted to. The band resamples scenarios, point by point.",
    "rarefaction_curve": "A quantity that still rises at the right end measures the sample, not the concept.",
    "coherence_curve": "1 means as coherent as unsteered text; the smallest part counts. Faint lines are prompts.",
    "dose_response": "The concept read back by the unsteered model. Hollow points are alphas at which the text broke.",
    "transfer": "Trained in the row's context, tested in the column's; small print is the interval.",
    "specificity": "A specific direction moves its own target (diagonal) more than others.",
    "cosines": "Cosines of one-vs-rest probes lie near their floor whatever the concepts are.",
    "bandwidth": "Dimensionality times steering range, beside the control. Intervals that leave the axis are cut.",
    "steering_range": "How far the text survives, beside the control concept and directions that mean nothing.",
}


_SAID = (
    "permutation",
    "evaluation",
    "dimensionality",
    "sweep",
    "transfer",
    "specificity",
    "doses",
    "results",
    "sections",
    "numbers",
)


def pictures_of(found: list[Found]) -> tuple[tuple[Picture, ...], int]:
    """Pictures, what can be read first, and how many more were left out."""
    kept: list[tuple[str, Picture]] = []
    counts: dict[str, int] = {}
    left_out = 0
    for item in found:
        for kind, title, draw in _drawings(item):
            counts[kind] = counts.get(kind, 0) + 1
            if counts[kind] > MOST_OF_A_KIND:
                left_out += 1
                continue
            name = "_".join([kind, *item.path])
            kept.append((kind, Picture(_slug(name), title, _CAPTIONS[kind], draw)))
    order = list(_CAPTIONS)
    kept.sort(key=lambda pair: order.index(pair[0]))
    return tuple(picture for _, picture in kept), left_out


def threshold_of(item: Found) -> float:
    """Coherence threshold that belongs to a sweep: that of the factors it lies in, else the library's."""
    return float(item.beside.get("threshold", DEFAULT_THRESHOLD))


def _drawings(item: Found) -> list[tuple[str, str, Callable[[], Any]]]:
    fields = item.fields
    # "concept, sweep" is the concept's: what kind of result it is stands in the title already.
    steps = [step.replace("_", " ") for step in item.path if step not in _SAID]
    name = ", ".join(steps)
    where = f": {name}" if name else ""
    if item.shape == "permutation":
        found: list[tuple[str, str, Callable[[], Any]]] = []
        if len(fields["layers"]) > 1:
            options = {"evaluation": item.beside["evaluation"]} if _is_evaluation(item.beside.get("evaluation")) else {}
            found.append(("layer_emergence", f"By layer{where}", partial(plots.layer_emergence, fields, **options)))
        return [*found, ("null_distribution", f"Null{where}", partial(plots.null_distribution, fields))]
    if item.shape == "sweep":
        options = {"threshold": threshold_of(item)}
        return [
            ("coherence_curve", f"Coherence{where}", partial(plots.coherence_curve, fields, **options)),
            ("dose_response", f"Dose and response{where}", partial(plots.dose_response, fields, **options)),
        ]
    if item.shape == "bandwidth":
        alone = {name or "result": fields}
        return [
            ("bandwidth", f"Bandwidth{where}", partial(plots.bandwidth_comparison, alone)),
            (
                "steering_range",
                f"Steering range{where}",
                partial(plots.bandwidth_comparison, alone, quantity="range_positive"),
            ),
        ]
    simple: dict[str, tuple[str, str, Callable[..., Any]]] = {
        "evaluation": ("roc_curve", "ROC", plots.roc_curve),
        "dimensionality": ("rarefaction_curve", "Dimensionality", plots.rarefaction_curve),
        "transfer": ("transfer", "Transfer", plots.transfer_heatmap),
        "specificity": (
            "specificity",
            "Specificity",
            partial(plots.specificity_heatmap, readout=item.path[-1] if item.path else ""),
        ),
        "dose": ("dose_response", "Dose and response", plots.dose_response),
        "cosines": ("cosines", "Cosines", plots.cosine_floor),
    }
    kind, title, draw = simple[item.shape]
    return [(kind, f"{title}{where}", partial(draw, fields))]


def _is_evaluation(value: object) -> bool:
    return isinstance(value, Mapping) and {"auroc", "chosen_layers", "baselines", "best_baseline"} <= set(value)


def _slug(text: str) -> str:
    return "".join(c if c.isalnum() and c.isascii() else "_" for c in text.lower()).strip("_")
