"""The tokens that a model read travel with its activations: in memory, in files, in stores, through every selection."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import tiny_bridge

import empathy_geometry as eg
from empathy_geometry.activations.store import ActivationStore
from empathy_geometry.evaluation.text_features import TOKENS_MISSING
from empathy_geometry.foundation.artefact import load_artefact, save_artefact
from empathy_geometry.models.tokens import tokenize
from empathy_geometry.texts.labeled_texts import LabeledTexts
from empathy_geometry.texts.token_ids import TokenIds, as_token_ids

RESPONSES = ["one", "two more er", "Is that abc?", "x"]
PROMPTS = ["I was there.\n\nResponse: ", "er abcabc, you and so on.\n\nResponse: "]
TEXTS = LabeledTexts(
    [p + r for p in PROMPTS for r in RESPONSES],
    ["a", "b"] * 4,
    [g for g in "gh" for _ in RESPONSES],
    prompts=[p for p in PROMPTS for _ in RESPONSES],
)


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny_bridge()


@pytest.fixture(scope="module")
def acts(model: Any) -> eg.Activations:
    return eg.extract_activations(model, TEXTS, position="response_mean", progress=False)


@pytest.fixture(scope="module")
def responses(model: Any) -> tuple[tuple[int, ...], ...]:
    return tuple(text.ids[text.start : text.stop] for text in tokenize(model, TEXTS))


def test_extraction_keeps_the_tokens_of_the_responses(acts, responses):
    assert acts.token_ids.rows() == responses
    assert len(set(responses)) >= len(RESPONSES)


def test_they_follow_rows_files_and_joining(acts, responses, tmp_path):
    assert acts[[3, 1]].token_ids.rows() == (responses[3], responses[1])
    assert acts.where(label="b").token_ids.rows() == responses[1::2]
    assert acts.only(0).token_ids.rows() == responses
    assert eg.Activations.concat([acts, acts[[0]]]).token_ids.rows() == (*responses, responses[0])
    loaded = eg.Activations.load(acts.save(tmp_path / "acts"))
    assert loaded.token_ids.rows() == responses


def test_a_store_keeps_them_and_an_older_one_says_none(model, responses, tmp_path):
    design = eg.activations.StoreDesign(tmp_path / "store", "float32", 3)
    store = eg.extract_activations(model, TEXTS, store=design, position="mean", progress=False)
    assert len(list((tmp_path / "store").glob("shard-*"))) > 1
    assert store.token_ids.rows() == responses
    assert store.activations([1]).token_ids.rows() == responses
    first = sorted(Path(tmp_path / "store").glob("shard-*"))[0]
    tensors, described = load_artefact(first, "activation_shard")
    older = {name: x for name, x in tensors.items() if not name.startswith("token_i") and name != "token_offsets"}
    save_artefact(first, "activation_shard", older, described)
    assert ActivationStore.open(tmp_path / "store").activations().token_ids is None


def test_foreign_activations_bring_them_where_they_say_them(model, responses):
    plain = LabeledTexts(list(TEXTS.responses), TEXTS.labels, TEXTS.groups)
    tokenized = tokenize(model, plain)
    width = max(map(len, tokenized))
    ids, mask = np.zeros((8, width), dtype=int), np.zeros((8, width), dtype=int)
    for i, text in enumerate(tokenized):
        ids[i, : len(text)], mask[i, : len(text)] = text.ids, 1
    streams = {0: torch.randn(8, width, 4)}
    labels = (TEXTS.labels, TEXTS.groups)
    told = eg.Activations.from_arrays(
        streams, *labels, position="mean", tokens=ids, attention_mask=mask, tokenized=tokenized
    )
    assert told.token_ids.rows() == tuple(text.ids[text.start : text.stop] for text in tokenized)
    whole = eg.Activations.from_arrays(streams, *labels, position="mean", tokens=ids, attention_mask=mask)
    assert whole.token_ids.rows() == tuple(text.ids for text in tokenized)
    assert eg.Activations.from_arrays(streams, *labels, position="mean", attention_mask=mask).token_ids is None
    assert eg.Activations.from_arrays({0: np.ones((8, 4))}, *labels).token_ids is None


def test_what_is_missing_is_said(acts):
    # As many rows again under other scenarios, so that folds can be made.
    many = [eg.Activations(**{**vars(acts.only(0)), "groups": [f"{k}{g}" for g in acts.groups]}) for k in range(6)]
    acts, settings = eg.Activations.concat(many), {"positive": "a", "negative": "b", "n_splits": 3}
    found = eg.cross_validate(eg.Probe("ridge"), acts, **settings)
    assert "model_tokens" in found.baselines
    assert TOKENS_MISSING not in found.notes
    without = eg.Activations(acts.values, acts.layers, acts.labels, acts.groups, texts=acts.texts)
    found = eg.cross_validate(eg.Probe("ridge"), without, **settings)
    assert "model_tokens" not in found.baselines
    assert TOKENS_MISSING in found.notes
    assert "model_tokens is missing" in str(found)
    # Other texts than those that were read: their tokens are not these.
    found = eg.cross_validate(eg.Probe("ridge"), acts, texts=["other words"] * len(acts), **settings)
    assert TOKENS_MISSING in found.notes


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ([[1, 2]], ValueError, "2 texts, got 1"),
        ([[1.5], [2]], TypeError, "whole numbers"),
        ([["a"], ["b"]], TypeError, "whole numbers"),
        ([[[1]], [[2]]], TypeError, "sequence"),
    ],
)
def test_wrong_tokens_are_refused(given, error, says):
    with pytest.raises(error, match=says):
        as_token_ids(given, 2)


def test_offsets_are_checked():
    with pytest.raises(ValueError, match="rise from 0"):
        TokenIds(torch.arange(3), torch.tensor([0, 2]))
    assert TokenIds.from_rows([[], [3]]).rows() == ((), (3,))
