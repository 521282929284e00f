"""Bandwidth over depth: what can be read, in how many dimensions, and how far can be steered, layer by layer."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from empathy_geometry.activations.positions import Position, position_name
from empathy_geometry.evaluation.cross_validation import Evaluation, cross_validate
from empathy_geometry.foundation._types import Layer
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.provenance import Provenance, kind_of, package_versions
from empathy_geometry.foundation.result_file import title
from empathy_geometry.foundation.settings import takes_settings
from empathy_geometry.foundation.table import Table
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.models.hooked_model import HookedModel, hook_names
from empathy_geometry.models.identity import model_identity
from empathy_geometry.models.loading import check_model
from empathy_geometry.plots.depth_curve import depth_curve
from empathy_geometry.reports.study import Study
from empathy_geometry.studies.bandwidth_design import ProfileDesign
from empathy_geometry.studies.bandwidth_factors import measure_factors
from empathy_geometry.studies.bandwidth_texts import check_pairs, steering_prompts, stored_activations, two_classes
from empathy_geometry.studies.step_store import StepStore
from empathy_geometry.texts.labeled_texts import LabeledTexts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LAYERS = 5


@dataclass(frozen=True)
class LayerBandwidth:
    """One layer of a profile.

    Attributes:
        layer: The stream after this block, or "embed".
        auroc: Held-out probe at this layer alone.
        excess: Over the best text-only baseline; None without texts to compare with.
        dimensionality: Corrected participation ratio of the paired differences; None where there is no direction.
        range_positive: Steering range towards the concept.
        range_in_norms: The same in mean residual norms, by which layers of different class gaps can be compared.
        bandwidth: Dimensionality x range, joint interval.
        note: Why numbers are missing; empty otherwise.
    """

    layer: Layer
    auroc: Estimate
    excess: Estimate | None
    dimensionality: Estimate | None
    range_positive: Estimate | None
    range_in_norms: Estimate | None
    bandwidth: Estimate | None
    note: str = ""


_CAUTION = "intervals are for each layer alone; the best of them is not corrected for"


@dataclass(frozen=True, eq=False)
class DepthProfile(Study):
    """Result of `depth_profile`.

    Attributes:
        name: "positive - negative" classes.
        points: One per layer, in order of depth.
        units: Unit of alpha.
        provenance: Where every number came from.
    """

    name: str
    points: tuple[LayerBandwidth, ...]
    units: str
    provenance: Provenance

    @property
    def study(self) -> str:
        """Name of the study; its file is called after it."""
        return "depth_profile"

    @property
    def heading(self) -> str:
        """Title with concept and model, marked where the data is planted."""
        model = self.provenance.model.get("name", "?")
        return title(f"Bandwidth of {self.name} over depth in {model}, alpha in {self.units}", self.provenance.kind)

    def tables(self) -> tuple[Table, ...]:
        """One row for each layer."""
        rows = [
            {
                "layer": str(p.layer),
                "AUROC": p.auroc,
                "excess over words": p.excess,
                "dimensionality": p.dimensionality,
                "range +": p.range_positive,
                "range +, norms": p.range_in_norms,
                "bandwidth": p.bandwidth,
                "note": p.note,
            }
            for p in self.points
        ]
        return (Table.of(self.heading, rows, notes=[_CAUTION]),)

    def to_frame(self) -> Any:
        """One row per layer and quantity, as a pandas DataFrame (pandas must be installed)."""
        import pandas as pd

        rows = [
            {"layer": p.layer, "quantity": name, "value": e.value, "low": e.low, "high": e.high, "censored": e.censored}
            for p in self.points
            for name, e in vars(p).items()
            if isinstance(e, Estimate)
        ]
        return pd.DataFrame(rows)

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Bandwidth and its factors against depth; see `plots.depth_curve` (matplotlib is needed)."""
        return depth_curve(self, ax=ax)


@takes_settings(design=ProfileDesign)
def depth_profile(
    model: HookedModel,
    texts: LabeledTexts,
    *,
    layers: Sequence[Layer] | None = None,
    position: Position = "response_mean",
    design: ProfileDesign = ProfileDesign(),  # noqa: B008 - immutable
    folder: str | Path | None = None,
    seed: int = 0,
    progress: bool = True,
) -> DepthProfile:
    """Both factors of bandwidth at several layers: one extraction, and one short steering search for each layer.

    Layers are compared in one unit only. Class gaps grow with depth as the stream does, so the range in mean residual
    norms stands beside; a layer where the concept has no direction is shown without numbers. The steering prompts are
    the same at every layer, and their scenarios enter no direction.

    Args:
        model: HookedTransformer or TransformerBridge.
        texts: The concept's texts, two classes paired within scenarios.
        layers: Where; None takes five spread over the depth.
        position: Which tokens are read.
        design: Which class is the concept, probe and search.
        folder: Where activations and finished steps of each layer are kept. A call with the same arguments takes up
            what is there, after an interruption too; one with other arguments, texts or weights is refused.
        seed: Of every random choice.
        progress: Show bars (never when the output is not a terminal).

    Raises:
        ValueError: unknown or repeated layers, not exactly two classes, too few scenarios, or a folder that
            holds another run.

    Example:
        >>> profile = depth_profile(model, texts, layers=[4, 12, 20, 28])  # doctest: +SKIP
    """
    check_model(model)
    search = design.search
    n_layers = int(model.cfg.n_layers)
    chosen = list(range(n_layers)) if layers is None else list(layers)
    if layers is None and n_layers > _LAYERS:
        chosen = sorted({round(x) for x in np.linspace(0, n_layers - 1, _LAYERS)})
    hook_names(model, chosen)
    positive, negative = two_classes(texts, design.positive, design.negative)
    texts = texts.where(label=[positive, negative])
    check_pairs(texts, positive, negative)
    prompts, names = steering_prompts(texts, negative, search.n_prompts, seed)
    probe = Probe("logistic") if design.probe is None else design.probe
    settings = {"position": position_name(position), **design.record(), "layers": chosen}
    identity = model_identity(model)
    place = None if folder is None else Path(folder)
    steps = StepStore(
        place,
        {
            "study": "depth_profile",
            # What changes the last bits at most does not keep a run from being taken up.
            "model": {k: v for k, v in identity.items() if k != "device"},
            "texts": texts.sha256,
            "classes": [positive, negative],
            "settings": settings,
            "seed": seed,
            "versions": package_versions(),
        },
    )
    acts = stored_activations(model, texts, chosen, position, place, "activations", progress)

    def point(layer: Layer) -> LayerBandwidth:
        single = acts.only(layer)
        evaluation = steps.keep(
            f"layer {layer}, evaluation",
            Evaluation,
            lambda: cross_validate(probe, single, positive=positive, negative=negative, seed=seed),
        )
        try:
            f = measure_factors(
                model,
                single,
                positive=positive,
                negative=negative,
                layer=layer,
                prompts=prompts,
                prompt_names=names,
                search=search,
                seed=seed,
                progress=progress,
                keep=lambda step, kind, make: steps.keep(f"layer {layer}, {step}", kind, make),
            )
        except ValueError as error:  # no direction here: what the profile is there to show
            return LayerBandwidth(layer, evaluation.auroc, evaluation.excess, None, None, None, None, str(error))
        return LayerBandwidth(
            layer,
            evaluation.auroc,
            evaluation.excess,
            f.dimensionality.participation_ratio,
            f.range_positive,
            f.range_in_norms,
            f.bandwidth,
        )

    by_depth = sorted(chosen, key=lambda item: -1 if item == "embed" else int(item))
    points = [steps.keep(f"layer {at}", LayerBandwidth, lambda at=at: point(at)) for at in by_depth]  # type: ignore[misc]
    return DepthProfile(
        f"{positive} - {negative}",
        tuple(points),
        search.units,
        Provenance(
            kind_of(identity),
            model=identity,
            texts={texts.name: texts.sha256},
            seed=seed,
            settings=settings | {"torch_threads": torch.get_num_threads()},
        ),
    )
