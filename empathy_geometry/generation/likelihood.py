"""What the model, as it is, makes of given continuations: how likely they are, and its streams while it reads them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from empathy_geometry.activations.batching import batches
from empathy_geometry.activations.outlier_tokens import ordinary_mean
from empathy_geometry.activations.prefix_cache import HOOKED, keeping_obstacle
from empathy_geometry.foundation._types import FloatArray, IntArray, Layer
from empathy_geometry.generation.cached_rows import CachedRows, cache_bytes_per_column, warn_of_slow_passes
from empathy_geometry.generation.continuations import Continuations
from empathy_geometry.generation.repeats import distinct
from empathy_geometry.geometry.directions import ConceptDirection
from empathy_geometry.models.attachment import Hook, attached
from empathy_geometry.models.behaviour_lengths import BehaviourLengths
from empathy_geometry.models.hooked_model import HookedModel, hook_name
from empathy_geometry.models.model_view import own_view
from empathy_geometry.models.tokens import pad

# Keys and values bound how many texts are read together, the logits of all new tokens how far they are read at once.
_CACHE_BYTES = 1_000_000_000
_LOGIT_BYTES = 500_000_000
# Continuations of one prompt at neighbouring strengths begin alike. Their common beginnings are read once, to within
# this many tokens: shorter stretches find more in common, and copy keys and values more often.
_STRETCH = 6

_Pair = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class Reading:
    """What the model, as it is, makes of given continuations.

    Attributes:
        nll: Negative log-likelihood of each new token given all before it, in nats; one tensor [n_new] a row.
        projections: Mean projection of the new tokens' residual stream on a direction, outlier tokens among them left
            out, [n]; None without one.
    """

    nll: tuple[Float[Tensor, "_"], ...]
    projections: Float[Tensor, "n"] | None

    @property
    def mean_nll(self) -> FloatArray:
        """Nats per token of each row, [n]."""
        return np.array([float(row.double().mean()) for row in self.nll])


def read_continuations(
    model: HookedModel, continuations: Continuations, *, direction: ConceptDirection | None = None
) -> Reading:
    """Score continuations by the model as it is (attach no steering): likelihood and, in the same pass, the concept.

    Each distinct prompt is read once, and so is what its continuations begin with; logits are made for new tokens only.

    Args:
        model: The scorer.
        continuations: What to score.
        direction: Read the mean projection of the new tokens on it, at its own layer.
    """
    if direction is None:
        return Reading(_read(model, continuations, None, None)[0], None)
    nll, streams = _read(model, continuations, _layer_of(direction), direction.site)
    assert streams is not None
    return Reading(nll, direction.project(streams))


def read_streams(
    model: HookedModel, continuations: Continuations, *, layer: Layer, site: str = "resid_post"
) -> tuple[Reading, Float[Tensor, "n d_model"]]:
    """`read_continuations` without a direction, and the mean residual stream of the new tokens at a layer."""
    nll, streams = _read(model, continuations, layer, site)
    assert streams is not None
    return Reading(nll, None), streams


def _read(
    model: HookedModel, continuations: Continuations, layer: Layer | None, site: str | None
) -> tuple[tuple[Tensor, ...], Tensor | None]:
    pairs = list(zip(continuations.prompt_ids, continuations.new_ids, strict=True))
    lengths = BehaviourLengths.of(model)
    taken: list[Tensor] = []
    names = [] if layer is None else [hook_name(model, layer, site)]  # type: ignore[arg-type]
    hooks: list[tuple[str, Hook]] = [(name, lambda stream, hook: taken.append(stream.float())) for name in names]
    # Texts of one prompt stand together, so that what they have in common falls into one batch.
    distinct_pairs = sorted(dict.fromkeys(pairs))
    longest_pair = max(distinct_pairs, key=lambda pair: len(pair[0]) + len(pair[1]))
    obstacle = keeping_obstacle(model, longest_pair[0] + longest_pair[1], len(longest_pair[0]))
    if obstacle is not None and obstacle != HOOKED:
        warn_of_slow_passes(model, obstacle)
    in_parts: list[_Pair] = []
    whole: list[_Pair] = []
    for prompt, new in distinct_pairs:
        goes_on = obstacle is None and lengths.can_continue(len(prompt), len(prompt) + len(new))
        (in_parts if goes_on else whole).append((prompt, new))
    columns = max(1, _CACHE_BYTES // cache_bytes_per_column(model))
    logit_columns = max(1, _LOGIT_BYTES // (4 * int(model.cfg.d_vocab)))
    nll: dict[_Pair, Tensor] = {}
    means: dict[_Pair, Tensor] = {}
    with own_view(model, names, longest=sum(map(len, longest_pair))) as view:
        for way, most, chosen in ((_read_batch, columns, in_parts), (_read_whole, logit_columns, whole)):
            alike = lengths.alike_rows([len(prompt) + len(new) for prompt, new in chosen])
            order = np.argsort(alike, kind="stable")
            todo = [chosen[i] for i in order]
            longest = max((len(prompt) + len(new) for prompt, new in chosen), default=1)
            for run in batches(np.full(len(todo), longest), "auto", most, alike=alike[order]):
                losses, streams = way(view, todo[run], hooks, taken)
                nll.update(zip(todo[run], losses, strict=True))
                means.update(zip(todo[run], streams, strict=False))
    streams_of_all = torch.stack([means[pair] for pair in pairs]) if names else None
    return tuple(nll[pair] for pair in pairs), streams_of_all


def _read_whole(
    model: HookedModel, batch: Sequence[_Pair], hooks: Sequence[tuple[str, Hook]], taken: list[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    """As `_read_batch`, each text in one pass, padded on the right: where no part of it could be read by itself."""
    first = min(len(prompt) for prompt, _ in batch) - 1
    ids, mask = pad([prompt + new for prompt, new in batch])
    with torch.no_grad():
        with attached(model, hooks):
            logits = CachedRows(model, len(batch), keep=False).read(ids, mask, logits=ids.shape[1] - first)
        losses, streams = [], []
        for row, (prompt, new) in enumerate(batch):
            place = len(prompt) - 1 - first
            losses.append(_losses(logits[row, place], logits[row, place + 1 :], new))
            if taken:
                streams.append(taken[-1][row, len(prompt) : len(prompt) + len(new)].mean(0).cpu())
        taken.clear()
    return losses, streams


def _read_batch(
    model: HookedModel, batch: Sequence[_Pair], hooks: Sequence[tuple[str, Hook]], taken: list[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    """Losses of each text's new tokens, and their mean stream (none without hooks).

    All texts advance together, stretch by stretch; texts that have been the same so far are one row.
    """
    prompts = list(dict.fromkeys(prompt for prompt, _ in batch))
    losses: list[list[Tensor]] = [[] for _ in batch]
    streams: list[list[Tensor]] = [[] for _ in batch]
    row_of: IntArray = np.array([prompts.index(prompt) for prompt, _ in batch])
    left: IntArray = np.arange(len(batch))
    most = max(1, _LOGIT_BYTES // (4 * int(model.cfg.d_vocab)))
    start = 0
    with torch.no_grad():
        rows = CachedRows(model, len(prompts))
        before = rows.read(*pad(prompts, side="left"), logits="last")[:, -1]
        while len(left):
            stop = _end_of_stretch(batch, left, row_of, start, most, shared=rows.keeps)
            ahead = [(int(row_of[i]), batch[i][1][start:stop]) for i in left]
            first, which = distinct(ahead)
            written = [ahead[i][1] for i in first]
            new, real = pad(written)
            parents = torch.tensor([ahead[i][0] for i in first], device=before.device)
            rows = rows.select(parents)
            with attached(model, hooks):
                logits = rows.read(new, real, logits="all")
            read = [_losses(before[parents[row]], logits[row], ids) for row, ids in enumerate(written)]
            for i, row in zip(left, which, strict=True):
                losses[i].append(read[row])
                if taken:
                    # Without a cache the pass runs over what was read earlier as well.
                    streams[i].append(taken[-1][row, -new.shape[1] :][: len(written[row])].cpu())
            taken.clear()
            before = logits[:, -1]
            row_of[left] = which
            left = left[[len(batch[i][1]) > stop for i in left]]
            start = stop
    return [torch.cat(parts) for parts in losses], [ordinary_mean(torch.cat(parts)) for parts in streams if parts]


def _end_of_stretch(
    batch: Sequence[_Pair], left: IntArray, row_of: IntArray, start: int, most: int, *, shared: bool
) -> int:
    """Up to which new token to read at once: all of them where no two texts have anything more in common.

    Rows times tokens stay below `most`.
    """
    end = max(len(batch[i][1]) for i in left)
    stop = min(start + _STRETCH, end)
    rows = len({(row_of[i], batch[i][1][start:stop]) for i in left})
    if rows == len(left) or not shared:
        stop = end
    return max(start + 1, min(stop, start + most // rows))


def _losses(
    before: Float[Tensor, " vocab"], logits: Float[Tensor, "read vocab"], ids: Sequence[int]
) -> Float[Tensor, " new"]:
    """Nats of each token, from the logits before the first and those at the tokens themselves."""
    expected = torch.cat([before[None], logits[: len(ids) - 1]]).float()
    target = torch.tensor(ids, device=expected.device)[:, None]
    return (expected.logsumexp(-1) - expected.gather(1, target)[:, 0]).cpu()


def _layer_of(direction: ConceptDirection) -> Layer:
    if direction.layer is None:
        raise ValueError("the direction does not say at which layer it lives; give it a layer")
    return direction.layer
