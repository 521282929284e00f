"""Ways in for activations of others: a Hugging Face model's hidden states, arrays, and several parts as one."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import empathy_geometry as eg
from empathy_geometry.activations.pooled import Activations
from empathy_geometry.models.tokens import pad, tokenize
from empathy_geometry.texts.labeled_texts import LabeledTexts

pytestmark = pytest.mark.usefixtures("one_thread")

TEXTS = LabeledTexts(
    ["no", "a much longer text than that one", "short one", "and another one that is rather long"],
    ["a", "b", "a", "b"],
    ["g", "g", "h", "h"],
)


@pytest.fixture(scope="module")
def plain(tiny_llama):
    """A Hugging Face forward pass of the texts: hidden states, mask, ids, and what goes into the final norm."""
    runs = {}
    for side in ("left", "right"):
        ids, mask = pad([t.ids for t in tokenize(tiny_llama, TEXTS)], side=side, fill=3)
        model = tiny_llama.original_model
        before = []
        handle = model.model.norm.register_forward_pre_hook(lambda module, args, into=before: into.append(args[0]))
        try:
            with torch.no_grad():
                output = model(ids, attention_mask=mask.long(), output_hidden_states=True)
        finally:
            handle.remove()
        runs[side] = (output, mask, ids, before[0])
    return runs


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("position", ["last", "mean", "response_quartiles", 0, np.int64(-1)])
def test_hidden_states_give_what_extraction_gives(tiny_llama, plain, side, position) -> None:
    output, mask, _, before = plain[side]
    expected = eg.extract_activations(tiny_llama, TEXTS, layers=["embed", 0, 1, 2], position=position, progress=False)
    found = Activations.from_hidden_states(
        output,
        TEXTS.labels,
        TEXTS.groups,
        layers=["embed", *range(3)],
        position=position,
        attention_mask=mask,
        before_final_norm=before,
    )
    torch.testing.assert_close(found.values, expected.values, atol=1e-4, rtol=1e-4)
    inner = Activations.from_hidden_states(
        output.hidden_states, TEXTS.labels, TEXTS.groups, position=position, attention_mask=mask
    )
    assert inner.layers == (0, 1)
    # The trap: what stands in the last entry is another vector than the stream after the last block.
    assert not torch.allclose(output.hidden_states[-1], before, atol=1e-2)


def test_traps_of_hidden_states_are_refused(plain) -> None:
    output, mask, _, before = plain["right"]

    def take(states, **options):
        return Activations.from_hidden_states(states, TEXTS.labels, TEXTS.groups, **{"attention_mask": mask} | options)

    with pytest.raises(ValueError, match=r"hidden_states\[-1\] is after the final norm"):
        take(output, layers=2)
    with pytest.raises(ValueError, match="there is no layer 3; hidden_states of 3 blocks"):
        take(output, layers=[3])
    with pytest.raises(ValueError, match="nothing says where"):
        Activations.from_hidden_states(output, TEXTS.labels, TEXTS.groups)
    with pytest.raises(TypeError, match="one tuple per step"):
        take((output.hidden_states, output.hidden_states))
    with pytest.raises(TypeError, match="output_hidden_states=True, got NoneType"):
        take(None)
    with pytest.raises(ValueError, match="layers must have one shape"):
        take(output, before_final_norm=before[:, 1:])
    with pytest.raises(ValueError, match="one entry, the embeddings"):
        take(output.hidden_states[:1])


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor, lambda x: torch.as_tensor(x).tolist()])
def test_arrays_of_any_kind(kind) -> None:
    vectors = np.random.default_rng(0).standard_normal((4, 2, 3)).astype(np.float32)
    labels, groups = TEXTS.labels, TEXTS.groups
    whole = Activations.from_arrays(torch.as_tensor(vectors), labels, groups, layers=np.array([4, 9]))
    by_layer = Activations.from_arrays({4: kind(vectors[:, 0]), np.int64(9): kind(vectors[:, 1])}, labels, groups)
    listed = Activations.from_arrays([kind(vectors[:, 0]), kind(vectors[:, 1])], labels, groups, layers=(4, 9))
    one = Activations.from_arrays(kind(vectors[:, 1]), labels, groups, layers=9)
    for found in (whole, by_layer, listed):
        assert found.layers == (4, 9)
        torch.testing.assert_close(found.values, torch.as_tensor(vectors))
    torch.testing.assert_close(one.layer(9), whole.layer(9))
    assert one.position == "given"


def test_arrays_of_tokens_are_pooled_as_a_cache_is(plain) -> None:
    output, mask, ids, _ = plain["left"]
    streams = {0: output.hidden_states[1].numpy(), 1: output.hidden_states[2].numpy()}
    expected = Activations.from_hidden_states(output, TEXTS.labels, TEXTS.groups, position="mean", attention_mask=mask)
    found = Activations.from_arrays(streams, TEXTS.labels, TEXTS.groups, position="mean", attention_mask=mask.numpy())
    torch.testing.assert_close(found.values, expected.values)
    by_tokens = Activations.from_arrays(
        streams, TEXTS.labels, TEXTS.groups, position="mean", tokens=ids, pad_token_id=3
    )
    torch.testing.assert_close(by_tokens.values, expected.values)
    with pytest.raises(ValueError, match="say which are read"):
        Activations.from_arrays(streams, TEXTS.labels, TEXTS.groups, attention_mask=mask)
    with pytest.raises(ValueError, match="nothing says where"):
        Activations.from_arrays(streams, TEXTS.labels, TEXTS.groups, position="mean")


@pytest.mark.parametrize(
    ("arrays", "options", "error", "message"),
    [
        (np.zeros((4, 3)), {}, ValueError, "say which layers"),
        (np.zeros((4, 2, 3)), {"layers": [1]}, ValueError, r"must be \[n, layer, d_model\] with 1 layers"),
        ({1: np.zeros((4, 3))}, {"layers": [1]}, ValueError, "leave layers out"),
        ({}, {}, ValueError, "arrays is empty"),
        ({1: np.zeros((4, 3)), 2: np.zeros((4, 5))}, {}, ValueError, "one shape"),
        ({1: np.zeros((4, 3)), 2: np.zeros((4, 5, 3))}, {}, ValueError, "hold .2, 3. axes"),
        ({1.5: np.zeros((4, 3))}, {}, ValueError, "must be 'embed' or the index of a layer, got 1.5"),
        ({1: np.array([["a"] * 3] * 4)}, {}, TypeError, "must hold real numbers"),
        ([np.zeros((4, 3))] * 3, {"layers": [1, 2]}, ValueError, "3 entries for 2 layers"),
        ({1: np.zeros((3, 3))}, {}, ValueError, "labels must have one entry for each of 3 rows"),
    ],
)
def test_arrays_that_do_not_fit(arrays, options, error, message) -> None:
    with pytest.raises(error, match=message):
        Activations.from_arrays(arrays, TEXTS.labels, TEXTS.groups, **options)


def test_concat_is_the_extraction_of_all(tiny_llama) -> None:
    options = {"position": "mean", "progress": False}
    whole = eg.extract_activations(tiny_llama, TEXTS, **options)
    parts = [eg.extract_activations(tiny_llama, TEXTS[rows], **options) for rows in ([0, 1], [2, 3])]
    found = Activations.concat(parts)
    torch.testing.assert_close(found.values, whole.values, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.token_embeddings, whole.token_embeddings)
    assert found.groups.tolist() == whole.groups.tolist()
    assert found.texts.texts == whole.texts.texts
    assert found.left_out.tolist() == whole.left_out.tolist()
    assert found.provenance.model == whole.provenance.model
    assert len(found.provenance.texts) == 2
    assert found.provenance.settings["tokens_left_out"] == 0
    assert len(Activations.concat([replace(parts[0], token_embeddings=None), parts[1]])) == 4


@pytest.mark.usefixtures("annotations_unchecked")  # fields that do not fit each other
def test_parts_that_were_read_otherwise_are_named(tiny_llama) -> None:
    part = eg.extract_activations(tiny_llama, TEXTS, layers=[1], position="mean", progress=False)
    other = replace(part.provenance, model={**part.provenance.model, "n_layers": 99})
    kept = replace(part.provenance, settings={**part.provenance.settings, "outlier_tokens": "keep"})
    for changed, message in (
        (replace(part, layers=(2,)), r"layers is \[1\] in part 0 and \[2\] in part 1"),
        (replace(part, site="mlp_out"), "site is 'resid_post'"),
        (replace(part, position="last"), "position is 'mean'"),
        (replace(part, values=part.values[..., :3]), "shape of a row"),
        (replace(part, provenance=None), "only one says where it came from"),
        (replace(part, provenance=other), "come from different models"),
        (replace(part, provenance=replace(part.provenance, kind="planted")), "keep them apart"),
        (replace(part, provenance=kept), "outlier_tokens is 'leave_out' in part 0 and 'keep' in part 1"),
    ):
        with pytest.raises(ValueError, match=message):
            Activations.concat([part, changed])
    with pytest.raises(ValueError, match="parts is empty"):
        Activations.concat([])
    with pytest.raises(TypeError, match="concat joins Activations"):
        Activations.concat([part, "rest"])
