"""Texts and comparisons for the tests of engines."""

from typing import Any

import torch

import empathy_geometry as eg

LIMIT = 1e-5  # relative to the norm of the vector; float32 on both sides


def ragged() -> eg.LabeledTexts:
    """Prompts of two blocks of the cache and more, shared by three responses each, which are short and long."""
    prompts, responses, groups = [], [], []
    for scenario in range(4):
        prompt = (
            f"Scenario {scenario}: " + "somebody tells a friend what happened at work today. " * (1 + scenario % 2) * 2
        )
        for i, words in enumerate((1, 7 + 11 * scenario, 2 + 40 * (scenario % 3))):
            prompts.append(prompt)
            responses.append(f"{'abc'[i]} " + "it was not your fault " * words)
            groups.append(f"s{scenario}")
    texts = [p + r[: 380 - len(p)] for p, r in zip(prompts, responses, strict=True)]
    return eg.LabeledTexts(texts, ["x", "y", "y"] * 4, groups, prompts=prompts)


def largest_error(found: Any, expected: Any) -> float:
    """Largest distance of two vectors of a text at a layer, relative to the vector's norm."""
    difference = (found.values - expected.values).norm(dim=-1)
    return float((difference / expected.values.norm(dim=-1).clamp_min(1e-12)).max())


def assert_same(found: Any, expected: Any) -> None:
    assert found.values.shape == expected.values.shape
    assert largest_error(found, expected) < LIMIT
    assert torch.equal(found.left_out, expected.left_out)
    embedded = (found.token_embeddings - expected.token_embeddings).norm(dim=-1)
    assert float((embedded / expected.token_embeddings.norm(dim=-1)).max()) < LIMIT
    assert found.labels.tolist() == expected.labels.tolist()
    assert found.provenance.settings["tokens_sha256"] == expected.provenance.settings["tokens_sha256"]
