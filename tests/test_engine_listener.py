"""Pooling in an engine's worker, on passes made by hand: packed rows, cached beginnings, outliers; no engine needed."""

import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load

import empathy_geometry as eg
from empathy_geometry.activations.engine_listener import PoolingListener
from empathy_geometry.activations.pooling import Pooling
from empathy_geometry.activations.positions import judged_tokens
from empathy_geometry.engines.worker import PassRow, attach, stream_of

D_MODEL = 8


def arguments(row: int, slots: list[list[int]], response: list[int]) -> dict:
    first = min(map(min, [*slots, response]))
    return {"row": row, "slots": slots, "response": [response], "first": first, "single": [False, False]}


def whole(stream: torch.Tensor, tokens: list[int]) -> tuple[torch.Tensor, int]:
    """Mean of tokens of a text by the small path's own pooling."""
    weights = torch.zeros(1, 1, len(stream))
    weights[0, 0, tokens] = 1 / len(tokens)
    means = Pooling(weights, judged_tokens([len(stream)], len(stream)))(stream[None])
    return means.vectors[0], int(means.left_out[0])


def streams(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Two texts of 9 and 7 tokens with the first four in common, an outlier in the beginning and one in a response."""
    generator = torch.Generator().manual_seed(seed)
    one, two = torch.randn(9, D_MODEL, generator=generator), torch.randn(7, D_MODEL, generator=generator)
    one[2] *= 300
    one[6] *= 300
    two[:4] = one[:4]
    return one, two


def test_packed_texts_are_pooled_as_alone():
    one, two = streams()
    listener = PoolingListener([0], True)
    rows = [
        PassRow(slice(0, 9), 0, 9, np.arange(32, 41), arguments(1, [[4, 5, 6, 7, 8]], [4, 5, 6, 7, 8])),
        PassRow(slice(9, 16), 0, 7, np.arange(64, 71), arguments(0, [[4, 5, 6]], [4, 5, 6])),
    ]
    listener.hear("embed", torch.cat([one, two]), rows)
    listener.hear(0, torch.cat([one, two]) * 2, rows)
    found = load(listener.take())
    assert found["0.rows"].tolist() == [1, 0]
    assert found["missing"].tolist() == []
    for i, (stream, tokens) in enumerate([(one, [4, 5, 6, 7, 8]), (two, [4, 5, 6])]):
        vectors, left_out = whole(stream * 2, tokens)
        assert torch.allclose(found["0.vectors"][i], vectors, rtol=1e-6)
        assert int(found["0.left_out"][i]) == left_out
    assert found["0.left_out"].tolist() == [1, 0]  # the outlier is there to be left out
    assert set(load(listener.take())) == {"missing"}, "what was taken is gone"


def test_a_cached_beginning_counts_in_the_median():
    """Two large tokens of four in the rest of a text are its median there; beside the whole text they are outliers."""
    stream = torch.ones(12, D_MODEL)
    stream[10:] *= 100
    tokens = [9, 10, 11]
    listener = PoolingListener([0], True)
    first = [PassRow(slice(0, 12), 0, 12, np.arange(12), arguments(0, [tokens], tokens))]
    listener.hear(0, stream, first)
    rest = [PassRow(slice(0, 3), 9, 12, np.r_[0:9, 20:23], arguments(1, [tokens], tokens))]
    listener.hear(0, stream[9:], rest)
    found = load(listener.take())
    assert found["0.left_out"].tolist() == [2, 2]
    assert torch.equal(found["0.vectors"][0], found["0.vectors"][1])
    without_norms = PoolingListener([0], True)
    without_norms.hear(0, stream[9:], [PassRow(slice(0, 3), 0, 3, np.arange(3), arguments(1, [[0, 1, 2]], [0, 1, 2]))])
    assert load(without_norms.take())["0.left_out"].tolist() == [0], "the beginning is what makes the difference"


def test_a_text_whose_pooled_tokens_were_cached_is_missing():
    one, _ = streams()
    listener = PoolingListener([0], True)
    rows = [PassRow(slice(0, 1), 8, 9, np.arange(9), arguments(3, [[4, 5, 6, 7, 8]], [4, 5, 6, 7, 8]))]
    listener.hear(0, one[8:], rows)
    found = load(listener.take())
    assert found["missing"].tolist() == [3]
    assert "0.vectors" not in found


def test_a_text_cut_into_two_passes_is_missing():
    one, _ = streams()
    listener = PoolingListener([0], True)
    listener.hear(0, one[:5], [PassRow(slice(0, 5), 0, 9, np.arange(5), arguments(3, [[4, 5]], [4, 5]))])
    assert load(listener.take())["missing"].tolist() == [3]


class _Block(torch.nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, positions, hidden_states, residual):
        stream = hidden_states if residual is None else hidden_states + residual
        return self.factor * stream, stream


class _Runner:
    """As much of vLLM's model runner as hooks look at."""

    def __init__(self) -> None:
        self.model = torch.nn.Module()
        self.model.layers = torch.nn.ModuleList([_Block(1.0), _Block(2.0)])
        self.model_config = type("C", (), {"hf_text_config": type("H", (), {"num_hidden_layers": 2})})
        self.query_start_loc = type("Q", (), {"np": np.array([0, 2, 3])})
        table = type("T", (), {"block_size": 4, "block_table": type("B", (), {"np": np.array([[5], [7]])})})
        self.input_batch = type(
            "I",
            (),
            {"num_reqs": 2, "req_ids": ["a", "b"], "num_computed_tokens_cpu": np.array([0, 0]), "block_table": [table]},
        )
        request = lambda n: type(  # noqa: E731
            "R", (), {"prompt_token_ids": [0] * n, "sampling_params": type("S", (), {"extra_args": {"n": n}})}
        )
        self.requests = {"a": request(2), "b": request(1)}

    def get_model(self) -> torch.nn.Module:
        return self.model


def test_hooks_show_the_stream_after_each_block():
    heard = {}

    class Listener:
        layers = ("embed", 0, 1)

        def hear(self, layer, stream, rows):
            heard[layer] = stream.clone(), rows

        def take(self):
            return b""

    runner = _Runner()
    handles = attach(runner, Listener())
    stream = torch.arange(6.0).reshape(3, 2)
    hidden, residual = stream, None
    for block in runner.model.layers:
        hidden, residual = block(None, hidden, residual)
    assert torch.equal(heard["embed"][0], stream)
    assert torch.equal(heard[0][0], 2 * stream)
    assert torch.equal(heard[1][0], 6 * stream)
    rows = heard[0][1]
    assert rows is heard[1][1]
    assert [(r.tokens, r.start, r.n_prompt, r.cache_slots.tolist(), r.arguments) for r in rows] == [
        (slice(0, 2), 0, 2, [20, 21], {"n": 2}),
        (slice(2, 3), 0, 1, [28], {"n": 1}),
    ]
    for handle in handles:
        handle.remove()
    heard.clear()
    runner.model.layers[0](None, stream, None)
    assert not heard


def test_a_block_that_returns_something_else_is_refused():
    with pytest.raises(ValueError, match="cannot be told"):
        stream_of((torch.ones(2), torch.ones(3)))


@pytest.mark.skipif("vllm" in sys.modules, reason="for environments without vLLM")
def test_without_vllm_load_engine_says_how_to_get_it():
    from empathy_geometry.engines import loading

    try:
        loading._installed()
    except ImportError as error:
        assert "pip install" in str(error)  # noqa: PT017
        with pytest.raises(ImportError, match=r"requirements/vllm\.txt"):
            eg.load_engine("vllm")
    else:
        pytest.skip("vLLM is installed here")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"kind": "tgi"}, "kind must be one of"),
        ({"kind": "vllm", "dtype": "int8"}, "dtype must be one of"),
        ({"kind": "vllm", "tensor_parallel_size": 0}, "must be a positive int"),
        ({"kind": "vllm", "options": {"enforce_eager": False}}, "decided by load_engine"),
    ],
)
def test_wrong_arguments_are_told_before_anything_starts(call, words):
    with pytest.raises(ValueError, match=words):
        eg.load_engine(**call)
