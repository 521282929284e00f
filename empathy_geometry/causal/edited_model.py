"""One text under many edits: given as one row, of which its edit makes a row for each (see `StreamEdit`)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from empathy_geometry.activations.hook_reader import HookReader, Pool
from empathy_geometry.activations.pooling import Pooling
from empathy_geometry.activations.positions import judged_tokens
from empathy_geometry.foundation._types import Layer
from empathy_geometry.models.behaviour_lengths import BehaviourLengths
from empathy_geometry.models.hooked_model import HookedModel, hook_names, model_device
from empathy_geometry.models.model_view import own_view
from empathy_geometry.models.rope import rope_arguments
from empathy_geometry.steering.stream_edit import StreamEdit, attached_but_outliers

# Rows x tokens of one pass; on a CPU larger ones fall out of the cache.
_TOKENS_CPU, _TOKENS_GPU = 4096, 65536
# Rows x positions x vocabulary x 4 bytes.
_LOGIT_BYTES = 400_000_000


@dataclass(frozen=True, eq=False)
class EditedReading:
    """What one text looks like under each edit.

    Attributes:
        computed: Mean over the chosen tokens, outlier tokens left out, of the stream after each later layer, minus the
            edit itself: what the blocks after the edit made of it, [rows, layers, d_model]. The residual stream hands
            an edit on to every later layer, so that a probe there would move by algebra; here that part is taken out.
        logits: At the chosen positions, [rows, positions, vocabulary].
    """

    computed: Float[Tensor, "rows layers d_model"]
    logits: Float[Tensor, "rows positions vocabulary"]


class EditedModel:
    """A model whose stream is edited after one block and read at later ones; between passes nothing is attached.

    Args:
        model: HookedTransformer or TransformerBridge.
        layer: Where the stream is edited.
        read_layers: Where it is read; may be empty.

    Raises:
        ValueError: a layer does not exist.

    Example:
        >>> edited = EditedModel(model, 15, [20, 29])  # doctest: +SKIP
        >>> reading = edited.read(ids, edits, tokens=range(40, 60), positions=[59])  # doctest: +SKIP
    """

    def __init__(self, model: HookedModel, layer: Layer, read_layers: Sequence[Layer]) -> None:
        self.model = model
        self.layer = layer
        self.read_layers = tuple(read_layers)
        last = int(model.cfg.n_layers) - 1
        self._names = hook_names(model, [*self.read_layers, last])
        self._edited = hook_names(model, [layer])[0]
        self._edit = StreamEdit.nothing(int(model.cfg.d_model))
        self._tokens: list[int] = []
        self._direct = torch.empty(0)  # the edit itself at the chosen tokens, [rows, tokens, d_model]

    def read(
        self,
        ids: Sequence[int],
        edits: Sequence[StreamEdit],
        *,
        tokens: Sequence[int],
        positions: Sequence[int],
    ) -> EditedReading:
        """Run one text under every edit.

        Args:
            ids: Its token ids.
            edits: One per row of the result.
            tokens: Whose streams are averaged, outlier tokens left out.
            positions: Whose next-token logits are wanted; may be empty.
        """
        with (
            own_view(self.model, [self._edited, *self._names], longest=len(ids)) as view,
            attached_but_outliers(view, self.layer, self._changed),
        ):
            reader = HookReader(view, self._names)
            parts = [self._read(reader, ids, c, tokens, positions) for c in self._chunks(ids, edits, len(positions))]
        return EditedReading(torch.cat([p.computed for p in parts]), torch.cat([p.logits for p in parts]))

    def check_logits(self, ids: Sequence[int]) -> None:
        """Raise ValueError unless logits made from the last stream are those of the model's own forward pass."""
        tokens = torch.as_tensor(list(ids))[None].to(model_device(self.model))
        last = len(ids) - 1
        nothing = [StreamEdit.nothing(int(self.model.cfg.d_model))]
        ours = self.read(ids, nothing, tokens=(), positions=[last]).logits[0, 0]
        everything = torch.ones_like(tokens, dtype=torch.bool)
        with torch.no_grad(), own_view(self.model, longest=len(ids)) as view:
            run: Any = view
            theirs = run(tokens, **rope_arguments(view, BehaviourLengths.of(view), everything, len(ids)))
            theirs = theirs[0, last].float().cpu()
        if not torch.allclose(ours, theirs, atol=1e-2 * float(theirs.abs().max()), rtol=1e-2):
            raise ValueError(
                "this model does not make its logits from final norm and unembedding alone (they differ by "
                f"{float((ours - theirs).abs().max()):.3g}), so its marker tokens cannot be read; please report it"
            )

    def _changed(self, stream: Tensor, *, columns: Tensor) -> Tensor:
        edited = self._edit(stream, columns=columns)
        self._direct = (edited - stream)[:, self._tokens].float()
        return edited

    def _read(
        self,
        reader: HookReader,
        ids: Sequence[int],
        edits: Sequence[StreamEdit],
        tokens: Sequence[int],
        positions: Sequence[int],
    ) -> EditedReading:
        self._edit, self._tokens = StreamEdit.together(edits), list(tokens)

        weights = torch.zeros(1, 1, len(ids))
        weights[..., self._tokens] = 1 / max(1, len(self._tokens))
        judged = judged_tokens([len(ids)], len(ids))

        def computed_mean(stream: Tensor) -> Tensor:
            # Outlier tokens are judged in each row, as in an extraction.
            rows = len(edits)
            pooling = Pooling(weights.expand(rows, -1, -1), judged.expand(rows, -1))
            kept = pooling.kept_weights(stream.expand(rows, -1, -1))[..., self._tokens]
            computed = stream[:, self._tokens].float() - self._direct.to(stream.device)
            return torch.bmm(kept, computed)

        def chosen(stream: Tensor) -> Tensor:
            return stream[:, list(positions)]

        tensor = torch.as_tensor(list(ids))[None]
        pools: list[Pool | None] = [*[computed_mean] * len(self.read_layers), chosen]
        with torch.no_grad():
            *streams, final = reader.read(tensor, torch.ones_like(tensor, dtype=torch.bool), pools)
        computed = [s[:, 0].cpu() for s in streams]
        d_model = int(self.model.cfg.d_model)
        stacked = torch.stack(computed, dim=1) if computed else torch.empty(len(edits), 0, d_model)
        return EditedReading(stacked, self._head(final))

    def _head(self, stream: Float[Tensor, "rows positions d_model"]) -> Float[Tensor, "rows positions vocabulary"]:
        """Logits of streams after the last block."""
        model = self.model
        if stream.shape[1] == 0:
            return torch.empty(*stream.shape[:2], int(model.cfg.d_vocab))
        with torch.no_grad():
            logits: Tensor = model.unembed(model.ln_final(stream)).float()  # type: ignore[attr-defined]
        cap = float(getattr(model.cfg, "output_logits_soft_cap", 0.0) or 0.0)
        if cap > 0:
            logits = cap * torch.tanh(logits / cap)
        return logits.cpu()

    def _chunks(
        self, ids: Sequence[int], edits: Sequence[StreamEdit], n_positions: int
    ) -> Iterator[Sequence[StreamEdit]]:
        tokens = _TOKENS_CPU if model_device(self.model).type == "cpu" else _TOKENS_GPU
        size = max(1, tokens // len(ids))
        if n_positions:
            size = max(1, min(size, _LOGIT_BYTES // (4 * int(self.model.cfg.d_vocab) * n_positions)))
        for start in range(0, len(edits), size):
            yield edits[start : start + size]


def next_token_nll(
    logits: Float[Tensor, "rows positions vocabulary"], ids: Int[Tensor, "positions"]
) -> Float[Tensor, "rows"]:
    """Nats per token of the ids that follow the positions, each row.

    Example:
        >>> next_token_nll(torch.zeros(1, 2, 4), torch.tensor([1, 3])).double().numpy().round(3).tolist()
        [1.386]
    """
    scored = logits.log_softmax(dim=-1).gather(2, ids.reshape(1, -1, 1).expand(len(logits), -1, 1))
    return -scored[..., 0].mean(dim=1)
