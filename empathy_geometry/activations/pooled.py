"""Pooled activations of texts, with the labels, scenarios and origin that belong to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from empathy_geometry.activations.outlier_tokens import OUTLIER_TOKENS, OutlierTokens
from empathy_geometry.activations.pooling import Pooling
from empathy_geometry.activations.positions import (
    Position,
    check_position,
    judged_tokens,
    n_slots,
    pooling_weights,
    position_name,
    read_length,
    token_slots,
)
from empathy_geometry.foundation._types import LabelsLike, Layer, NamesLike, StrArray
from empathy_geometry.foundation._validation import as_names, check_choice
from empathy_geometry.foundation.artefact import load_artefact, save_artefact
from empathy_geometry.foundation.provenance import Provenance
from empathy_geometry.foundation.terminal import printable
from empathy_geometry.models.tokens import TokenizedText
from empathy_geometry.texts.labeled_texts import LabeledTexts, rows_where
from empathy_geometry.texts.saved_texts import texts_from_dict, texts_to_dict


@dataclass(frozen=True, eq=False)
class Activations:
    """Residual-stream vectors of n texts at several layers.

    Attributes:
        values: [n, layer, d_model], or [n, pos, layer, d_model] where a position option gives several vectors a text.
        layers: What the layer axis holds: block indices (the stream after the block) or "embed".
        labels: Class of each row, [n].
        groups: Scenario of each row, [n].
        position: Which tokens were read ("last", "mean", ...).
        site: Which hook point of the block ("resid_post", ...).
        texts: The texts themselves, for text-only baselines; None if unknown.
        token_embeddings: Mean token embedding of each response, [n, d_model], the baseline that knows the words but
            not their order; None if unknown.
        left_out: How many outlier tokens each row's mean is without at each layer, besides the text's first token (see
            `outlier_tokens`), [n, layer]; None if unknown.
        provenance: Where the values came from; None if the user made them.

    Example:
        >>> acts = Activations(torch.randn(4, 2, 8), (0, 1), ["a", "b", "a", "b"], ["g", "g", "h", "h"])
        >>> acts.layer(1).shape, len(acts.where(label="a"))
        (torch.Size([4, 8]), 2)
    """

    values: Float[Tensor, "n *pos layer d_model"]
    layers: tuple[Layer, ...]
    labels: StrArray
    groups: StrArray
    position: str = "last"
    site: str = "resid_post"
    texts: LabeledTexts | None = None
    token_embeddings: Float[Tensor, "n d_model"] | None = None
    left_out: Int[Tensor, "n layer"] | None = None
    provenance: Provenance | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.values, Tensor) or self.values.ndim not in (3, 4):
            shape = getattr(self.values, "shape", type(self.values).__name__)
            raise ValueError(f"values must be a tensor [n, layer, d_model] or [n, pos, layer, d_model], got {shape}")
        n = len(self.values)
        if n == 0:
            raise ValueError("values has no rows")
        object.__setattr__(self, "layers", tuple(self.layers))
        if len(self.layers) != self.values.shape[-2] or len(set(self.layers)) != len(self.layers):
            raise ValueError(
                f"layers must name each of the {self.values.shape[-2]} entries of the layer axis once, got "
                f"{self.layers}"
            )
        finite = torch.isfinite(self.values).flatten(1).all(1)
        if not finite.all():
            row = int((~finite).nonzero()[0])
            raise ValueError(
                f"values must be finite; {int((~finite).sum())} of {n} rows are not (first: row {row}); "
                f"if the model runs in float16, try dtype='float32' or 'bfloat16'"
            )
        object.__setattr__(self, "labels", as_names(self.labels, "labels", n).astype(str))
        object.__setattr__(self, "groups", as_names(self.groups, "groups", n).astype(str))
        if self.texts is not None and len(self.texts) != n:
            raise ValueError(f"texts must have one text for each of {n} rows, got {len(self.texts)}")
        if self.token_embeddings is not None and self.token_embeddings.shape[0] != n:
            raise ValueError(f"token_embeddings must have {n} rows, got {tuple(self.token_embeddings.shape)}")
        if self.left_out is not None and tuple(self.left_out.shape) != (n, len(self.layers)):
            raise ValueError(f"left_out must be [{n}, {len(self.layers)}], got {tuple(self.left_out.shape)}")

    def __len__(self) -> int:
        return len(self.values)

    @printable
    def __repr__(self) -> str:
        classes = ", ".join(f"{c}: {int((self.labels == c).sum())}" for c in np.unique(self.labels))
        return (
            f"Activations({tuple(self.values.shape)} {str(self.values.dtype).removeprefix('torch.')}, "
            f"layers {self.layers[0]}..{self.layers[-1]}, {self.site} at {self.position}; {classes}; "
            f"{len(np.unique(self.groups))} groups{self._left_out_note})"
        )

    @property
    def _left_out_note(self) -> str:
        most = 0 if self.left_out is None else int(self.left_out.sum(0).max())
        return f"; up to {most} outlier tokens left out at a layer" if most else ""

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return int(self.values.shape[-1])

    @property
    def contexts(self) -> StrArray | None:
        """Context of each row, where the texts have one."""
        return None if self.texts is None else self.texts.contexts

    def layer(self, layer: Layer, *, pos: int | None = None) -> Float[Tensor, "n d_model"]:
        """The rows at one layer, [n, d_model].

        Args:
            layer: One of `layers`.
            pos: Which vector of each text, where there are several.

        Raises:
            ValueError: the layer was not extracted, or `pos` is needed and not given.
        """
        if layer not in self.layers:
            raise ValueError(f"layer {layer!r} was not extracted; there are {list(self.layers)}")
        at = self.values[..., self.layers.index(layer), :]
        if at.ndim == 2:
            return at
        if pos is None:
            raise ValueError(f"each text has {at.shape[1]} vectors ({self.position}); say pos=0..{at.shape[1] - 1}")
        return at[:, pos]

    def __getitem__(self, rows: Any) -> "Activations":
        chosen = rows if isinstance(rows, slice) else np.asarray(rows)
        empty = isinstance(chosen, np.ndarray) and chosen.size == 0
        index = np.arange(0) if empty else np.arange(len(self))[chosen].reshape(-1)
        if index.size == 0:
            raise ValueError(f"the selection is empty: none of {len(self)} rows is left")
        select = torch.as_tensor(index)
        return replace(
            self,
            values=self.values[select],
            labels=self.labels[index],
            groups=self.groups[index],
            texts=None if self.texts is None else self.texts[index],
            token_embeddings=None if self.token_embeddings is None else self.token_embeddings[select],
            left_out=None if self.left_out is None else self.left_out[select],
        )

    def where(
        self,
        *,
        label: NamesLike | None = None,
        group: NamesLike | None = None,
        context: NamesLike | None = None,
        family: NamesLike | None = None,
    ) -> "Activations":
        """The rows for which every given field has (one of) the given value(s); see `LabeledTexts.where`."""
        texts = self.texts
        fields = {
            "label": self.labels,
            "group": self.groups,
            "context": None if texts is None else texts.contexts,
            "family": None if texts is None else texts.families,
        }
        return self[
            rows_where(len(self), fields, {"label": label, "group": group, "context": context, "family": family})
        ]

    @classmethod
    def from_cache(
        cls,
        cache: Mapping[str, Tensor],
        labels: LabelsLike,
        groups: LabelsLike,
        *,
        layers: Literal["all"] | Sequence[Layer] = "all",
        position: Position = "last",
        outlier_tokens: OutlierTokens = "leave_out",
        site: str = "resid_post",
        attention_mask: Tensor | None = None,
        texts: LabeledTexts | None = None,
        tokenized: Sequence[TokenizedText] | None = None,
    ) -> "Activations":
        """Pool a cache that `model.run_with_cache` returned.

        Args:
            cache: An ActivationCache or a dictionary, hook names to [batch, pos, d_model].
            labels: Class of each row of the batch.
            groups: Scenario of each row of the batch.
            layers: Block indices (and "embed"); "all" takes what the cache has.
            position: As in `extract_activations`; the whole text counts as response unless `tokenized` says where it
                lies.
            outlier_tokens: As in `extract_activations`.
            site: Which hook point of the block.
            attention_mask: [batch, pos], 1 for real tokens, with padding on the right or left; needed if texts differ
                in length.
            texts: The texts, for text-only baselines.
            tokenized: What `tokens.tokenize` made of the texts whose tokens the cache is of, one per row.

        Raises:
            ValueError: a layer is not in the cache, or shapes do not fit.

        Example:
            >>> cache = {"blocks.0.hook_resid_post": torch.tensor([[[9.0], [1.0], [3.0]]])}
            >>> Activations.from_cache(cache, ["a"], ["g"], position="mean").values.tolist()
            [[[2.0]]]
        """
        check_position(position)
        check_choice(outlier_tokens, "outlier_tokens", OUTLIER_TOKENS)
        if isinstance(layers, str) and layers == "all":
            found = {int(k.split(".")[1]) for k in cache if k.startswith("blocks.") and k.endswith(f".hook_{site}")}
            layers = sorted(found)
            if not layers:
                raise ValueError(f"the cache has no blocks.*.hook_{site}; it has {list(cache)[:5]}")
        pooling: Pooling | None = None
        pooled, left_out = [], []
        for layer in layers:
            name = "blocks.0.hook_resid_pre" if layer == "embed" else f"blocks.{layer}.hook_{site}"
            if name not in cache:
                raise ValueError(f"the cache has no {name}; pass a names_filter that keeps it")
            stream = cache[name]
            if stream.ndim != 3:
                raise ValueError(
                    f"{name} must be [batch, pos, d_model], got {tuple(stream.shape)}; keep the batch axis"
                )
            if pooling is None:
                pooling = _cache_pooling(stream.shape, attention_mask, tokenized, position, outlier_tokens)
            means = pooling(stream.detach())
            pooled.append(means.vectors.cpu())
            left_out.append(means.left_out.cpu())
        values = torch.stack(pooled, dim=2)
        return cls(
            values[:, 0] if values.shape[1] == 1 else values,
            tuple(layers),
            np.asarray(labels),
            np.asarray(groups),
            position=position_name(position),
            site=site,
            texts=texts,
            left_out=torch.stack(left_out, dim=1).int(),
        )

    def save(self, path: str | Path) -> Path:
        """Write one safetensors file (tensors, and everything else as JSON in its header), atomically."""
        described = {
            "layers": list(self.layers),
            "labels": self.labels.tolist(),
            "groups": self.groups.tolist(),
            "position": self.position,
            "site": self.site,
            "texts": None if self.texts is None else texts_to_dict(self.texts),
            "provenance": None if self.provenance is None else self.provenance.to_dict(),
        }
        tensors = {"values": self.values}
        if self.token_embeddings is not None:
            tensors["token_embeddings"] = self.token_embeddings
        if self.left_out is not None:
            tensors["left_out"] = self.left_out
        return save_artefact(path, "activations", tensors, described)

    @classmethod
    def load(cls, path: str | Path) -> "Activations":
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is damaged or of another kind.
        """
        tensors, described = load_artefact(path, "activations")
        try:
            texts = described["texts"]
            return cls(
                tensors["values"],
                tuple(described["layers"]),
                np.asarray(described["labels"]),
                np.asarray(described["groups"]),
                position=described["position"],
                site=described["site"],
                texts=None if texts is None else texts_from_dict(texts),
                token_embeddings=tensors.get("token_embeddings"),
                left_out=tensors.get("left_out"),
                provenance=None if described["provenance"] is None else Provenance.from_dict(described["provenance"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path} is damaged ({type(error).__name__}: {error}); extract again") from error


def _cache_pooling(
    shape: torch.Size,
    attention_mask: Tensor | None,
    tokenized: Sequence[TokenizedText] | None,
    position: Position,
    outlier_tokens: OutlierTokens,
) -> Pooling:
    """The pooling of a padded cache whose real tokens stand together, left or right."""
    batch, width = shape[:2]
    mask = torch.ones(batch, width, dtype=torch.bool) if attention_mask is None else attention_mask.bool().cpu()
    if tuple(mask.shape) != (batch, width):
        raise ValueError(f"attention_mask must be {(batch, width)}, as the cache, got {tuple(mask.shape)}")
    if tokenized is not None and [len(text) for text in tokenized] != mask.sum(1).tolist():
        raise ValueError(
            f"tokenized must have one text per row with as many tokens as the row has real ones "
            f"({mask.sum(1).tolist()[:5]}...), got {[len(text) for text in tokenized][:5]}..."
        )
    weights = torch.zeros(batch, n_slots(position), width)
    judged = torch.zeros(batch, width, dtype=torch.bool)
    for row, real in enumerate(mask):
        index = real.nonzero().flatten()
        if not len(index) or int(index[-1] - index[0]) != len(index) - 1:
            raise ValueError(f"the real tokens of row {row} must be one run, got {real.int().tolist()[:20]}")
        text = tokenized[row] if tokenized is not None else TokenizedText(tuple(range(len(index))), 0, len(index))
        weights[row][:, index] = pooling_weights([text], position, len(index), outlier_tokens)[0]
        # What stands after the last token that is read has no part in the median, as in an extraction.
        read = read_length(text, token_slots(text, position, outlier_tokens))
        judged[row, index] = judged_tokens([read], len(index))[0]
    return Pooling(weights, judged if outlier_tokens == "leave_out" else None)
