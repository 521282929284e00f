"""Pitfall: a probe that is beaten by the first word, and a concept that "emerges at layer 1" from a constant token."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from empathy_geometry.activations.pooled import Activations
from empathy_geometry.evaluation.cross_validation import cross_validate
from empathy_geometry.foundation._types import Layer
from empathy_geometry.foundation._validation import as_generator
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.provenance import Provenance
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.pitfalls.demonstration import BLUE, GREEN, GREY, ORANGE, PINK, Demonstration, axes_or_new, origin
from empathy_geometry.texts.labeled_texts import LabeledTexts

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False)
class FirstWordBeatsProbe(Demonstration):
    """Held-out AUROC of probes at each layer beside classifiers that only see words.

    Attributes:
        layers: Names of the layers, "embed" first where it is there.
        last: AUROC of the activations at each layer; planted: of the last token, a full stop in every text.
        pooled: AUROC of the mean over tokens at each layer; None if it was not given.
        baselines: AUROC of each text-only baseline on the same folds.
        constant: Layers at which all rows are the same.
        provenance: Planted or measured.
    """

    title: ClassVar[str] = "The first word beats the probe, and 'emergence at layer 1' is a constant token"
    lesson: ClassVar[str] = (
        "Report the excess over the best text-only baseline, and pooled positions beside the last token."
    )

    layers: tuple[Layer, ...]
    last: tuple[Estimate, ...]
    pooled: tuple[Estimate, ...] | None
    baselines: dict[str, Estimate]
    constant: tuple[Layer, ...]
    provenance: Provenance

    def rows(self) -> list[dict[str, Any]]:
        """The table, one dictionary for each row."""
        table: list[dict[str, Any]] = [
            {
                "what is read": f"layer {layer}" + (" (constant)" if layer in self.constant else ""),
                "last token": self.last[i],
                "mean over tokens": None if self.pooled is None else self.pooled[i],
            }
            for i, layer in enumerate(self.layers)
        ]
        words = [
            {"what is read": f"words only: {name}", "last token": e, "mean over tokens": None}
            for name, e in self.baselines.items()
        ]
        return table + words

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the figure on `ax`, or on a new one."""
        ax = axes_or_new(ax, width=7.4)
        at = np.arange(len(self.layers))
        series = [("last token", self.last, ORANGE, "o", -0.06)]
        if self.pooled is not None:
            series.append(("mean over tokens", self.pooled, BLUE, "s", 0.06))
        for name, estimates, color, marker, shift in series:
            values = np.array([e.value for e in estimates])
            low = values - np.array([e.value if e.low is None else e.low for e in estimates])
            high = np.array([e.value if e.high is None else e.high for e in estimates]) - values
            ax.errorbar(at + shift, values, yerr=[low, high], color=color, marker=marker, capsize=2, label=name)
        styles = (("-.", GREEN), (":", PINK), ("--", "black"), ((0, (1, 3)), GREY))
        for (name, e), (line, color) in zip(self.baselines.items(), styles, strict=False):
            ax.axhline(e.value, color=color, linestyle=line, linewidth=1.5, label=f"words only: {name}")
        ax.axhline(0.5, color=GREY, linestyle="--", linewidth=1, label="chance")
        ax.set_xticks(at, [str(layer) for layer in self.layers])
        ax.set(xlabel="layer", ylabel="held-out AUROC", ylim=(0.3, 1.03), title="Words, layers and the last token")
        ax.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5))
        return ax


def first_word_beats_probe(
    activations: Activations | None = None,
    *,
    pooled: Activations | None = None,
    positive: str | None = None,
    negative: str | None = None,
    seed: int = 0,
) -> FirstWordBeatsProbe:
    """AUROC at every layer beside the text-only baselines.

    Args:
        activations: With their texts, usually of the last token; None plants texts whose first word tells the class and
            a model that only mixes token vectors causally.
        pooled: The same texts at position "mean" or "response_mean", to draw beside it.
        positive: The concept's class; None takes the last of two.
        negative: The neutral class; None compares with all others.
        seed: Seed.

    Raises:
        ValueError: the activations have no texts, or the two sets differ in layers or rows.

    Example:
        >>> demo = first_word_beats_probe()
        >>> demo.last[0].value, demo.last[1].value > 0.6, demo.baselines["first_word"].value > demo.last[-1].value
        (0.5, True, True)
        >>> demo.constant, demo.pooled[0].value > 0.6
        (('embed',), True)
    """
    planted = activations is None
    if activations is None:
        activations, pooled = _planted_texts(as_generator(seed))
    if activations.texts is None:
        raise ValueError("the activations have no texts, so words cannot be compared; extract them from LabeledTexts")
    if pooled is not None and (pooled.layers != activations.layers or len(pooled) != len(activations)):
        raise ValueError("pooled must hold the same texts and layers as activations")
    curves = [
        [
            cross_validate(Probe("lda"), source, positive=positive, negative=negative, layers=[layer], seed=seed)
            for layer in source.layers
        ]
        for source in (activations, pooled)
        if source is not None
    ]
    values = activations.values.reshape(len(activations), -1, *activations.values.shape[-2:])
    constant = tuple(
        layer
        for i, layer in enumerate(activations.layers)
        if bool((values[:, :, i] - values[:1, :, i]).abs().max() <= 1e-6 * values[:, :, i].abs().max())
    )
    settings = {"positive": positive, "negative": negative}
    return FirstWordBeatsProbe(
        layers=activations.layers,
        last=tuple(e.auroc for e in curves[0]),
        pooled=tuple(e.auroc for e in curves[1]) if len(curves) == 2 else None,
        baselines=dict(curves[0][0].baselines),
        constant=constant,
        provenance=origin(None if planted else activations, seed, settings),
    )


def _planted_texts(generator: np.random.Generator) -> tuple[Activations, Activations]:
    """Texts "<opener> <eight filler words> ." and layers that each add a causal average of the stream."""
    openers = {"warm": ("sorry", "gosh", "oh"), "plain": ("the", "a", "this")}
    fillers = [f"w{i}" for i in range(40)]
    vectors = {w: generator.standard_normal(32) for w in (*openers["warm"], *openers["plain"], *fillers, ".")}
    texts, labels, groups, streams = [], [], [], []
    for scenario in range(40):
        words = generator.choice(fillers, 8).tolist()
        for label, first in openers.items():
            tokens = [str(generator.choice(first)), *words, "."]
            texts.append(" ".join(tokens))
            labels.append(label)
            groups.append(f"s{scenario}")
            streams.append(np.stack([vectors[t] for t in tokens]))
    stream = np.stack(streams)
    layers = [stream]
    for _ in range(3):
        mix = generator.standard_normal((32, 32)) / np.sqrt(32)
        average = np.cumsum(stream, axis=1) / np.arange(1, stream.shape[1] + 1)[:, None]
        stream = stream + average @ mix + 0.25 * generator.standard_normal(stream.shape)
        layers.append(stream)
    values = np.stack(layers, axis=2)
    labeled = LabeledTexts(texts, labels, groups, name="planted")
    names: tuple[Layer, ...] = ("embed", 0, 1, 2)

    def pooled(x: np.ndarray, position: str) -> Activations:
        return Activations(
            torch.as_tensor(x, dtype=torch.float32), names, labeled.labels, labeled.groups, position, texts=labeled
        )

    return pooled(values[:, -1], "last"), pooled(values.mean(axis=1), "mean")
