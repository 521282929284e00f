"""The texts that train a sparse autoencoder: one list, every prompt's tokens once, hashed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from empathy_geometry.activations.reading import ReadingDesign
from empathy_geometry.foundation._types import IntArray, StrArray
from empathy_geometry.foundation.provenance import hash_texts
from empathy_geometry.models.hooked_model import HookedModel
from empathy_geometry.models.tokens import TokenizedText, tokenize
from empathy_geometry.texts.labeled_texts import LabeledTexts


@dataclass(frozen=True, eq=False)
class TrainingTexts:
    """Tokenised texts and which of their tokens count.

    Attributes:
        tokenized: The token ids of each text.
        first: From which token on each text counts: never position 0 (it holds an attention sink), and after the
            prompt where an earlier text has the same prompt, whose tokens a causal model reads alike.
        groups: Scenario of each text.
        hashes: SHA-256 of each text.
        names: SHA-256 of each set, by name.
    """

    tokenized: tuple[TokenizedText, ...]
    first: IntArray
    groups: StrArray
    hashes: tuple[str, ...]
    names: dict[str, str]

    @property
    def counts(self) -> IntArray:
        """Tokens of each text that count."""
        return np.array([len(t) for t in self.tokenized]) - self.first


def training_texts(
    model: HookedModel,
    texts: LabeledTexts | Sequence[LabeledTexts] | Sequence[str],
    *,
    n_tokens: int | None = None,
    reading: ReadingDesign = ReadingDesign(),  # noqa: B008 - immutable
    seed: int = 0,
) -> TrainingTexts:
    """Tokenise sets of texts for training.

    Args:
        model: Whose tokens.
        texts: One set, several, or plain strings (each its own scenario). A text that occurs twice counts once, and
            scenarios of one name are one scenario, also across sets.
        n_tokens: At most about so many tokens, in whole texts drawn at random; None takes all.
        reading: How texts are read.
        seed: Of the drawing.

    Raises:
        TypeError: neither sets nor strings.
        ValueError: no texts.
    """
    sets = _as_sets(texts)
    rows: list[tuple[TokenizedText, str, str, str | None]] = []
    seen: set[str] = set()
    for one in sets:
        read = tokenize(model, one, **reading.tokenization)
        for i, tokens in enumerate(read):
            if one.texts[i] not in seen:
                seen.add(one.texts[i])
                prompt = None if one.prompts is None else one.prompts[i]
                rows.append((tokens, str(one.groups[i]), one.texts[i], prompt))
    if n_tokens is not None:
        order = np.random.default_rng(seed).permutation(len(rows))
        total = np.cumsum([len(rows[i][0]) - 1 for i in order])
        rows = [rows[i] for i in np.sort(order[: int(np.searchsorted(total, n_tokens)) + 1])]
    first, prompts = [], set()
    for tokens, _, _, prompt in rows:
        # In a chat template the tokens before the response hold the same prompt in the same turn.
        repeated = prompt is not None and prompt in prompts
        first.append(max(1, tokens.start) if repeated else min(1, len(tokens)))
        if prompt is not None:
            prompts.add(prompt)
    return TrainingTexts(
        tuple(r[0] for r in rows),
        np.array(first),
        np.array([r[1] for r in rows]),
        tuple(hash_texts([r[2]]) for r in rows),
        {one.name: one.sha256 for one in sets},
    )


def _as_sets(texts: LabeledTexts | Sequence[LabeledTexts] | Sequence[str]) -> list[LabeledTexts]:
    if isinstance(texts, LabeledTexts):
        return [texts]
    if isinstance(texts, str) or not len(texts):
        raise TypeError("texts must be LabeledTexts, several of them, or a sequence of strings; got one string or none")
    given = list(texts)
    if all(isinstance(t, str) for t in given):
        strings = [t for t in given if isinstance(t, str)]
        return [LabeledTexts(strings, ["text"] * len(strings), np.arange(len(strings)), name="user texts")]
    sets = [t for t in given if isinstance(t, LabeledTexts)]
    if len(sets) != len(given):
        raise TypeError(
            f"texts must be all LabeledTexts or all strings, got {sorted({type(t).__name__ for t in given})}"
        )
    return sets
