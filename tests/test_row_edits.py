"""Many edits in one pass equal each edit alone, on every model type."""

import pytest
import torch
from tiny_models import D_MODEL, KINDS, N_LAYERS, tiny_model

from empathy_geometry.causal.fan_out import EditedModel
from empathy_geometry.causal.row_edits import Edit, RowEdits
from empathy_geometry.generation.continuations import generate
from empathy_geometry.models.tokens import tokenize

TEXT = "abc erI the pot and the rain"


def unit(seed: int) -> torch.Tensor:
    vector = torch.randn(D_MODEL, generator=torch.Generator().manual_seed(seed))
    return vector / vector.norm()


EDITS = [
    Edit.nothing(D_MODEL),
    Edit.adding(unit(0), 2.0),
    Edit.clamping(unit(1), 0.5),
    Edit.clamping(unit(1), 0.5, write=unit(2)),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layer", ["embed", 1])
def test_fanned_out_edits_equal_plain_hooks_one_by_one(kind, layer):
    model = tiny_model(kind)
    (text,) = tokenize(model, [TEXT])
    positions, tokens = [2, 5, len(text) - 1], range(2, len(text))
    edited = EditedModel(model, layer, [N_LAYERS - 1])
    together = edited.read(text.ids, EDITS, tokens=tokens, positions=positions)
    name = "blocks.0.hook_resid_pre" if layer == "embed" else f"blocks.{layer}.hook_resid_post"
    for row, edit in enumerate(EDITS):
        seen, changes = [], []

        def change(stream, hook, edit=edit, changes=changes):
            amount = edit.add + edit.pull * (edit.target - stream @ edit.read)
            amount[:, 0] = 0
            changes.append(amount[..., None] * edit.write)
            return stream + changes[0]

        hooks = [(name, change), (f"blocks.{N_LAYERS - 1}.hook_resid_post", lambda x, hook, seen=seen: seen.append(x))]
        with torch.no_grad(), model.hooks(fwd_hooks=hooks):
            logits = model(torch.tensor([text.ids]))
        torch.testing.assert_close(together.logits[row], logits[0, positions], atol=1e-4, rtol=1e-4)
        computed = (seen[0] - changes[0])[0, list(tokens)].mean(dim=0)
        torch.testing.assert_close(together.computed[row, 0], computed, atol=1e-4, rtol=1e-4)


def test_chunks_change_nothing(tiny_llama, monkeypatch):
    (text,) = tokenize(tiny_llama, [TEXT])
    options = {"tokens": range(2, len(text)), "positions": [3]}
    edited = EditedModel(tiny_llama, 0, [1, 2])
    whole = edited.read(text.ids, EDITS, **options)
    monkeypatch.setattr("empathy_geometry.causal.fan_out._TOKENS_CPU", len(text))
    alone = edited.read(text.ids, EDITS, **options)
    torch.testing.assert_close(whole.computed, alone.computed)
    torch.testing.assert_close(whole.logits, alone.logits)


def test_the_model_is_left_as_it_was(tiny_model):
    def n_hooks() -> int:
        return sum(len(point.fwd_hooks) for point in tiny_model.hook_dict.values())

    before = n_hooks()
    runner, ids = EditedModel(tiny_model, 0, [2]), tokenize(tiny_model, [TEXT])[0].ids
    runner.read(ids, EDITS, tokens=[2], positions=[2])
    assert n_hooks() == before
    with pytest.raises(IndexError):
        runner.read(ids, EDITS, tokens=[2], positions=[999])
    assert n_hooks() == before


def test_logits_that_are_not_the_models_are_refused(tiny_model, monkeypatch):
    ids = tokenize(tiny_model, [TEXT])[0].ids
    head = EditedModel._head
    edited = EditedModel(tiny_model, 0, [2])
    edited.check_logits(ids)
    monkeypatch.setattr(EditedModel, "_head", lambda self, stream: 2 * head(self, stream))
    with pytest.raises(ValueError, match="final norm and unembedding alone"):
        edited.check_logits(ids)


def test_batched_generation_under_row_edits_equals_steering_one_by_one(tiny_model):
    prompts = ["abc erI", "the pot", "I walked home and the rain"]
    lengths = [len(t) for t in tokenize(tiny_model, prompts)]
    edits = [Edit.adding(unit(3), a) for a in (-2.0, 0.0, 3.0)]

    def attach(batch):
        widths = torch.tensor([lengths[i] for i in batch])
        return RowEdits([edits[i] for i in batch]).attached(tiny_model, 1, first=int(widths.max()) - widths)

    together = generate(tiny_model, prompts, max_new_tokens=6, chat=False, edit=attach)
    for i, prompt in enumerate(prompts):
        alone = generate(
            tiny_model,
            [prompt],
            max_new_tokens=6,
            chat=False,
            edit=lambda batch, i=i: RowEdits([edits[i]]).attached(tiny_model, 1),
        )
        assert together.new_ids[i] == alone.new_ids[0]
    # An oracle without a KV cache, where every pass holds the whole text.
    ids = tiny_model.to_tokens(prompts[2])
    push = torch.cat([torch.zeros(1, D_MODEL), 3.0 * unit(3)[None].expand(ids.shape[1] + 6, -1)])
    hooks = [("blocks.1.hook_resid_post", lambda x, hook: x + push[: x.shape[1]])]
    options = {"do_sample": False, "verbose": False, "return_type": "tokens", "use_past_kv_cache": False}
    with torch.no_grad(), tiny_model.hooks(fwd_hooks=hooks):
        plain = tiny_model.generate(ids, max_new_tokens=6, **options)[0, ids.shape[1] :].tolist()
    assert plain[: len(together.new_ids[2])] == list(together.new_ids[2])


def test_wrong_numbers_of_rows_are_named():
    with pytest.raises(ValueError, match="one per row"):
        RowEdits([])
    with pytest.raises(ValueError, match="4 edits for a batch of 3 rows"):
        RowEdits(EDITS)(torch.zeros(3, 2, D_MODEL))
