"""Extraction on the embedded model: both forms of it, ragged batches, padding, chat, sharing, precision."""

from typing import Any

import pytest
import torch
from tiny_models import has_hooked_transformer

import empathy_geometry as eg
from empathy_geometry.models.tokens import tokenize
from empathy_geometry.texts.labeled_texts import LabeledTexts

pytestmark = pytest.mark.integration

TOLERANCE = 1e-4
PROMPTS = ["My shift was cut again and rent is due.\n\nResponse: ", "I finally passed!\n\nResponse: "]
RESPONSES = [
    "That is a lot to carry at once.",
    "The office opens at nine.",
    "Oh, well done. Tell me how it went, from the start.",
]
TEXTS = LabeledTexts(
    [p + r for p in PROMPTS for r in RESPONSES] + ["<|im_end|>", "Hi"],
    ["a", "b", "c"] * 2 + ["a", "b"],
    ["x"] * 3 + ["y"] * 3 + ["z"] * 2,
    prompts=[p for p in PROMPTS for _ in RESPONSES] + ["", ""],
)


def _close(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert found.shape == expected.shape
    assert float((found - expected).abs().max()) <= TOLERANCE * float(expected.abs().max())


@pytest.fixture(scope="module", params=["bridge", "hooked_transformer"])
def model(request: pytest.FixtureRequest) -> Any:
    if request.param == "bridge":
        return request.getfixturevalue("embedded")
    if not has_hooked_transformer():
        pytest.skip("TransformerLens 4 has no HookedTransformer")
    return request.getfixturevalue("embedded_hooked")


@pytest.fixture(scope="module")
def alone(model: Any) -> list[Any]:
    """The residual stream of each text from plain `run_with_cache`, all layers."""
    caches = []
    for text in tokenize(model, TEXTS, control_tokens="control"):
        with torch.no_grad():
            _, cache = model.run_with_cache(
                torch.tensor([text.ids]), names_filter=lambda name: name.endswith("hook_resid_post")
            )
        caches.append(torch.stack([cache[f"blocks.{i}.hook_resid_post"][0] for i in range(30)]))
    return caches


@pytest.mark.parametrize("share_prefixes", [True, False])
@pytest.mark.parametrize("position", ["last", "mean"])
def test_batched_equals_run_with_cache_alone(model: Any, alone: list[Any], share_prefixes: bool, position: str) -> None:
    acts = eg.extract_activations(
        model,
        TEXTS,
        position=position,
        share_prefixes=share_prefixes,
        reading=eg.ReadingDesign(control_tokens="control"),
        progress=False,
    )
    for i, stream in enumerate(alone):
        expected = stream[:, -1] if position == "last" else stream[:, 1:].mean(1)
        _close(acts.values[i], expected)


def test_a_chat_is_read_at_the_words_of_the_answer(model: Any) -> None:
    acts = eg.extract_activations(model, TEXTS, layers=20, reading=eg.ReadingDesign(chat_template=True), progress=False)
    for i in (0, 4):
        turns = [
            {"role": "user", "content": PROMPTS[i // 3].removesuffix("\n\nResponse: ")},
            {"role": "assistant", "content": RESPONSES[i % 3]},
        ]
        text = model.tokenizer.apply_chat_template(turns, tokenize=False)
        ids = model.tokenizer(text.removesuffix("<|im_end|>\n"), add_special_tokens=False)["input_ids"]
        assert ids[0] == model.tokenizer.bos_token_id  # the template begins with it, so none is added
        with torch.no_grad():
            _, cache = model.run_with_cache(torch.tensor([ids]), names_filter="blocks.20.hook_resid_post")
        _close(acts.values[i, 0], cache["blocks.20.hook_resid_post"][0, -1])


def test_bfloat16_sees_the_same_classes(embedded: Any) -> None:
    """A small look; benchmarks/extraction.py measures more texts and the time."""
    texts = eg.datasets.empathy_pairs()[::25]
    whole = eg.extract_activations(embedded, texts, layers=[15], position="response_mean", progress=False)
    half_model = eg.load_model(dtype="bfloat16")
    half = eg.extract_activations(half_model, texts, layers=[15], position="response_mean", progress=False)
    assert half.provenance is not None
    assert half.provenance.model["dtype"] == "bfloat16"
    a, b = whole.layer(15), half.layer(15)
    between = (a - a.mean(0)).norm()
    assert float((a - b).norm() / between) < 0.15


def test_a_store_of_the_embedded_model(embedded: Any, tmp_path: Any) -> None:
    store = eg.extract_activations(
        embedded,
        TEXTS,
        reading=eg.ReadingDesign(control_tokens="control"),
        layers=[3, 20],
        store=eg.activations.StoreDesign(tmp_path / "s", dtype="bfloat16", shard_size=3),
        progress=False,
    )
    memory = eg.extract_activations(
        embedded, TEXTS, reading=eg.ReadingDesign(control_tokens="control"), layers=[3, 20], progress=False
    )
    assert store.provenance.model["source_sha256"] == memory.provenance.model["source_sha256"]
    torch.testing.assert_close(store.layer(20), memory.layer(20), rtol=1e-2, atol=1e-2)
