"""Batched equals one by one, for random ragged texts, on every model type, with and without shared prefixes."""

from typing import Any
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import KINDS, tiny_model

import empathy_geometry as eg
from empathy_geometry.activations import outlier_tokens as outlier_rule
from empathy_geometry.models.hooked_model import SITES
from empathy_geometry.models.tokens import pad, tokenize
from empathy_geometry.texts.labeled_texts import LabeledTexts

pytestmark = [pytest.mark.filterwarnings("ignore:.*control tokens"), pytest.mark.usefixtures("one_thread")]

TOLERANCE = 1e-4  # of the largest value, float32

# Letters that merge across a prompt's end, marks that are special tokens, and anything else that can be written.
pieces = st.one_of(
    st.sampled_from(["a", "b", "abc", " I", "\n\n", "er", "<|im_end|>", "<|im_start|>", "0"]),
    # U+E0F0 beside a control token is refused by name.
    st.characters(codec="utf-8", exclude_characters="\x11\x12\ue0f0"),
)
words = st.lists(pieces, min_size=1, max_size=10).map("".join).filter(lambda text: bool(text.strip()))
# The factor itself, at which tiny models have no outliers, and one at which many tokens are.
factors = st.sampled_from([outlier_rule.OUTLIER_FACTOR, 1.1])
positions = st.sampled_from(
    ["last", "mean", "response_mean", "response_quartiles", 0, -1, lambda text: [0, text.start, text.stop - 1]]
)


@st.composite
def labelled(draw: st.DrawFn, *, prompts: bool = True) -> LabeledTexts:
    """Up to eight texts over up to three prompts, in any order."""
    openings = draw(st.lists(words, min_size=1, max_size=3)) if prompts else [""]
    chosen = draw(st.lists(st.tuples(st.sampled_from(openings), words), min_size=1, max_size=8))
    texts = [prompt + response for prompt, response in chosen]
    n = len(texts)
    return LabeledTexts(
        texts, ["x"] * n, [str(i) for i in range(n)], prompts=[p for p, _ in chosen] if prompts else None
    )


def _close(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert found.shape == expected.shape
    assert float((found - expected).abs().max()) <= TOLERANCE * float(expected.abs().max())


def _extract(kind: Any, texts: LabeledTexts, **options: Any) -> eg.Activations:
    return eg.extract_activations(tiny_model(kind), texts, progress=False, **options)


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    texts=st.one_of(labelled(), labelled(prompts=False)),
    position=positions,
    site=st.sampled_from(SITES),
    chat_template=st.booleans(),
    share_prefixes=st.sampled_from([True, False, "auto"]),
    batch_size=st.one_of(st.just("auto"), st.integers(1, 5)),
    outlier_tokens=st.sampled_from(["leave_out", "keep"]),
    factor=factors,
)
def test_batches_and_shared_prefixes_change_nothing(
    kind: Any,
    texts: LabeledTexts,
    position: Any,
    site: Any,
    chat_template: bool,
    share_prefixes: Any,
    batch_size: Any,
    outlier_tokens: Any,
    factor: float,
) -> None:
    options: dict[str, Any] = {
        "position": position,
        "site": site,
        "reading": eg.ReadingDesign(chat_template=chat_template, outlier_tokens=outlier_tokens),
    }
    with patch.object(outlier_rule, "OUTLIER_FACTOR", factor):
        found = _extract(kind, texts, share_prefixes=share_prefixes, batch_size=batch_size, **options)
        expected = _extract(kind, texts, share_prefixes=False, batch_size=1, **options)
    _close(found.values, expected.values)
    assert found.left_out is not None
    assert expected.left_out is not None
    assert found.left_out.tolist() == expected.left_out.tolist()
    assert found.token_embeddings is not None
    assert expected.token_embeddings is not None
    _close(found.token_embeddings, expected.token_embeddings)


@settings(max_examples=25, deadline=None)
@given(kind=st.sampled_from(KINDS), texts=labelled(), position=positions, factor=factors)
def test_one_by_one_equals_run_with_cache(kind: Any, texts: LabeledTexts, position: Any, factor: float) -> None:
    """`run_with_cache` on each text alone, pooled by `from_cache`, is the independent way to the same numbers."""
    model = tiny_model(kind)
    with patch.object(outlier_rule, "OUTLIER_FACTOR", factor):
        found = _extract(kind, texts, position=position)
        for i, text in enumerate(tokenize(model, texts)):
            with torch.no_grad():
                _, cache = model.run_with_cache(torch.tensor([text.ids]))
            alone = eg.Activations.from_cache(cache, ["x"], ["g"], position=position, tokenized=[text])
            _close(found.values[i], alone.values[0])


@settings(max_examples=25, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    texts=labelled(prompts=False),
    position=positions,
    side=st.sampled_from(["left", "right"]),
)
def test_from_cache_reads_padded_caches(kind: Any, texts: LabeledTexts, position: Any, side: str) -> None:
    """Both padding sides, with the mask that the model was given; padding is filled with a token that texts have."""
    model = tiny_model(kind)
    tokenized = tokenize(model, texts)
    ids, mask = pad([text.ids for text in tokenized], side=side, fill=model.tokenizer.pad_token_id)
    with torch.no_grad():
        _, cache = model.run_with_cache(ids, attention_mask=mask.long())
    found = eg.Activations.from_cache(
        cache, texts.labels, texts.groups, position=position, attention_mask=mask, tokenized=tokenized
    )
    _close(found.values, _extract(kind, texts, position=position, batch_size=1).values)
