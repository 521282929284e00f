"""The lengths at which a model changes are read off its configuration."""

import pytest
from tiny_models import tiny_bridge
from transformers import (
    Gemma3TextConfig,
    GPTNeoConfig,
    Llama4TextConfig,
    LlamaConfig,
    MistralConfig,
    Phi3Config,
    Qwen2Config,
)

from empathy_geometry.models.behaviour_lengths import BehaviourLengths

LONGROPE = {"rope_type": "longrope", "short_factor": [1.0], "long_factor": [4.0], "rope_theta": 1e4}
SMALL = {"hidden_size": 16, "num_attention_heads": 8, "num_key_value_heads": 8, "num_hidden_layers": 2}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (LlamaConfig(), BehaviourLengths()),
        (MistralConfig(sliding_window=100), BehaviourLengths(windows=(100,))),
        (MistralConfig(sliding_window=None), BehaviourLengths()),
        (Qwen2Config(sliding_window=100), BehaviourLengths()),
        (Qwen2Config(use_sliding_window=True, sliding_window=100), BehaviourLengths(windows=(100,))),
        (Gemma3TextConfig(sliding_window=512), BehaviourLengths(windows=(512,))),
        (GPTNeoConfig(window_size=256), BehaviourLengths(windows=(256,))),
        (Llama4TextConfig(attention_chunk_size=8192), BehaviourLengths(windows=(8192,))),
        (
            Phi3Config(
                **SMALL,
                sliding_window=None,
                original_max_position_embeddings=64,
                rope_parameters=LONGROPE | {"original_max_position_embeddings": 64},
            ),
            BehaviourLengths(rope_switches=(64,)),
        ),
        (
            LlamaConfig(
                max_position_embeddings=40,
                rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4},
            ),
            BehaviourLengths(rope_switches=(40,), rope_grows=True),
        ),
        (
            LlamaConfig(rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}),
            BehaviourLengths(),
        ),
    ],
)
def test_known_configurations(config, expected):
    assert BehaviourLengths.of_config(config) == expected


def test_layers_that_are_no_attention_are_named():
    config = Qwen2Config(num_hidden_layers=2)
    config.layer_types = ["linear_attention", "full_attention"]
    assert BehaviourLengths.of_config(config).recurrent


def test_a_model_without_changes(tiny_model):
    assert BehaviourLengths.of(tiny_model) == BehaviourLengths()


def test_a_changed_configuration_is_seen():
    model = tiny_bridge("llama")
    model.original_model.config.sliding_window = 7
    assert BehaviourLengths.of(model).windows == (7,)


def test_who_may_share_a_pass():
    switching = BehaviourLengths(rope_switches=(64,))
    assert switching.alike(1) == switching.alike(64) != switching.alike(65) == switching.alike(900)
    # The last token written is not read again: 60 + 4 reads stay below the switch.
    assert switching.alike(60, growing=4) == switching.alike(1)
    assert switching.alike(60, growing=5) != switching.alike(59, growing=5 + 1)
    assert switching.alike(64, growing=1) != switching.alike(64)
    assert switching.alike(65, growing=9) == switching.alike(900, growing=9)
    assert switching.can_continue(10, 64)
    assert not switching.can_continue(10, 65)
    assert switching.can_continue(65, 900)
    growing = BehaviourLengths(rope_switches=(64,), rope_grows=True)
    assert growing.alike(65) != growing.alike(66)
    assert not growing.can_continue(65, 66)
    assert growing.alike(3) == growing.alike(64)
    assert BehaviourLengths(windows=(8,)).alike_rows([3, 9, 50]).tolist() == [0, 0, 0]
    assert BehaviourLengths(windows=(8, 20)).passed(20) == 1
