"""Pooled activations of texts, with the labels, scenarios and origin that belong to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from empathy_geometry.activations.concatenation import joined_fields
from empathy_geometry.activations.given_streams import (
    StreamsByHook,
    as_streams,
    check_streams,
    pool_streams,
    streams_of_hidden_states,
)
from empathy_geometry.activations.outlier_tokens import OutlierTokens
from empathy_geometry.activations.positions import Position, position_name
from empathy_geometry.activations.real_tokens import UNSAID, Unsaid, real_tokens
from empathy_geometry.foundation._types import ArrayLike, LabelsLike, Layer, Layers, NameField, NamesLike, StrArray
from empathy_geometry.foundation._validation import as_layer, as_layers, as_names, to_numpy
from empathy_geometry.foundation.artefact import load_artefact, save_artefact
from empathy_geometry.foundation.provenance import Provenance
from empathy_geometry.foundation.terminal import printable
from empathy_geometry.models.tokens import TokenizedText
from empathy_geometry.texts.labeled_texts import LabeledTexts, rows_where
from empathy_geometry.texts.saved_texts import texts_from_dict, texts_to_dict
from empathy_geometry.texts.targets import Targets, as_targets
from empathy_geometry.texts.token_ids import TokenIds, TokenIdsField, as_token_ids


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
        targets: Graded targets of the rows, columns [n] by name; None takes those of `texts`, where they have some.
        token_ids: The tokens that the model read of each response, for the baseline that sees as much as the model;
            None if unknown.

    Example:
        >>> acts = Activations(torch.randn(4, 2, 8), (0, 1), ["a", "b", "a", "b"], ["g", "g", "h", "h"])
        >>> acts.layer(1).shape, len(acts.where(label="a"))
        (torch.Size([4, 8]), 2)
    """

    values: Float[Tensor, "n *pos layer d_model"]
    layers: tuple[Layer, ...]
    labels: NameField
    groups: NameField
    position: str = "last"
    site: str = "resid_post"
    texts: LabeledTexts | None = None
    token_embeddings: Float[Tensor, "n d_model"] | None = None
    left_out: Int[Tensor, "n layer"] | None = None
    provenance: Provenance | None = None
    targets: Targets | None = None
    token_ids: TokenIdsField | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.values, Tensor) or self.values.ndim not in (3, 4):
            shape = getattr(self.values, "shape", type(self.values).__name__)
            raise ValueError(f"values must be a tensor [n, layer, d_model] or [n, pos, layer, d_model], got {shape}")
        n = len(self.values)
        if n == 0:
            raise ValueError("values has no rows")
        object.__setattr__(self, "layers", as_layers(self.layers))
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
        graded = self.texts.targets if self.targets is None and self.texts is not None else self.targets
        object.__setattr__(self, "targets", as_targets(graded, n))
        object.__setattr__(self, "token_ids", as_token_ids(self.token_ids, n))
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
        layer = as_layer(layer)
        if layer not in self.layers:
            raise ValueError(f"layer {layer!r} was not extracted; there are {list(self.layers)}")
        at = self.values[..., self.layers.index(layer), :]
        if at.ndim == 2:
            return at
        if pos is None:
            raise ValueError(f"each text has {at.shape[1]} vectors ({self.position}); say pos=0..{at.shape[1] - 1}")
        return at[:, pos]

    def only(self, layer: Layer) -> "Activations":
        """The same rows with one layer, every other field along with it.

        Raises:
            ValueError: the layer was not extracted.
        """
        if layer not in self.layers:
            raise ValueError(f"layer {layer!r} was not extracted; there are {list(self.layers)}")
        i = self.layers.index(layer)
        left_out = None if self.left_out is None else self.left_out[:, [i]]
        return replace(self, values=self.values[..., [i], :], layers=(layer,), left_out=left_out)

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
            targets=None if self.targets is None else {name: x[index] for name, x in self.targets.items()},
            token_ids=None if self.token_ids is None else self.token_ids[index],
        )

    def with_targets(self, targets: Mapping[str, Any] | None) -> "Activations":
        """The same rows with these graded targets, columns [n] by name, in place of those they had.

        Example:
            >>> acts = Activations(torch.ones(2, 1, 3), (5,), ["a", "b"], ["g", "g"])
            >>> acts.with_targets({"rated": [6.5, 1.0]}).targets["rated"].tolist()
            [6.5, 1.0]
        """
        return replace(self, targets=targets)

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
        cache: StreamsByHook,
        labels: LabelsLike,
        groups: LabelsLike,
        *,
        layers: Literal["all"] | Layers = "all",
        position: Position = "last",
        outlier_tokens: OutlierTokens = "leave_out",
        site: str = "resid_post",
        attention_mask: ArrayLike | Unsaid | None = UNSAID,
        tokens: ArrayLike | None = None,
        pad_token_id: int | None = None,
        texts: LabeledTexts | None = None,
        tokenized: Sequence[TokenizedText] | None = None,
    ) -> "Activations":
        """Pool a cache that `model.run_with_cache` returned, over the tokens of the texts only.

        Args:
            cache: An ActivationCache or a dictionary, hook names to [batch, pos, d_model].
            labels: Class of each row of the batch.
            groups: Scenario of each row of the batch.
            layers: Block indices (and "embed"); "all" takes what the cache has.
            position: As in `extract_activations`; the whole text counts as response unless `tokenized` says where it
                lies.
            outlier_tokens: As in `extract_activations`.
            site: Which hook point of the block.
            attention_mask: [batch, pos], 1 for real tokens, with padding on the right or left. A batch of several rows
                needs this or `tokens`; None, said by name, means that no row is padded.
            tokens: Token ids that the cache is of, [batch, pos]: padding is what has `pad_token_id`. Where that is BOS
                or EOS as well, a row that begins or ends with it is refused, unless `tokenized` says what is text.
            pad_token_id: What padding is filled with; None takes it from the cache's model, where it has one.
            texts: The texts, for text-only baselines.
            tokenized: What `tokens.tokenize` made of the texts whose tokens the cache is of, one per row.

        Raises:
            ValueError: a layer is not in the cache, shapes do not fit, or nothing says which tokens are padding.

        Example:
            >>> cache = {"blocks.0.hook_resid_post": torch.tensor([[[9.0], [1.0], [3.0]]])}
            >>> Activations.from_cache(cache, ["a"], ["g"], position="mean").values.tolist()
            [[[2.0]]]
        """
        if isinstance(layers, str) and layers == "all":
            found = {int(k.split(".")[1]) for k in cache if k.startswith("blocks.") and k.endswith(f".hook_{site}")}
            if not found:
                raise ValueError(f"the cache has no blocks.*.hook_{site}; it has {list(cache)[:5]}")
            chosen: tuple[Layer, ...] = tuple(sorted(found))
        else:
            chosen = as_layers(layers)
        streams: dict[Layer, Tensor] = {}
        for layer in chosen:
            name = "blocks.0.hook_resid_pre" if layer == "embed" else f"blocks.{layer}.hook_{site}"
            if name not in cache:
                raise ValueError(f"the cache has no {name}; pass a names_filter that keeps it")
            streams[layer] = cache[name]
        tokenizer = getattr(getattr(cache, "model", None), "tokenizer", None)
        padding = _Padding(attention_mask, tokens, pad_token_id, tokenized, tokenizer)
        return cls._of_streams(streams, labels, groups, padding, position, outlier_tokens, site, texts)

    @classmethod
    def from_hidden_states(
        cls,
        hidden_states: Any,
        labels: LabelsLike,
        groups: LabelsLike,
        *,
        layers: Literal["all"] | Layers = "all",
        position: Position = "last",
        outlier_tokens: OutlierTokens = "leave_out",
        attention_mask: ArrayLike | Unsaid | None = UNSAID,
        tokens: ArrayLike | None = None,
        pad_token_id: int | None = None,
        before_final_norm: Float[Tensor, "batch pos d_model"] | None = None,
        texts: LabeledTexts | None = None,
        tokenized: Sequence[TokenizedText] | None = None,
    ) -> "Activations":
        """Pool what a Hugging Face model returns with `output_hidden_states=True`.

        Entry i + 1 of the tuple is the stream after block i, entry 0 the embeddings ("embed"). The last entry is *after
        the final norm* and no residual stream: the last block is refused, or taken from `before_final_norm`.

        Args:
            hidden_states: The tuple, or the model's output that holds it.
            labels: Class of each row of the batch.
            groups: Scenario of each row of the batch.
            layers: Block indices (and "embed"); "all" takes every block of which the stream is there.
            position: As in `from_cache`.
            outlier_tokens: As in `extract_activations`.
            attention_mask: As in `from_cache`: what the tokenizer gave the model.
            tokens: As in `from_cache`.
            pad_token_id: As in `from_cache`; needed with `tokens` alone.
            before_final_norm: What goes into the model's final norm, [batch, pos, d_model], as a forward pre-hook on it
                records: the stream after the last block.
            texts: The texts, for text-only baselines.
            tokenized: As in `from_cache`.

        Raises:
            TypeError: not a tuple of tensors.
            ValueError: the last block without `before_final_norm`, an unknown layer, shapes that do not fit, or nothing
                says which tokens are padding.

        Example:
            >>> states = tuple(torch.full((1, 2, 3), float(i)) for i in range(4))
            >>> acts = Activations.from_hidden_states(states, ["a"], ["g"])
            >>> acts.layers, acts.layer(1)[0, 0].item()
            ((0, 1), 2.0)
        """
        chosen = None if isinstance(layers, str) and layers == "all" else as_layers(layers)
        streams = streams_of_hidden_states(hidden_states, chosen, before_final_norm)
        padding = _Padding(attention_mask, tokens, pad_token_id, tokenized, None)
        return cls._of_streams(streams, labels, groups, padding, position, outlier_tokens, "resid_post", texts)

    @classmethod
    def from_arrays(
        cls,
        arrays: Any,
        labels: LabelsLike,
        groups: LabelsLike,
        *,
        layers: Layers | None = None,
        position: Position = "given",
        outlier_tokens: OutlierTokens = "leave_out",
        site: str = "resid_post",
        attention_mask: ArrayLike | Unsaid | None = UNSAID,
        tokens: ArrayLike | None = None,
        pad_token_id: int | None = None,
        texts: LabeledTexts | None = None,
        tokenized: Sequence[TokenizedText] | None = None,
    ) -> "Activations":
        """Activations that any other tool recorded (nnsight, baukit, vLLM, a file), as arrays, tensors or lists.

        Args:
            arrays: Vectors, one a text: [n, layer, d_model] with `layers`, [n, d_model] of one layer, or a dictionary
                {layer: [n, d_model]}. Or tokens, a dictionary {layer: [batch, pos, d_model]}, which are pooled as
                `from_cache` pools. Layer i means the stream after block i.
            labels: Class of each row.
            groups: Scenario of each row.
            layers: Which layers, where `arrays` does not say.
            position: Of vectors: what they are called in results. Of tokens: as in `from_cache`, and needed.
            outlier_tokens: As in `extract_activations`, for tokens.
            site: Which hook point of the block.
            attention_mask: As in `from_cache`, for tokens.
            tokens: As in `from_cache`, for tokens.
            pad_token_id: As in `from_cache`; needed with `tokens` alone.
            texts: The texts, for text-only baselines.
            tokenized: As in `from_cache`, for tokens.

        Raises:
            TypeError: no numbers.
            ValueError: shapes that do not fit, no layers, or tokens without a position or padding.

        Example:
            >>> acts = Activations.from_arrays({3: np.ones((2, 4)), 7: np.zeros((2, 4))}, ["a", "b"], ["g", "g"])
            >>> acts.layers, tuple(acts.values.shape)
            ((3, 7), (2, 2, 4))
        """
        streams = as_streams(arrays, None if layers is None else as_layers(layers))
        if not streams:
            raise ValueError("arrays is empty; give at least one layer")
        axes = {stream.ndim for stream in streams.values()}
        if axes == {2}:
            shapes = {tuple(stream.shape) for stream in streams.values()}
            if len(shapes) > 1:
                raise ValueError(f"layers must have one shape [n, d_model], got {sorted(shapes)}")
            values = torch.stack([stream.float() for stream in streams.values()], dim=1)
            return cls(values, tuple(streams), labels, groups, position_name(position), site, texts)  # type: ignore[arg-type]
        if position == "given":
            raise ValueError(
                f"arrays hold {sorted(axes)} axes: give vectors [n, d_model] of each layer, or, for tokens "
                f"[batch, pos, d_model], say which are read (position='last', 'mean', ...)"
            )
        padding = _Padding(attention_mask, tokens, pad_token_id, tokenized, None)
        return cls._of_streams(streams, labels, groups, padding, position, outlier_tokens, site, texts)

    @classmethod
    def _of_streams(
        cls,
        streams: Mapping[Layer, Tensor],
        labels: LabelsLike,
        groups: LabelsLike,
        padding: "_Padding",
        position: Position,
        outlier_tokens: OutlierTokens,
        site: str,
        texts: LabeledTexts | None,
    ) -> "Activations":
        """The one door for streams of tokens that somebody else recorded."""
        batch, width = check_streams(streams)
        pooled = pool_streams(
            streams,
            padding.real(batch, width),
            position=position,
            outlier_tokens=outlier_tokens,
            tokenized=padding.tokenized,
        )
        return cls(
            pooled.values,
            tuple(streams),
            labels,  # type: ignore[arg-type]
            groups,  # type: ignore[arg-type]
            position=position_name(position),
            site=site,
            texts=texts,
            left_out=pooled.left_out,
            token_ids=padding.responses(batch, width),
        )

    @classmethod
    def concat(cls, parts: Sequence["Activations"]) -> "Activations":
        """Several sets of rows, one after the other; scenarios of one name are one scenario.

        Texts, tokens, token embeddings and counts survive where all parts have them.

        Raises:
            TypeError: a part is no `Activations`.
            ValueError: no parts, or parts that differ in layers, site, position, width, settings or model.

        Example:
            >>> part = Activations(torch.ones(2, 1, 3), (5,), ["a", "b"], ["g", "g"])
            >>> len(Activations.concat([part, part]))
            4
        """
        given = list(parts)
        wrong = [type(part).__name__ for part in given if not isinstance(part, Activations)]
        if wrong:
            raise TypeError(f"concat joins Activations, got {wrong[:3]}; an ActivationStore has .activations()")
        if not given:
            raise ValueError("parts is empty; give at least one")
        return cls(**joined_fields([vars(part) for part in given]))

    def save(self, path: str | Path) -> Path:
        """Write one safetensors file (tensors, and everything else as JSON in its header), atomically."""
        described = {
            "layers": list(self.layers),
            "labels": self.labels.tolist(),
            "groups": self.groups.tolist(),
            "position": self.position,
            "site": self.site,
            "texts": None if self.texts is None else texts_to_dict(self.texts),
            "targets": None if self.targets is None else {name: x.tolist() for name, x in self.targets.items()},
            "provenance": None if self.provenance is None else self.provenance.to_dict(),
        }
        tensors = {"values": self.values}
        if self.token_embeddings is not None:
            tensors["token_embeddings"] = self.token_embeddings
        if self.left_out is not None:
            tensors["left_out"] = self.left_out
        if self.token_ids is not None:
            tensors |= {"token_ids": self.token_ids.ids, "token_offsets": self.token_ids.offsets}
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
                targets=described.get("targets"),
                # Files of before have none.
                token_ids=TokenIds(tensors["token_ids"], tensors["token_offsets"]) if "token_ids" in tensors else None,
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path} is damaged ({type(error).__name__}: {error}); extract again") from error


@dataclass(frozen=True)
class _Padding:
    """What a caller says about padding."""

    attention_mask: Any
    tokens: Any
    pad_token_id: Any
    tokenized: Sequence[TokenizedText] | None
    tokenizer: Any

    def real(self, batch: int, width: int) -> Tensor:
        """Which columns are tokens of the texts, [batch, pos]."""
        known = self.tokenizer
        pad = self.pad_token_id
        return real_tokens(
            batch,
            width,
            attention_mask=self.attention_mask,
            tokens=self.tokens,
            pad_token_id=getattr(known, "pad_token_id", None) if pad is None else pad,
            tokenized=self.tokenized,
            special_ids=[
                i for i in (getattr(known, "bos_token_id", None), getattr(known, "eos_token_id", None)) if i is not None
            ],
        )

    def responses(self, batch: int, width: int) -> TokenIds | None:
        """The tokens of each response (of each text, where nothing says which part that is); None if unknown."""
        if self.tokenized is not None:
            return TokenIds.from_rows([text.ids[text.start : text.stop] for text in self.tokenized])
        if self.tokens is None:
            return None
        ids = torch.as_tensor(to_numpy(self.tokens)).long()
        return TokenIds.from_rows([row[kept].tolist() for row, kept in zip(ids, self.real(batch, width), strict=True)])


def check_activations(value: object) -> None:
    """Raise TypeError, with what to do, unless a value is activations (in memory, or of a store)."""
    if not all(hasattr(value, name) for name in ("layer", "labels", "groups")):
        how = "extract them first: extract_activations(model, texts)" if hasattr(value, "labels") else "try Activations"
        raise TypeError(f"activations must be Activations, got {type(value).__name__}; {how}")
