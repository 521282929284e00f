"""What an engine reads of a text is what the small path reads, whatever else is in the batch or the cache."""

import pytest
import torch
from engine_cases import LIMIT, assert_same, ragged

import empathy_geometry as eg
from empathy_geometry.engines.vllm_engine import VllmEngine


@pytest.mark.parametrize("position", ["last", "mean", "response_mean", "response_quartiles", 3, -2])
@pytest.mark.parametrize("share", [False, "auto"])
def test_engine_equals_bridge_on_ragged_texts(qwen2_engine, qwen2_bridge, position, share):
    texts = ragged()
    options = {"layers": ["embed", 0, 2, 3], "position": position, "progress": False}
    found = eg.extract_activations(qwen2_engine, texts, share_prefixes=share, **options)
    assert_same(found, eg.extract_activations(qwen2_bridge, texts, share_prefixes=False, **options))


@pytest.mark.parametrize("outlier_tokens", ["keep", "leave_out"])
def test_engine_equals_bridge_in_the_chat_template(qwen2_engine, qwen2_bridge, outlier_tokens):
    reading = eg.ReadingDesign(chat_template=True, outlier_tokens=outlier_tokens)
    options = {"position": "response_mean", "reading": reading, "progress": False}
    found = eg.extract_activations(qwen2_engine, ragged(), **options)
    assert_same(found, eg.extract_activations(qwen2_bridge, ragged(), **options))


@pytest.mark.parametrize(("share", "position"), [("auto", "response_mean"), (False, "response_mean"), ("auto", "mean")])
def test_beginnings_come_from_the_cache_where_they_may(qwen2_engine, monkeypatch, share, position):
    """A mean over the whole text needs every token's vector, which the cache does not hold."""
    cached = []
    run = VllmEngine.run
    monkeypatch.setattr(VllmEngine, "run", lambda *arguments: cached.append(run(*arguments)))
    eg.extract_activations(qwen2_engine, ragged(), position=position, share_prefixes=share, progress=False)
    # Four prompts of two blocks at least, each in two further texts.
    assert sum(cached) >= 4 * 2 * 2 * 32 if (share, position) == ("auto", "response_mean") else sum(cached) == 0


def test_a_text_given_twice_is_read_twice(qwen2_engine, qwen2_bridge):
    """All of the second one lies in the cache, its pooled tokens too: it is run again."""
    once = ragged()
    texts = eg.LabeledTexts(
        [*once.texts, *once.texts], [*once.labels] * 2, [*once.groups] * 2, prompts=[*once.prompts] * 2
    )
    found = eg.extract_activations(qwen2_engine, texts, position="response_mean", progress=False)
    assert_same(found, eg.extract_activations(qwen2_bridge, texts, position="response_mean", progress=False))


def test_rows_do_not_depend_on_the_batch(qwen2_engine):
    texts = ragged()
    together = eg.extract_activations(qwen2_engine, texts, position="mean", progress=False)
    for row in (0, 5, 11):
        alone = eg.extract_activations(qwen2_engine, texts[row : row + 1], position="mean", progress=False)
        error = (alone.values[0] - together.values[row]).norm(dim=-1) / together.values[row].norm(dim=-1)
        assert float(error.max()) < LIMIT


def test_another_text_has_other_vectors(qwen2_engine):
    """The comparisons above can fail: rows differ by far more than their limit."""
    values = eg.extract_activations(qwen2_engine, ragged(), position="last", progress=False).values
    distances = torch.cdist(values[:, -1], values[:, -1]) / values[:, -1].norm(dim=-1).mean()
    assert float(distances[~torch.eye(len(values), dtype=torch.bool)].min()) > 100 * LIMIT


def test_provenance_names_the_engine(qwen2_engine):
    provenance = eg.extract_activations(qwen2_engine, ragged()[:2], progress=False).provenance
    assert provenance.settings["parallel"]["tensor_parallel_size"] == 1
    assert provenance.settings["engine"]["version"].startswith("vllm")
    assert provenance.settings["engine"]["dtype"] == "float32"
    assert provenance.model["class"] == "vLLM"
    assert len(provenance.model["parameters"]) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"site": "mlp_out"}, "residual stream"),
        ({"batch_size": 4}, "max_num_seqs"),
        ({"layers": [4]}, "0 to 3"),
        ({"position": 5000}, "outside a text"),
    ],
)
def test_what_an_engine_cannot_do_is_said(qwen2_engine, options, words):
    with pytest.raises(ValueError, match=words):
        eg.extract_activations(qwen2_engine, ragged(), progress=False, **options)
