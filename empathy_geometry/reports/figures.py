"""The figures of a report: one for every result of a known type in a study's JSON, drawn as PNG or SVG."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from io import StringIO
from typing import Any

from empathy_geometry import plots
from empathy_geometry.foundation.result_file import PLANTED
from empathy_geometry.plots.style import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, png_bytes
from empathy_geometry.reports.document import Picture
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
    "depth_curve": "Each curve is relative to its largest value; intervals are for each layer alone.",
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


@dataclass(frozen=True, eq=False)
class Found:
    """A result inside a study.

    Attributes:
        type: Its class.
        path: Keys that lead to it.
        fields: Its JSON.
        beside: What it lies in.
    """

    type: str
    path: tuple[str, ...]
    fields: Mapping[str, Any]
    beside: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Where it lies, to be read: "concept, sweep"."""
        return ", ".join(p.replace("_", " ") for p in self.path)

    @property
    def threshold(self) -> float:
        """Coherence threshold that belongs to a sweep: that of the factors it lies in, else the library's."""
        return float(self.beside.get("threshold", DEFAULT_THRESHOLD))


def find_typed(content: object, path: tuple[str, ...] = (), beside: Mapping[str, Any] | None = None) -> Iterator[Found]:
    """Every result that says its type, in the order of the JSON; the null of another result is passed over.

    Example:
        >>> study = {"study": "x", "by_layer": {"type": "TransferMatrix", "names": ["a"]}}
        >>> [(f.type, f.path) for f in find_typed(study)]
        [('TransferMatrix', ('by_layer',))]
    """
    if isinstance(content, list):
        for i, item in enumerate(content):
            if isinstance(item, Mapping):
                yield from find_typed(item, (*path, str(item.get("name", i + 1))), beside)
    elif isinstance(content, Mapping):
        if isinstance(content.get("type"), str):
            yield Found(content["type"], path, content, beside or content)
        for key, item in content.items():
            if key != "null":
                yield from find_typed(item, (*path, str(key)), content)


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


def _drawings(item: Found) -> list[tuple[str, str, Callable[[], Any]]]:
    """Kind, title and drawing of each figure of one result; none where its type has no figure."""
    fields = item.fields
    # "concept, sweep" is the concept's: what kind of result it is stands in the title already.
    name = ", ".join(step.replace("_", " ") for step in item.path if step not in _SAID)
    evaluation = item.beside.get("evaluation")
    evaluation = evaluation if isinstance(evaluation, Mapping) and "type" in evaluation else None
    alone = {name or "result": fields}
    readout = item.path[-1] if item.path else ""
    by_type: dict[str, list[tuple[str, str, Callable[[], Any]]]] = {
        "PermutationTest": [
            ("layer_emergence", "By layer", partial(plots.layer_emergence, fields, evaluation=evaluation)),
            ("null_distribution", "Null", partial(plots.null_distribution, fields)),
        ],
        "Evaluation": [("roc_curve", "ROC", partial(plots.roc_curve, fields))],
        "Dimensionality": [("rarefaction_curve", "Dimensionality", partial(plots.rarefaction_curve, fields))],
        "SteeringSweep": [
            ("coherence_curve", "Coherence", partial(plots.coherence_curve, fields, threshold=item.threshold)),
            ("dose_response", "Dose and response", partial(plots.dose_response, fields, threshold=item.threshold)),
        ],
        "DoseResponse": [("dose_response", "Dose and response", partial(plots.dose_response, fields))],
        "TransferMatrix": [("transfer", "Transfer", partial(plots.transfer_heatmap, fields))],
        "SpecificityMatrix": [
            ("specificity", "Specificity", partial(plots.specificity_heatmap, fields, readout=readout))
        ],
        "DepthProfile": [("depth_curve", "Over depth", partial(plots.depth_curve, fields))],
        "SimplexFloor": [("cosines", "Cosines", partial(plots.cosine_floor, fields))],
        "Bandwidth": [
            ("bandwidth", "Bandwidth", partial(plots.bandwidth_comparison, alone)),
            ("steering_range", "Steering range", partial(plots.bandwidth_comparison, alone, quantity="range_positive")),
        ],
    }
    found = by_type.get(item.type, [])
    if item.type == "PermutationTest" and len(fields["layers"]) == 1:
        found = found[1:]
    return [(kind, f"{title}: {name}" if name else title, draw) for kind, title, draw in found]


def _slug(text: str) -> str:
    return "".join(c if c.isalnum() and c.isascii() else "_" for c in text.lower()).strip("_")


DPI = 160
"""Resolution of PNG figures."""

# Colours of the figures that the page may lighten on a dark ground.
_THEMED = {INK: "ink", BLUE: "blue", ORANGE: "orange", GREEN: "green", PURPLE: "purple", GREY: "grey"}


class Drawings:
    """The pictures of a report, each drawn once whatever the number of formats.

    Args:
        planted: Write PLANTED across every figure.
    """

    def __init__(self, *, planted: bool) -> None:
        self._planted = planted
        self._figures: dict[Picture, Any] = {}
        self._pngs: dict[Picture, bytes] = {}

    def png(self, picture: Picture) -> bytes:
        """A figure as PNG on white, of `DPI`."""
        if picture not in self._pngs:
            self._pngs[picture] = png_bytes(self._figure(picture), dpi=DPI)
        return self._pngs[picture]

    def svg(self, picture: Picture, prefix: str) -> str:
        """A figure as an SVG element for HTML: no ground of its own, colours as CSS variables, ids of its own.

        Letters are drawn as shapes, so that they look alike everywhere; what they say must be told beside the figure.

        Args:
            picture: What to draw.
            prefix: For its ids, unique in the page.
        """
        from matplotlib import rc_context

        stream = StringIO()
        with rc_context({"svg.fonttype": "path", "svg.hashsalt": prefix}):
            self._figure(picture).savefig(stream, format="svg", transparent=True, metadata={"Date": None})
        text = stream.getvalue()
        text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
        # Only the view box stays, so that the page decides the size.
        head, rest = text.split(">", 1)
        text = re.sub(r' (?:width|height)="[^"]*"', "", head) + ">" + rest
        text = re.sub(r'\bid="', f'id="{prefix}-', text)
        text = re.sub(r'href="#', f'href="#{prefix}-', text).replace("url(#", f"url(#{prefix}-")
        for colour, name in _THEMED.items():
            text = re.sub(re.escape(colour), f"var(--fig-{name})", text, flags=re.IGNORECASE)
        return text.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)

    def _figure(self, picture: Picture) -> Any:
        if picture not in self._figures:
            figure = picture.draw().figure
            if self._planted:
                style = {"fontsize": 46, "fontweight": "bold", "color": ORANGE, "alpha": 0.22}
                figure.text(0.5, 0.5, PLANTED, rotation=28, ha="center", va="center", **style)
            self._figures[picture] = figure
        return self._figures[picture]
