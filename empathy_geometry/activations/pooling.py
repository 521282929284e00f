"""Means over tokens, taken where the activations are, outlier tokens left out."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from empathy_geometry.activations.outlier_tokens import find_outliers, token_norms


class TokenMeans(NamedTuple):
    """What a pooling makes of one hook point.

    Attributes:
        vectors: float32, on the device of the stream.
        left_out: Outlier tokens left out of each row's means.
        undecided: Rows of which a token in the shared prefix is an outlier in the whole row and not in the prefix, or
            the other way round: they must be read whole. None without a prefix.
    """

    vectors: Float[Tensor, "batch slots d_model"]
    left_out: Int[Tensor, " batch"]
    undecided: Bool[Tensor, " batch"] | None = None


@dataclass(frozen=True, eq=False)
class PrefixMeans:
    """What texts need of the prefixes that they share, at one hook point.

    Attributes:
        norms: Of the prefixes' judged tokens; NaN elsewhere.
        outliers: Judged by the prefixes alone.
        prefix_of: Which prefix each text has.
        taken: Which tokens of its prefix each text averages; None where no text takes any.
        sums: Their weighted sums, outliers left out.
        mass: The weights that went into the sums.
        left_out: Outliers left out of them.
    """

    norms: Float[Tensor, "prefix pos"]
    outliers: Bool[Tensor, "prefix pos"]
    prefix_of: Int[Tensor, " batch"]
    taken: Bool[Tensor, "batch pos"] | None = None
    sums: Float[Tensor, "batch slots d_model"] | None = None
    mass: Float[Tensor, "batch slots"] | None = None
    left_out: Int[Tensor, " batch"] | None = None

    def of(self, rows: slice) -> "PrefixMeans":
        """The same for some of the texts."""

        def part(found: Tensor | None) -> Tensor | None:
            return None if found is None else found[rows]

        return replace(
            self,
            prefix_of=self.prefix_of[rows],
            taken=part(self.taken),
            sums=part(self.sums),
            mass=part(self.mass),
            left_out=part(self.left_out),
        )


@dataclass(frozen=True, eq=False)
class Pooling:
    """One weight per text, slot and token of a batch.

    Attributes:
        weights: [batch, slots, pos], on the CPU; a slot's vector is the weighted mean over pos. A weight of 1 reads
            one token as it is.
        judged: Tokens whose median norm says which are outliers (`positions.judged_tokens`), [batch, pos]; None keeps
            every token.

    Example:
        >>> stream = torch.tensor([[[1.0], [2.0], [4.0], [900.0]]])
        >>> weights, judged = torch.tensor([[[0.0, 1, 1, 1]]]) / 3, torch.tensor([[False, True, True, True]])
        >>> pooled = Pooling(weights, judged)(stream)
        >>> pooled.vectors.tolist(), pooled.left_out.tolist()
        ([[[3.0]]], [1])
    """

    weights: Float[Tensor, "batch slots pos"]
    judged: Bool[Tensor, "batch pos"] | None = None
    _moved: dict[torch.device, tuple[Tensor, Tensor | None]] = field(default_factory=dict, repr=False)

    def __call__(self, stream: Float[Tensor, "batch pos d_model"], before: PrefixMeans | None = None) -> TokenMeans:
        """The slots' vectors.

        Args:
            stream: At one hook point.
            before: What the rows' shared prefixes, read earlier, hold at this hook point.
        """
        weights, _ = self._on(stream.device)
        if self._index is not None:
            rows = torch.arange(len(weights), device=stream.device)[:, None]
            none = torch.zeros(len(weights), dtype=torch.long, device=stream.device)
            return TokenMeans(stream[rows, weights].float(), none)
        if before is not None:
            return self._after(before, stream)
        kept = self.kept_weights(stream)
        return TokenMeans(_weighted_sums(kept, stream), _count(weights, kept))

    def kept_weights(self, stream: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch slots pos"]:
        """The weights with those of outliers moved to the other tokens; a slot of outliers only stays as it is."""
        weights, judged = self._on(stream.device)
        if judged is None:
            return weights
        kept = _without(weights, find_outliers(token_norms(stream), judged))
        mass = kept.sum(-1, keepdim=True)
        return torch.where(mass > 0, kept / mass, weights)

    def _after(self, before: PrefixMeans, stream: Tensor) -> TokenMeans:
        weights, judged = self._on(stream.device)
        kept, undecided = weights, None
        if judged is not None:
            earlier = before.norms[before.prefix_of]
            norms = torch.cat([earlier, token_norms(stream)], dim=1)
            outliers = find_outliers(norms, torch.cat([~earlier.isnan(), judged], dim=1))
            kept = _without(weights, outliers[:, earlier.shape[1] :])
            differing = outliers[:, : earlier.shape[1]] != before.outliers[before.prefix_of]
            undecided = torch.zeros_like(differing[:, 0])
            if before.taken is not None:
                undecided = (differing & before.taken).any(dim=1)
        sums, mass, left_out = _weighted_sums(kept, stream), kept.sum(-1), _count(weights, kept)
        if before.sums is not None and before.mass is not None and before.left_out is not None:
            sums, mass, left_out = sums + before.sums, mass + before.mass, left_out + before.left_out
        if undecided is not None:
            undecided = undecided | (mass == 0).any(dim=1)
        return TokenMeans(sums / mass[..., None], left_out, undecided)

    def _on(self, device: torch.device) -> tuple[Tensor, Tensor | None]:
        if device not in self._moved:
            # A model spread over several devices shows its layers on each of them; move once, not once a layer.
            weights = self._index if self._index is not None else self.weights
            self._moved[device] = weights.to(device), None if self.judged is None else self.judged.to(device)
        return self._moved[device]

    @cached_property
    def _index(self) -> Tensor | None:
        """Where each slot reads one token only, which: then vectors are taken, not multiplied."""
        return self.weights.argmax(-1) if bool((self.weights.amax(-1) == 1).all()) else None


@dataclass(frozen=True, eq=False)
class PrefixPooling:
    """What texts take from the prefixes that they share, before the rest of them is read.

    Attributes:
        prefix_of: Which prefix each text has.
        judged: Tokens whose norms count in the texts' medians, [prefix, pos]; None keeps every token.
        weights: Of each prefix's tokens in the slots of its texts, [prefix, texts x slots, pos], or None where no text
            takes any.
        place: Where each text stands among the texts of all prefixes, flattened.
        n_slots: Slots of a text.
    """

    prefix_of: Int[Tensor, " batch"]
    judged: Bool[Tensor, "prefix pos"] | None
    weights: Float[Tensor, "prefix texts_slots pos"] | None
    place: Int[Tensor, " batch"]
    n_slots: int

    def __call__(self, stream: Float[Tensor, "prefix pos d_model"]) -> PrefixMeans:
        """Norms and sums at one hook point."""
        device = stream.device
        prefix_of, place = self.prefix_of.to(device), self.place.to(device)
        if self.judged is None:
            norms = torch.full(stream.shape[:2], torch.nan, device=device)
            outliers = torch.zeros(stream.shape[:2], dtype=torch.bool, device=device)
        else:
            judged = self.judged.to(device)
            norms = token_norms(stream)
            outliers = find_outliers(norms, judged) & judged
            norms = norms.masked_fill(~judged, torch.nan)
        if self.weights is None:
            return PrefixMeans(norms, outliers, prefix_of)
        weights = self.weights.to(device)
        kept = _without(weights, outliers)

        def by_text(found: Tensor) -> Tensor:
            return found.reshape(-1, self.n_slots, *found.shape[2:])[place]

        own, own_kept = by_text(weights), by_text(kept)
        return PrefixMeans(
            norms,
            outliers,
            prefix_of,
            taken=(own > 0).any(1),
            sums=by_text(_weighted_sums(kept, stream)),
            mass=by_text(kept.sum(-1)),
            left_out=_count(own, own_kept),
        )


def _without(weights: Tensor, outliers: Tensor) -> Tensor:
    """The weights without those of outliers; a weight of 1 reads one token, whatever it is."""
    return weights.masked_fill(outliers[:, None] & (weights < 1), 0)


def _count(weights: Tensor, kept: Tensor) -> Tensor:
    return ((weights > 0) & (kept == 0)).any(1).sum(-1)


def _weighted_sums(weights: Tensor, stream: Tensor) -> Tensor:
    values = stream.float()
    if stream.dtype == torch.float16:
        # Massive activations may overflow float16, and zero times infinity is not zero.
        values = values.masked_fill(~(weights != 0).any(1)[..., None], 0)
    return torch.bmm(weights, values)
