"""Many edits in one pass equal each edit alone, on every model type."""

import pytest
import torch
from tiny_models import D_MODEL, KINDS, N_LAYERS, tiny_model

from empathy_geometry.causal.edited_model import EditedModel
from empathy_geometry.generation.continuations import generate
from empathy_geometry.models.tokens import tokenize
from empathy_geometry.steering.stream_edit import StreamEdit, attached_but_outliers

TEXT = "abc erI the pot and the rain"


def unit(seed: int) -> torch.Tensor:
    vector = torch.randn(D_MODEL, generator=torch.Generator().manual_seed(seed))
    return vector / vector.norm()


EDITS = [
    StreamEdit.nothing(D_MODEL),
    StreamEdit.adding(unit(0), 2.0),
    StreamEdit.clamping(unit(1), 0.5),
    StreamEdit.clamping(unit(1), 0.5, write=unit(2)),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layer", ["embed", 1])
def test_edits_in_one_pass_equal_plain_hooks_one_by_one(kind, layer):
    model = tiny_model(kind)
    (text,) = tokenize(model, [TEXT])
    positions, tokens = [2, 5, len(text) - 1], range(2, len(text))
    edited = EditedModel(model, layer, [N_LAYERS - 1])
    together = edited.read(text.ids, EDITS, tokens=tokens, positions=positions)
    name = "blocks.0.hook_resid_pre" if layer == "embed" else f"blocks.{layer}.hook_resid_post"
    for row, edit in enumerate(EDITS):
        seen, changes = [], []

        def change(stream, hook, edit=edit, changes=changes):
            add, pull, target, read, write = (
                t[0, 0] for t in (edit.add, edit.pull, edit.target, edit.read, edit.write)
            )
            amount = add + pull * (target - stream @ read)
            amount[:, 0] = 0
            changes.append(amount[..., None] * write)
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
    monkeypatch.setattr("empathy_geometry.causal.edited_model._TOKENS_CPU", len(text))
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


def test_batched_generation_under_edits_equals_steering_one_by_one(tiny_model):
    prompts = ["abc erI", "the pot", "I walked home and the rain"]
    edits = [StreamEdit.adding(unit(3), a) for a in (-2.0, 0.0, 3.0)]

    def attach(batch):
        return attached_but_outliers(tiny_model, 1, StreamEdit.together([edits[i] for i in batch]))

    together = generate(tiny_model, prompts, max_new_tokens=6, chat=False, edit=attach)
    for i, prompt in enumerate(prompts):
        alone = generate(
            tiny_model,
            [prompt],
            max_new_tokens=6,
            chat=False,
            edit=lambda batch, i=i: attached_but_outliers(tiny_model, 1, edits[i]),
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
        StreamEdit.together([])
    with pytest.raises(ValueError, match="4 edits for a batch of 3 rows"):
        StreamEdit.together(EDITS)(torch.zeros(3, 2, D_MODEL))


@pytest.mark.parametrize("kind", KINDS)
def test_outlier_tokens_are_left_as_they_are_wherever_they_stand(kind):
    """The first token and one of a massive norm; padding on the left and a KV cache make no difference."""
    model = tiny_model(kind)
    ids = [tokenize(model, [text])[0].ids for text in ("abc erI the pot", "the pot")]
    massive = 3

    def swell(
        stream, hook
    ):  # before ours: on the first row (by now unpadded) the fourth token is a hundred times larger
        factor = torch.ones(stream.shape[:2])
        if stream.shape[1] > massive:
            factor[0, massive] = 100.0
        return stream * factor[..., None]

    seen: list[torch.Tensor] = []
    edit = StreamEdit.together([StreamEdit.adding(unit(0), 5.0)] * 2)
    width = max(map(len, ids))
    mask = torch.tensor([[i >= width - len(row) for i in range(width)] for row in ids])
    batch = torch.tensor([[0] * (width - len(row)) + list(row) for row in ids])
    name = "blocks.1.hook_resid_post"
    with (
        torch.no_grad(),
        model.hooks(fwd_hooks=[(name, swell), (name, lambda x, hook: seen.append(x.clone()))]),
        attached_but_outliers(model, 1, edit),
        model.hooks(fwd_hooks=[(name, lambda x, hook: seen.append(x.clone()))]),
    ):
        model(batch, attention_mask=mask)
    before, after = seen
    moved = (after - before).norm(dim=-1) > 1.0
    expected = mask.clone()
    expected[torch.arange(2), mask.int().argmax(dim=1)] = False
    expected[0, massive] = False
    assert torch.equal(moved, expected)
