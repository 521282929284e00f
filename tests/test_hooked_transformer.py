"""HookedTransformer on TransformerLens 3 (test_models.py holds the error on 4)."""

from typing import Any

import pytest
from tiny_models import has_hooked_transformer

import empathy_geometry as eg
from empathy_geometry.texts.labeled_texts import LabeledTexts


@pytest.mark.skipif(not has_hooked_transformer(), reason="TransformerLens 4")
def test_names_that_it_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(FileNotFoundError, match=r"cannot load model 'no/such-model'"):
        eg.load_model("no/such-model", hooked_transformer=True)


@pytest.mark.integration
def test_it_agrees_with_the_bridge(embedded: Any, embedded_hooked: Any) -> None:
    texts = LabeledTexts(
        ["I lost my job today.", "The meeting is at ten, in the room upstairs."], list("xy"), list("gh")
    )
    bridge = eg.extract_activations(embedded, texts, position="mean", progress=False)
    hooked = eg.extract_activations(embedded_hooked, texts, position="mean", progress=False)
    assert float((bridge.values - hooked.values).abs().max()) <= 1e-4 * float(bridge.values.abs().max())
    assert hooked.provenance is not None
    assert hooked.provenance.model["class"] == "HookedTransformer"
