"""Bandwidth over depth: what can be read, in how many dimensions, and how far can be steered, layer by layer."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from empathy_geometry.activations.extraction import extract_activations
from empathy_geometry.activations.positions import Position, position_name
from empathy_geometry.evaluation.cross_validation import cross_validate
from empathy_geometry.foundation._types import Layer
from empathy_geometry.foundation.durable_file import write_bytes, write_text
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.html_table import html_table
from empathy_geometry.foundation.json_codec import to_json
from empathy_geometry.foundation.provenance import Provenance, kind_of
from empathy_geometry.foundation.result_file import file_stem, title, write_result
from empathy_geometry.foundation.terminal import printable
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.models.hooked_model import HookedModel, hook_names
from empathy_geometry.models.identity import model_identity
from empathy_geometry.models.loading import check_model
from empathy_geometry.plots.style import png_bytes
from empathy_geometry.steering.search import SearchDesign
from empathy_geometry.studies.bandwidth_factors import measure_factors
from empathy_geometry.studies.bandwidth_texts import check_pairs, steering_prompts, two_classes
from empathy_geometry.texts.labeled_texts import LabeledTexts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LAYERS = 5
_COLUMNS = ("layer", "AUROC", "excess over words", "dimensionality", "range +", "range +, norms", "bandwidth", "note")


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
class DepthProfile:
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

    def rows(self) -> list[tuple[str, ...]]:
        """The table: layer, detection, factors, bandwidth, note."""

        def shown(e: Estimate | None) -> str:
            return "-" if e is None else str(e)

        return [
            (
                str(p.layer),
                shown(p.auroc),
                shown(p.excess),
                shown(p.dimensionality),
                shown(p.range_positive),
                shown(p.range_in_norms),
                shown(p.bandwidth),
                p.note,
            )
            for p in self.points
        ]

    @property
    def heading(self) -> str:
        """Title with concept and model, marked where the data is planted."""
        model = self.provenance.model.get("name", "?")
        return title(f"Bandwidth of {self.name} over depth in {model}, alpha in {self.units}", self.provenance.kind)

    @printable
    def __str__(self) -> str:
        rows = [_COLUMNS, *self.rows()]
        widths = [max(len(row[k]) for row in rows) for k in range(len(_COLUMNS))]
        lines = ["  " + "  ".join(f"{c:<{w}}" for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([self.heading, *lines, f"  {_CAUTION}"])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(
            self.heading, [dict(zip(_COLUMNS, row, strict=True)) for row in self.rows()], notes=[_CAUTION]
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        described: dict[str, Any] = to_json(
            {
                "study": "depth_profile",
                "provenance": self.provenance.to_dict(),
                "name": self.name,
                "units": self.units,
                "points": [asdict(p) for p in self.points],
            }
        )
        return described

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
        """Bandwidth and its factors against depth, each relative to its largest value (matplotlib is needed)."""
        from empathy_geometry.plots.style import BLUE, GREEN, ORANGE, axes_or_new, labels, legend
        from empathy_geometry.plots.style import title as set_title

        ax = axes_or_new(ax)
        depth = [-1 if p.layer == "embed" else int(p.layer) for p in self.points]
        named = (("bandwidth", BLUE), ("dimensionality", ORANGE), ("range_positive", GREEN))
        for name, colour in named:
            values = [getattr(p, name) for p in self.points]
            known = [(x, e) for x, e in zip(depth, values, strict=True) if e is not None and np.isfinite(e.value)]
            if not known:
                continue
            top = max(e.value for _, e in known)
            ax.plot(
                [x for x, _ in known],
                [e.value / top for _, e in known],
                color=colour,
                marker="o",
                label=f"{name.replace('_positive', ' +').replace('_', ' ')} (largest {top:.3g})",
            )
        ax.set_ylim(0, 1.1)
        labels(ax, "layer (residual stream after block; -1 = embedding)", "share of the largest value")
        legend(ax)
        set_title(ax, title("Bandwidth over depth", self.provenance.kind))
        return ax

    def save(self, folder: str | Path) -> Path:
        """Write depth_profile.json, .md and .png to a folder (matplotlib is needed for the figure)."""
        folder, stem = Path(folder), file_stem("depth_profile", self.provenance.kind)
        write_result(folder / f"{stem}.json", self)
        heading = "# " + title(f"Bandwidth of {self.name} over depth", self.provenance.kind)
        table = [f"| {' | '.join(_COLUMNS)} |", "|" + "---|" * len(_COLUMNS)]
        table += [f"| {' | '.join(row)} |" for row in self.rows()]
        write_text(folder / f"{stem}.md", "\n".join([heading, "", *table, ""]))
        figure: Any = self.plot().figure
        write_bytes(folder / f"{stem}.png", png_bytes(figure))
        return folder


def depth_profile(
    model: HookedModel,
    texts: LabeledTexts,
    *,
    layers: Sequence[Layer] | None = None,
    positive: str | None = None,
    negative: str | None = None,
    position: Position = "response_mean",
    probe: Probe | None = None,
    search: SearchDesign = SearchDesign(n_prompts=4, max_new_tokens=16),  # noqa: B008 - immutable
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
        positive: The concept's class; None takes the class that comes first in `texts`.
        negative: The neutral class; None takes the other one.
        position: Which tokens are read.
        probe: None is `Probe("logistic")`.
        search: Unit of alpha, threshold, prompts and length of the steered texts.
        seed: Of every random choice.
        progress: Show bars (never when the output is not a terminal).

    Raises:
        ValueError: unknown or repeated layers, not exactly two classes, or too few scenarios.

    Example:
        >>> profile = depth_profile(model, texts, layers=[4, 12, 20, 28])  # doctest: +SKIP
    """
    check_model(model)
    if not isinstance(search, SearchDesign):
        raise TypeError(f"search must be a SearchDesign, got {type(search).__name__}; try SearchDesign(n_prompts=4)")
    n_layers = int(model.cfg.n_layers)
    chosen = list(range(n_layers)) if layers is None else list(layers)
    if layers is None and n_layers > _LAYERS:
        chosen = sorted({round(x) for x in np.linspace(0, n_layers - 1, _LAYERS)})
    hook_names(model, chosen)
    positive, negative = two_classes(texts, positive, negative)
    texts = texts.where(label=[positive, negative])
    check_pairs(texts, positive, negative)
    prompts, names = steering_prompts(texts, negative, search.n_prompts, seed)
    acts = extract_activations(model, texts, layers=chosen, position=position, progress=progress)
    probe = Probe("logistic") if probe is None else probe
    points = []
    for layer in sorted(chosen, key=lambda item: -1 if item == "embed" else int(item)):
        single = acts.only(layer)
        evaluation = cross_validate(probe, single, positive=positive, negative=negative, seed=seed)
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
                options={"progress": progress},
                seed=seed,
            )
        except ValueError as error:  # no direction here: what the profile is there to show
            points.append(
                LayerBandwidth(layer, evaluation.auroc, evaluation.excess, None, None, None, None, str(error))
            )
            continue
        points.append(
            LayerBandwidth(
                layer,
                evaluation.auroc,
                evaluation.excess,
                f.dimensionality.participation_ratio,
                f.range_positive,
                f.range_in_norms,
                f.bandwidth,
            )
        )
    settings = {
        "position": position_name(position),
        "probe": " ".join(str(probe).split()),
        **search.to_dict(),
        "layers": chosen,
        "torch_threads": torch.get_num_threads(),
    }
    identity = model_identity(model)
    return DepthProfile(
        f"{positive} - {negative}",
        tuple(points),
        search.units,
        Provenance(
            kind_of(identity),
            model=identity,
            texts={texts.name: texts.sha256},
            seed=seed,
            settings=settings,
        ),
    )
