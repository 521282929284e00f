"""Texts through a model, once: all layers in one pass, pooled on the fly, nothing else kept."""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor
from tqdm.auto import tqdm

from empathy_geometry._types import Layer
from empathy_geometry.activations import Activations
from empathy_geometry.models import HookedModel, Site, check_model, hook_name, model_device, model_identity
from empathy_geometry.positions import Position, check_position, n_slots, pooling_weights, position_name
from empathy_geometry.provenance import Provenance
from empathy_geometry.texts import LabeledTexts
from empathy_geometry.tokens import TokenizedText, pad, tokenize

_TOKENS_PER_BATCH = 2048


class _DeepestLayerReached(Exception):  # noqa: N818 - not an error: it ends a forward pass early
    """Raised by the last hook, since nothing after it is needed."""


def extract_activations(
    model: HookedModel,
    texts: LabeledTexts,
    *,
    layers: Literal["all"] | Layer | Sequence[Layer] = "all",
    position: Position = "last",
    site: Site = "resid_post",
    batch_size: int | Literal["auto"] = "auto",
    prepend_bos: bool | None = None,
    progress: bool = True,
) -> Activations:
    """Activations of every text at the given layers, from one forward pass each.

    Texts are batched by length with padding on the right and a mask of our own, so that padding changes nothing;
    the pass ends at the deepest layer asked for and never computes logits; only pooled vectors are kept.

    Args:
        model: HookedTransformer or TransformerBridge.
        texts: What to read.
        layers: "all" (every block), an index, "embed", or several of them.
        position: "last", "mean", "response_mean", "response_quartiles", an int or a callable; see
            `positions.token_slots` for what each reads. Means leave out position 0.
        site: Hook point of the block.
        batch_size: Texts per forward pass; "auto" fills about 2,048 tokens.
        prepend_bos: None follows the model, as `model.to_tokens` does.
        progress: Show a bar with tokens per second (never when the output is not a terminal).

    Returns:
        Activations with `.values` float32 [n, layer, d_model], on the CPU, rows in the order of `texts`; with
        "response_quartiles" [n, 4, layer, d_model].

    Raises:
        TypeError: not a hooked model, or texts are not `LabeledTexts`.
        ValueError: unknown layer, site or position, or a text that does not fit the context.

    Example:
        >>> acts = extract_activations(model, texts, layers=[10, 20], position="mean")  # doctest: +SKIP
    """
    check_model(model)
    if not isinstance(texts, LabeledTexts):
        raise TypeError(
            f"texts must be LabeledTexts, got {type(texts).__name__}; try LabeledTexts(texts, labels, groups)"
        )
    check_position(position)
    wanted = _layers(model, layers)
    names = [hook_name(model, layer, "resid_post" if layer == "embed" else site) for layer in wanted]
    if batch_size != "auto" and (isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1):
        raise ValueError(f"batch_size must be a positive int or 'auto', got {batch_size!r}")
    tokenized = tokenize(model, texts, prepend_bos=prepend_bos)
    d_model = int(model.cfg.d_model)
    values = torch.empty(len(texts), n_slots(position), len(wanted), d_model)
    embeddings = torch.empty(len(texts), d_model)
    embed_name = hook_name(model, "embed")
    total = sum(map(len, tokenized))
    bar = tqdm(
        total=total,
        unit="tok",
        unit_scale=True,
        desc="activations",
        disable=None if progress else True,
        delay=2,
    )
    with torch.no_grad(), bar:
        for rows in _batches(tokenized, batch_size):
            batch = [tokenized[i] for i in rows]
            ids, mask = pad([text.ids for text in batch])
            weights = pooling_weights(batch, position, ids.shape[1])
            response = pooling_weights(batch, "response_mean", ids.shape[1])
            pooled = _pool(model, ids, mask, [*names, embed_name], [*[weights] * len(names), response])
            index = torch.as_tensor(rows)
            values[index] = torch.stack(pooled[:-1], dim=2)
            embeddings[index] = pooled[-1][:, 0]
            bar.update(sum(map(len, batch)))
    settings = {
        "layers": list(wanted),
        "position": position_name(position),
        "site": site,
        "prepend_bos": prepend_bos,
        "padding": "right",
    }
    return Activations(
        values[:, 0] if n_slots(position) == 1 else values,
        wanted,
        texts.labels,
        texts.groups,
        position=position_name(position),
        site=site,
        texts=texts,
        token_embeddings=embeddings,
        provenance=Provenance(
            "measured", model=model_identity(model), texts={texts.name: texts.sha256}, settings=settings
        ),
    )


def _pool(
    model: HookedModel, ids: Tensor, mask: Tensor, names: Sequence[str], weights: Sequence[Tensor]
) -> list[Tensor]:
    """The weighted token means [batch, slots, d_model] at each named hook, from one pass that ends early."""
    device = model_device(model)
    taken: list[Tensor | None] = [None] * len(names)

    def taker(slot: int) -> Callable[..., None]:
        def take(stream: Tensor, hook: object) -> None:
            weight = weights[slot].to(stream.device, torch.float32)
            taken[slot] = torch.bmm(weight, stream.float()).cpu()
            if all(t is not None for t in taken):
                raise _DeepestLayerReached

        return take

    try:
        with model.hooks(fwd_hooks=[(name, taker(slot)) for slot, name in enumerate(names)]):
            model(ids.to(device), attention_mask=mask.to(device))  # type: ignore[call-arg]
    except _DeepestLayerReached:
        pass
    missing = [name for name, t in zip(names, taken, strict=True) if t is None]
    if missing:
        raise RuntimeError(f"the forward pass did not reach the hook points {missing}; is this model wrapped twice?")
    return [t for t in taken if t is not None]


def _batches(tokenized: Sequence[TokenizedText], batch_size: int | str) -> Iterator[list[int]]:
    """Row indices, longest texts first (memory problems show at once), similar lengths together."""
    order = sorted(range(len(tokenized)), key=lambda i: (-len(tokenized[i]), i))
    start = 0
    while start < len(order):
        width = len(tokenized[order[start]])
        size = batch_size if isinstance(batch_size, int) else max(1, _TOKENS_PER_BATCH // width)
        yield order[start : start + size]
        start += size


def _layers(model: HookedModel, layers: Literal["all"] | Layer | Sequence[Layer]) -> tuple[Layer, ...]:
    if layers == "all":
        return tuple(range(int(model.cfg.n_layers)))
    chosen: tuple[Layer, ...] = (layers,) if isinstance(layers, int) or layers == "embed" else tuple(layers)  # type: ignore[arg-type, assignment]
    if not chosen:
        raise ValueError("layers is empty; give at least one, or 'all'")
    if len(set(chosen)) != len(chosen):
        raise ValueError(f"layers must not repeat, got {list(chosen)}")
    return chosen
