"""Every readout of every test text under every edit."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tqdm.auto import tqdm

from empathy_geometry.causal.edited_model import EditedModel, next_token_nll
from empathy_geometry.causal.markers import marker_positions, response_tokens
from empathy_geometry.causal.preparation import Preparation, Target
from empathy_geometry.foundation._types import FloatArray, StrArray
from empathy_geometry.models.hooked_model import HookedModel
from empathy_geometry.models.tokens import tokenize
from empathy_geometry.steering.stream_edit import StreamEdit
from empathy_geometry.texts.labeled_texts import LabeledTexts

Key = tuple[Hashable, ...]

READOUTS = ("marker tokens", "later layers")
BASE: Key = ("unedited",)


@dataclass(frozen=True, eq=False)
class EditValues:
    """Readouts by edit.

    Attributes:
        values: By edit, [n_texts, n_targets, 2], readouts in the order of `READOUTS`; NaN where an edit was not run.
        texts: The test texts.
        edited: Scenarios on which edits were run (on the others only the unedited readout), in order.
        targets: The directions and their readouts.
    """

    values: Mapping[Key, FloatArray]
    texts: LabeledTexts
    edited: StrArray
    targets: tuple[Target, ...]

    def side(self, key: Key, target: int, readout: int, *, positive: bool, scenarios: StrArray) -> FloatArray:
        """Mean over a scenario's texts of one side, [n_scenarios]."""
        t = self.targets[target]
        classes = [t.positive] if positive else list(t.negatives)
        chosen = np.isin(self.texts.labels, classes)
        column = self.values[key][:, target, readout]
        return np.array([column[chosen & (self.texts.groups == g)].mean() for g in scenarios])

    def spread(self, target: int, readout: int) -> float:
        """Standard deviation within classes over all test scenarios, unedited; 1 where nothing varies."""
        scenarios = np.unique(self.texts.groups)
        sides = [self.side(BASE, target, readout, positive=p, scenarios=scenarios) for p in (True, False)]
        spread = float(np.sqrt(np.mean([side.var(ddof=1) for side in sides])))
        return spread if spread > 1e-9 else 1.0

    def shift(self, key: Key, target: int, readout: int) -> FloatArray:
        """How far an edit moves the texts of the negative classes, in standard deviations, [n_scenarios]."""
        moved = self.side(key, target, readout, positive=False, scenarios=self.edited)
        before = self.side(BASE, target, readout, positive=False, scenarios=self.edited)
        return np.asarray((moved - before) / self.spread(target, readout))

    def separation(self, key: Key, target: int, readout: int) -> FloatArray:
        """Positive minus negative side, in standard deviations, [n_scenarios]."""
        up, down = (self.side(key, target, readout, positive=p, scenarios=self.edited) for p in (True, False))
        return np.asarray((up - down) / self.spread(target, readout))


def sufficiency_edits(
    preparation: Preparation, alphas: Sequence[float], controls: Mapping[str, torch.Tensor]
) -> dict[Key, StreamEdit]:
    """Every direction at every dose, and every control at the length of the largest."""
    largest = max(alphas)
    edits: dict[Key, StreamEdit] = {}
    for t in preparation.targets:
        for alpha in alphas:
            edits["add", t.name, alpha] = StreamEdit.adding(t.direction.vector, alpha * t.length)
    for length in sorted({t.length * largest for t in preparation.targets}):
        for kind, vectors in preparation.nulls.items():
            for i, vector in enumerate(vectors):
                edits["add", kind, i, length] = StreamEdit.adding(vector, length)
        for name, vector in controls.items():
            edits["add", "control", name, length] = StreamEdit.adding(vector, length)
    return edits


def necessity_edits(
    target: Target, preparation: Preparation, controls: Mapping[str, torch.Tensor]
) -> dict[Key, StreamEdit]:
    """Mean and directional ablation, and placebos of the mean ablation along directions that mean nothing."""
    v, mean = target.direction.vector, target.negative_mean
    edits: dict[Key, StreamEdit] = {
        ("mean_ablate", target.name): StreamEdit.clamping(v, mean),
        ("ablate", target.name): StreamEdit.clamping(v, 0.0),
    }
    for kind, vectors in preparation.nulls.items():
        for i, vector in enumerate(vectors):
            edits["mean_ablate", target.name, kind, i] = StreamEdit.clamping(v, mean, write=vector)
    for name, vector in controls.items():
        edits["mean_ablate", target.name, "control", name] = StreamEdit.clamping(v, mean, write=vector)
    return edits


def measure_edits(
    model: HookedModel,
    preparation: Preparation,
    sufficiency: Mapping[Key, StreamEdit],
    necessity: Mapping[str, Mapping[Key, StreamEdit]],
    *,
    n_scenarios: int,
    progress: bool,
) -> EditValues:
    """Run every test text under the edits that concern its class.

    Args:
        model: HookedTransformer or TransformerBridge.
        preparation: Directions, readouts and texts.
        sufficiency: Edits of the texts of negative classes.
        necessity: Edits of both sides of each direction's contrast, by direction.
        n_scenarios: On how many test scenarios the edits run; the others are read unedited.
        progress: Show a bar.
    """
    texts, targets = preparation.split.test, preparation.targets
    order = list(dict.fromkeys(texts.groups.tolist()))[:n_scenarios]
    keys = [BASE, *sufficiency, *(k for edits in necessity.values() for k in edits)]
    values = {key: np.full((len(texts), len(targets), 2), np.nan) for key in keys}
    nothing = StreamEdit.nothing(int(model.cfg.d_model))
    tokenized = tokenize(model, texts)
    runner = EditedModel(model, preparation.layer, preparation.readout_layers)
    for i in tqdm(range(len(texts)), "edits", unit="text", delay=2, disable=None if progress else True):
        text, label = tokenized[i], str(texts.labels[i])
        edits: dict[Key, StreamEdit] = {BASE: nothing}
        if texts.groups[i] in order:
            if any(label in t.negatives for t in targets):
                edits |= sufficiency
            for t in targets:
                if label == t.positive or label in t.negatives:
                    edits |= necessity[t.name]
        read = runner.read(
            text.ids,
            list(edits.values()),
            tokens=response_tokens(text),
            positions=marker_positions(text),
        )
        for j, t in enumerate(targets):
            both = np.stack([t.markers.logit_difference(read.logits), t.later.scores(read.computed)], axis=1)
            for row, key in zip(both, edits, strict=True):
                values[key][i, j] = row
    return EditValues(values, texts, np.array(order), targets)


def neutral_nll(
    model: HookedModel, preparation: Preparation, edits: Mapping[Key, StreamEdit], neutral_texts: Sequence[str]
) -> dict[Key, FloatArray]:
    """Nats per token of neutral text under each edit, [n_texts]."""
    found: dict[Key, list[float]] = {key: [] for key in edits}
    runner = EditedModel(model, preparation.layer, ())
    for text in tokenize(model, list(neutral_texts)):
        positions = list(range(1, len(text) - 1))
        if not positions:
            raise ValueError("a neutral text has fewer than three tokens; give longer ones")
        read = runner.read(text.ids, list(edits.values()), tokens=(), positions=positions)
        nll = next_token_nll(read.logits, torch.as_tensor(text.ids[2:]))
        for key, value in zip(edits, nll.double().tolist(), strict=True):
            found[key].append(value)
    return {key: np.array(values) for key, values in found.items()}
