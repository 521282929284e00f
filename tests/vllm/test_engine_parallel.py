"""Two tensor-parallel workers and two pipeline stages read what one worker reads."""

import pytest
from engine_cases import assert_same, ragged

import empathy_geometry as eg


@pytest.mark.parametrize("sizes", [{"tensor_parallel_size": 2}, {"pipeline_parallel_size": 2}], ids=str)
def test_two_workers_equal_the_small_path(qwen2_folder, qwen2_bridge, sizes, monkeypatch):
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", "0|1")
    options = {"layers": ["embed", 0, 1, 2, 3], "position": "response_mean", "progress": False}
    with eg.load_engine("vllm", qwen2_folder, max_model_len=512, **sizes) as engine:
        found = eg.extract_activations(engine, ragged(), **options)
    assert_same(found, eg.extract_activations(qwen2_bridge, ragged(), **options))
    assert {key: found.provenance.settings["parallel"][key] for key in sizes} == sizes


def test_workers_that_do_not_divide_the_heads_are_refused(qwen2_folder):
    with pytest.raises(ValueError, match="must divide the model's 4 attention heads"):
        eg.load_engine("vllm", qwen2_folder, tensor_parallel_size=3)
