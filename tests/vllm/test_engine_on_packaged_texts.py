"""The embedded model in vLLM gives the streams of the small path, over some texts of every packaged set."""

import pytest
from engine_cases import assert_same

import empathy_geometry as eg

SETS = (
    "empathy_pairs",
    "empathy_triplets",
    "formality_pairs",
    "emotion_statements",
    "non_empathy_controls",
    "valence_stripped_controls",
)


@pytest.fixture(scope="module")
def engine():
    with eg.load_engine("vllm", max_model_len=1024) as loaded:
        yield loaded


@pytest.mark.parametrize("position", ["last", "response_mean"])
@pytest.mark.parametrize("name", SETS)
def test_engine_equals_bridge_on_packaged_texts(engine, embedded, name, position):
    texts = getattr(eg.datasets, name)()
    texts = texts[:: max(1, len(texts) // 12)]
    options = {"position": position, "progress": False}
    found = eg.extract_activations(engine, texts, **options)
    assert_same(found, eg.extract_activations(embedded, texts, **options))
