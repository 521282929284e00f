"""A concept token by token: where in a text, or in what the model writes while it is steered, it shows."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from empathy_geometry.activations.batching import batches
from empathy_geometry.activations.hook_reader import HookReader
from empathy_geometry.activations.outlier_tokens import find_outliers, token_norms
from empathy_geometry.activations.positions import judged_tokens
from empathy_geometry.activations.reading import ReadingDesign
from empathy_geometry.foundation._types import BoolArray, FloatArray, Layer
from empathy_geometry.foundation._validation import check_choice, rows_named
from empathy_geometry.foundation.settings import takes_settings
from empathy_geometry.generation.continuations import Continuations
from empathy_geometry.geometry.direction_units import unit_scale, units_of
from empathy_geometry.geometry.directions import ConceptDirection
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.models.behaviour_lengths import BehaviourLengths
from empathy_geometry.models.hooked_model import HookedModel, Site, hook_name
from empathy_geometry.models.loading import check_model
from empathy_geometry.models.model_view import own_view
from empathy_geometry.models.tokens import pad, token_pieces, tokenize
from empathy_geometry.steering.hook import SteeringHook
from empathy_geometry.steering.token_scores import TokenScores
from empathy_geometry.texts.labeled_texts import LabeledTexts

ScoreUnits = Literal["raw", "class_gap"]

# Only the stream at one hook is kept, so tokens a pass are bounded by what a pass itself needs.
_TOKENS_A_PASS = 4096


@takes_settings(reading=ReadingDesign)
def token_scores(
    model: HookedModel,
    texts: LabeledTexts | Sequence[str] | Continuations,
    scorer: ConceptDirection | Probe | Float[Tensor, "d_model"],
    *,
    layer: Layer | None = None,
    site: Site | None = None,
    hook: SteeringHook | None = None,
    units: ScoreUnits | None = None,
    positive: object = None,
    reading: ReadingDesign = ReadingDesign(),  # noqa: B008 - immutable
    batch_size: int | Literal["auto"] = "auto",
) -> TokenScores:
    """Score every token of texts, or of what a model wrote, by a direction or a fitted probe.

    Without `hook` the model as it is reads the text, also one that was written under steering: does the text itself
    carry the concept? With `hook` the stream is read while it is steered, as it was when the text was written (one
    pass over the whole text gives the same stream as writing it token by token). At a steered layer the hook's own
    edit is then part of every score, by algebra and for any direction; `note` says so. Later layers say what the
    model makes of it.

    Args:
        model: HookedTransformer or TransformerBridge, with nothing attached.
        texts: Labeled texts, plain strings, or what `generate` returned.
        scorer: A direction (projection), a fitted `Probe` (decision value), or a tensor (dot product).
        layer: Where to read; None takes the direction's own.
        site: Hook point of the block; None takes the direction's own, or "resid_post".
        hook: Steering to read under. Its alpha may be one per text. Positions "prompt", "last_prompt", "generated"
            and "response" mean the text's own prompt and response.
        units: Of a direction's scores: "raw" activation units, or "class_gap": one class gap is 1, as for alpha, and 0
            lies midway between the class means (where those are unknown, where the projection is 0). None is
            "class_gap" where the direction has one, as in `SteeringHook`, else "raw".
        positive: With a probe of more than two classes, whose score to take.
        reading: As in `extract_activations`; "keep" counts outlier tokens, too. No chat template for `Continuations`,
            whose prompts have it already.
        batch_size: Texts a pass.

    Raises:
        TypeError: a scorer of another kind.
        ValueError: no layer, another width, a probe that is not fitted, or a hook that does not go with the texts.

    Example:
        >>> written = generate(model, ["I lost my job."])  # doctest: +SKIP
        >>> print(token_scores(model, written, direction))  # doctest: +SKIP
    """
    check_model(model)
    read = _Scorer.of(scorer, layer, site, units, positive)
    read.check_fits(model)
    rows, spans = _rows(model, texts, reading)
    if hook is not None:
        hook.check_fits(model)
    name = hook_name(model, read.layer, read.site)
    names = [name, *(hook.names(model) if hook is not None else ())]
    scores: list[FloatArray] = [np.empty(0)] * len(rows)
    ordinary: list[BoolArray] = [np.empty(0, dtype=bool)] * len(rows)
    order = np.argsort([-len(row) for row in rows], kind="stable")
    widths = np.array([len(rows[i]) for i in order], dtype=np.int64)
    alike = BehaviourLengths.of(model).alike_rows(widths)
    for run in batches(widths, batch_size, _TOKENS_A_PASS, alike=alike):
        batch = order[run]
        ids, mask = pad([rows[i] for i in batch])
        judged = judged_tokens([len(rows[i]) for i in batch], ids.shape[1])

        def read_tokens(stream: Tensor, judged: Tensor = judged) -> tuple[Tensor, Tensor]:
            return read.score(stream), find_outliers(token_norms(stream), judged.to(stream.device))

        with (
            torch.no_grad(),
            own_view(model, names, longest=ids.shape[1]) as view,
            _steered(view, hook, rows, spans, batch),
        ):
            ((found, outliers),) = HookReader(view, [name]).read(ids, mask, [read_tokens])
        for r, i in enumerate(batch):
            scores[i] = found[r, : len(rows[i])].double().cpu().numpy()
            ordinary[i] = ~outliers[r, : len(rows[i])].cpu().numpy()
    special, keep = set(model.tokenizer.all_special_ids), reading.outlier_tokens == "keep"
    counted = tuple(
        np.array([(keep or t > 0) and token not in special for t, token in enumerate(row)]) & (keep | ordinary[i])
        for i, row in enumerate(rows)
    )
    pooled = np.concatenate([s[c] for s, c in zip(scores, counted, strict=True)])
    centre = read.centre if read.centre is not None else float(np.median(pooled)) if pooled.size else 0.0
    return TokenScores(
        tuple(token_pieces(model.tokenizer, row) for row in rows),
        tuple(scores),
        counted,
        tuple(spans),
        read.name,
        read.units,
        centre,
        read.layer,
        "unsteered" if hook is None else "steered",
        _note(hook, read),
    )


@dataclass(frozen=True)
class _Scorer:
    """A linear score of the stream and what is known of it."""

    weights: Float[Tensor, "d_model"]
    offset: float
    scale: float
    layer: Layer
    site: Site
    name: str
    units: str
    centre: float | None
    direction: ConceptDirection | None = None

    def score(self, stream: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos"]:
        """Scores in float32 at least, whatever the model computes in."""
        wide = torch.promote_types(stream.dtype, torch.float32)
        return (stream.to(wide) @ self.weights.to(stream.device, wide) - self.offset) / self.scale

    def check_fits(self, model: HookedModel) -> None:
        if len(self.weights) != int(model.cfg.d_model):
            raise ValueError(
                f"the scorer has width {len(self.weights)}, the model d_model {model.cfg.d_model}; it is of another "
                f"model"
            )
        if self.direction is not None:
            SteeringHook(self.direction, layers=self.layer).check_fits(model)

    @classmethod
    def of(
        cls, scorer: object, layer: Layer | None, site: Site | None, units: ScoreUnits | None, positive: object
    ) -> "_Scorer":
        check_choice(units, "units", (None, "raw", "class_gap"))
        own = getattr(scorer, "layer", None)
        where = own if layer is None else layer
        if where is None:
            raise ValueError("the scorer does not say at which layer it lives; pass layer=...")
        at: Site = getattr(scorer, "site", "resid_post") if site is None else site
        if isinstance(scorer, ConceptDirection):
            return cls._of_direction(scorer, where, at, units)
        if units == "class_gap":
            raise ValueError("units='class_gap' needs a ConceptDirection; the scores of other scorers are 'raw'")
        if isinstance(scorer, Probe):
            return cls._of_probe(scorer, where, at, positive)
        if not isinstance(scorer, Tensor):
            raise TypeError(
                f"scorer must be a ConceptDirection, a fitted Probe or a tensor [d_model], got {type(scorer).__name__}"
            )
        if scorer.ndim != 1 or not torch.isfinite(scorer).all():
            raise ValueError(f"a scorer tensor must be [d_model] and finite, got shape {tuple(scorer.shape)}")
        return cls(scorer.detach(), 0.0, 1.0, where, at, "vector", "activation units", None)

    @classmethod
    def _of_direction(
        cls, direction: ConceptDirection, layer: Layer, site: Site, units: ScoreUnits | None
    ) -> "_Scorer":
        name = f"{direction.positive} - {direction.negative} ({direction.method})"
        means = direction.class_means
        middle = (means["positive"] + means["negative"]) / 2 if means else None
        if units_of(direction, units) == "raw":
            return cls(direction.vector, 0.0, 1.0, layer, site, name, "activation units", middle, direction)
        gap = unit_scale(direction, "class_gap")
        centre = None if middle is None else 0.0
        return cls(direction.vector, middle or 0.0, gap, layer, site, name, "class gaps", centre, direction)

    @classmethod
    def _of_probe(cls, probe: Probe, layer: Layer, site: Site, positive: object) -> "_Scorer":
        try:
            check_is_fitted(probe)
        except ValueError as error:
            raise ValueError("the probe is not fitted; call probe.fit(X, y) first") from error
        classes = list(probe.classes_)
        if positive is None and len(classes) > 2:
            raise ValueError(f"the probe has {len(classes)} classes; pass positive=, one of {classes}")
        at = 1
        if positive is not None:
            at = int(np.argmax(rows_named(np.asarray(classes), positive, "positive", "the probe's classes")))
        chosen = classes[at]
        sign, row = ((1.0 if at == 1 else -1.0), 0) if len(classes) == 2 else (1.0, at)
        weights = torch.as_tensor(sign * probe.coef_[row], dtype=torch.float64)
        offset = -sign * float(probe.intercept_[row])
        return cls(weights, offset, 1.0, layer, site, f"{probe.kind} probe, {chosen}", "decision value", 0.0)


def _rows(
    model: HookedModel,
    texts: LabeledTexts | Sequence[str] | Continuations,
    reading: ReadingDesign,
) -> tuple[list[tuple[int, ...]], list[tuple[int, int]]]:
    """Token ids of each text and where its response lies."""
    if not len(texts):
        raise ValueError("texts is empty; give at least one text")
    if isinstance(texts, Continuations):
        if reading.chat_template:
            raise ValueError("the prompts of Continuations are as the model read them; leave chat_template=False")
        rows = [(*p, *n) for p, n in zip(texts.prompt_ids, texts.new_ids, strict=True)]
        return rows, [(len(p), len(row)) for p, row in zip(texts.prompt_ids, rows, strict=True)]
    tokenized = tokenize(model, texts, **reading.tokenization)
    return [t.ids for t in tokenized], [(t.start, t.stop) for t in tokenized]


def _steered(
    model: HookedModel,
    hook: SteeringHook | None,
    rows: Sequence[tuple[int, ...]],
    spans: Sequence[tuple[int, int]],
    batch: np.ndarray,
) -> AbstractContextManager[Any]:
    """The hook as these rows were, or would be, written under it."""
    if hook is None:
        return nullcontext()
    if hook.alpha.ndim == 1:
        if len(hook.alpha) != len(rows):
            raise ValueError(f"the hook's alpha has {len(hook.alpha)} entries for {len(rows)} texts; give one per text")
        hook = hook.with_alpha(hook.alpha[torch.as_tensor(batch)])
    if isinstance(hook.positions, str):
        border: dict[str, Callable[[int], tuple[int, int]]] = {
            "prompt": lambda i: (0, spans[i][0]),
            "last_prompt": lambda i: (spans[i][0] - 1, spans[i][0]),
            "generated": lambda i: (spans[i][0], len(rows[i])),
            "response": lambda i: (spans[i][0], spans[i][1]),
        }
        if hook.positions in border:
            chosen = [border[hook.positions](int(i)) for i in batch]
            if any(start >= stop for start, stop in chosen):
                raise ValueError(f"the hook edits positions={hook.positions!r}, which some text does not have")
            hook = hook.with_positions(chosen)
    elif len(hook.positions) and isinstance(hook.positions[0], tuple):
        hook = hook.with_positions([hook.positions[int(i)] for i in batch])  # type: ignore[misc]
    return hook.attached(model)


def _note(hook: SteeringHook | None, read: _Scorer) -> str:
    if hook is not None and read.layer in hook.layers and read.site == getattr(hook.direction, "site", "resid_post"):
        return "read at a steered layer: the edit itself is part of the scores, for any direction"
    return ""
