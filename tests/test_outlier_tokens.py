"""The rule for outlier tokens: by hand, against a plain loop over each text, and that ordinary tokens never fall."""

import numpy as np
import pytest
import torch
from tiny_models import KINDS, tiny_model

import empathy_geometry as eg
from empathy_geometry.activations import outlier_tokens
from empathy_geometry.activations.extractor import Extractor
from empathy_geometry.activations.outlier_tokens import OUTLIER_FACTOR, find_outliers, mean_norm, ordinary_mean
from empathy_geometry.activations.pooling import Pooling
from empathy_geometry.activations.positions import judged_tokens, pooling_weights
from empathy_geometry.models.tokens import TokenizedText, tokenize
from empathy_geometry.texts.labeled_texts import LabeledTexts

PROMPTED = LabeledTexts(
    [
        "I lost my keys. Oh no, how awful that is",
        "I lost my keys. Noted",
        "I lost my keys. Look again, calmly",
        "Hm. Ok",
    ],
    ["w", "c", "c", "w"],
    ["a", "a", "a", "b"],
    prompts=["I lost my keys."] * 3 + ["Hm."],
)


def _pooled(norms: list[float], position: str, start: int = 0) -> tuple[list[float], int]:
    """Means of one-dimensional tokens of the given norms."""
    text = TokenizedText(tuple(range(len(norms))), start, len(norms))
    weights = pooling_weights([text], position, len(norms))
    means = Pooling(weights, judged_tokens([len(norms)], len(norms)))(torch.tensor(norms)[None, :, None])
    return means.vectors.flatten().tolist(), int(means.left_out)


@pytest.mark.parametrize(
    ("norms", "mean", "left_out"),
    [
        ([900.0, 1, 2, 3], 2.0, 0),  # the first token is no part of means
        ([900.0, 1, 800, 3], 2.0, 1),  # nor is another massive one
        ([900.0, 1, 19, 1], 7.0, 0),  # a large token is ordinary
        ([900.0, 800, 1], 1.0, 1),  # the first does not count in the median
        ([900.0, 800], 800.0, 0),  # of two tokens the second is read
        ([900.0], 900.0, 0),  # and of one that one
        ([5.0, 0, 0, 0, 3], 0.75, 0),  # a text without a median has no measure
    ],
)
def test_known_means(norms: list[float], mean: float, left_out: int) -> None:
    for position in ("mean", "response_mean"):
        assert _pooled(norms, position) == (pytest.approx([mean]), left_out)


def test_single_tokens_are_read_as_they_are() -> None:
    assert _pooled([1.0, 1, 1, 900], "last") == ([900.0], 0)
    # A response of one token, of which every quarter reads that one.
    assert _pooled([1.0, 1, 1, 900], "response_quartiles", start=3) == ([900.0] * 4, 0)


def test_a_slot_of_outliers_only_is_averaged_as_it_is() -> None:
    norms = [1.0, 1, 1, 1, 1, 1, 500, 700]
    assert _pooled(norms, "response_mean", start=6) == ([600.0], 0)
    assert _pooled(norms, "response_mean", start=5) == ([1.0], 2)


def test_rows_do_not_depend_on_neighbours_or_padding() -> None:
    norms = torch.tensor([[1.0, 1, 30, 1, 900, 900], [1.0, 30, 30, 30, 30, 900]])
    found = find_outliers(norms, judged_tokens([4, 5], 6))
    assert found[0, :4].tolist() == [False, False, True, False]
    assert found[1, :5].tolist() == [False] * 5


def test_an_overflow_of_float16_is_an_outlier() -> None:
    stream = torch.ones(1, 4, 2, dtype=torch.float16)
    stream[0, 2] = float("inf")
    means = Pooling(torch.tensor([[[0.0, 1, 1, 1]]]) / 3, judged_tokens([4], 4))(stream)
    assert means.vectors.tolist() == [[[1.0, 1.0]]]


def test_rows_of_outlying_norm_are_no_part_of_lengths() -> None:
    rows = torch.tensor([[3.0, 4], [0, 5], [5, 0], [0, 1000]])
    assert mean_norm(rows) == pytest.approx(5)
    assert ordinary_mean(rows).tolist() == pytest.approx([8 / 3, 3])
    up, down = rows + torch.tensor([1.0, 0]), -rows
    scale = eg.ConceptDirection.from_mean_difference(up, down).scales["residual_norm"]
    assert 4 < scale < 6


@pytest.mark.parametrize("share_prefixes", [True, False])
@pytest.mark.parametrize("position", ["mean", "response_mean", "response_quartiles"])
def test_extraction_equals_a_plain_loop(tiny_llama, monkeypatch, share_prefixes, position) -> None:
    """The rule in numpy, text by text, on a model's own cache, at a factor that many tokens exceed."""
    monkeypatch.setattr(outlier_tokens, "OUTLIER_FACTOR", 1.02)
    model = tiny_llama
    whole = []
    monkeypatch.setattr(
        Extractor,
        "_run_plain",
        lambda self, rows, out, *, count=True, f=Extractor._run_plain: whole.extend(rows) or f(self, rows, out),
    )
    found = eg.extract_activations(model, PROMPTED, position=position, share_prefixes=share_prefixes, progress=False)
    if share_prefixes and position == "mean":
        # At such a factor some prefix tokens are outliers of the prefix and not of a whole text: these are read again.
        assert set(whole) & {0, 1, 2}
    lost = 0
    for i, text in enumerate(tokenize(model, PROMPTED)):
        with torch.no_grad():
            _, cache = model.run_with_cache(torch.tensor([text.ids]))
        for k, layer in enumerate(found.layers):
            tokens = cache[f"blocks.{layer}.hook_resid_post"][0].numpy()
            norms = np.linalg.norm(tokens, axis=1)
            rest = np.sort(norms[1:])
            outlying = norms > 1.02 * rest[(len(rest) - 1) // 2]
            weights = pooling_weights([text], position, len(text.ids))[0].numpy()
            dropped = set()
            for slot, row in enumerate(weights):
                read = np.flatnonzero(row)
                kept = read[~outlying[read]] if len(read) > 1 and (~outlying[read]).any() else read
                dropped |= set(read) - set(kept)
                at = found.values[i, k] if len(weights) == 1 else found.values[i, slot, k]
                np.testing.assert_allclose(at.numpy(), tokens[kept].mean(axis=0), atol=2e-5)
            assert int(found.left_out[i, k]) == len(dropped)
            lost += len(dropped)
    assert lost > 0
    assert found.provenance.settings["tokens_left_out"] == lost


@pytest.mark.parametrize("kind", KINDS)
def test_ordinary_tokens_never_fall(kind) -> None:
    texts = eg.datasets.formality_pairs()[:6]
    found = eg.extract_activations(tiny_model(kind), texts, layers="all", position="mean", progress=False)
    assert int(found.left_out.sum()) == 0


def test_keep_averages_every_token(tiny_llama) -> None:
    model, text = tiny_llama, PROMPTED.texts[0]
    texts = LabeledTexts([text], ["w"], ["a"])
    found = eg.extract_activations(
        model, texts, layers=[1], position="mean", reading=eg.ReadingDesign(outlier_tokens="keep"), progress=False
    )
    (tokenized,) = tokenize(model, texts)
    with torch.no_grad():
        _, cache = model.run_with_cache(torch.tensor([tokenized.ids]))
    stream = cache["blocks.1.hook_resid_post"]
    torch.testing.assert_close(found.layer(1)[0], stream[0].mean(0))
    again = eg.Activations.from_cache(cache, ["w"], ["a"], layers=[1], position="mean", outlier_tokens="keep")
    torch.testing.assert_close(again.values, found.values)
    with pytest.raises(ValueError, match="outlier_tokens must be one of 'leave_out', 'keep'"):
        eg.ReadingDesign(outlier_tokens="drop")


def test_the_count_is_kept_with_the_vectors(tiny_llama, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(outlier_tokens, "OUTLIER_FACTOR", 1.02)
    options = {"layers": [0, 2], "position": "mean", "progress": False}
    found = eg.extract_activations(tiny_llama, PROMPTED, **options)
    assert int(found.left_out.sum()) > 0
    assert "left out" in repr(found)
    loaded = eg.Activations.load(found.save(tmp_path / "a.safetensors"))
    assert torch.equal(loaded.left_out, found.left_out)
    assert torch.equal(found[[2, 0]].left_out, found.left_out[[2, 0]])
    store = eg.extract_activations(
        tiny_llama, PROMPTED, store=eg.activations.StoreDesign(tmp_path / "store", shard_size=2), **options
    )
    assert torch.equal(store.left_out, found.left_out)
    assert torch.equal(store.activations([2]).left_out, found.left_out[:, 1:])
    assert store.provenance.settings["tokens_left_out"] == int(found.left_out.sum())
    with pytest.raises(ValueError, match="outlier_tokens"):
        eg.extract_activations(
            tiny_llama,
            PROMPTED,
            store=eg.activations.StoreDesign(tmp_path / "store", shard_size=2),
            reading=eg.ReadingDesign(outlier_tokens="keep"),
            **options,
        )


def test_the_factor_is_where_the_documentation_says() -> None:
    assert OUTLIER_FACTOR == 20.0
