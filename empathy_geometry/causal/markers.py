"""Marker tokens: what the model, unedited, is readier to say where the concept is, in words that nobody fed it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from empathy_geometry.foundation._types import FloatArray, IntArray, StrArray
from empathy_geometry.models.hooked_model import HookedModel
from empathy_geometry.models.tokens import TokenizedText, tokenize

# Tokens so unlikely that their logits are mostly noise are not considered.
_LIKELIEST = 2000


@dataclass(frozen=True, eq=False)
class MarkerTokens:
    """Tokens whose logit difference stands for a concept in the output.

    Attributes:
        positive: Token ids that speak for it.
        negative: Token ids that speak against it.
        words: Both as text.
        source: "chosen from the readout texts" or "given".
    """

    positive: tuple[int, ...]
    negative: tuple[int, ...]
    words: tuple[tuple[str, ...], tuple[str, ...]]
    source: str

    def logit_difference(self, logits: Float[Tensor, "rows positions vocabulary"]) -> FloatArray:
        """Log P(positive markers) - log P(negative markers) of the next token, mean over positions, [rows].

        Example:
            >>> markers = MarkerTokens((0,), (1, 2), (("a",), ("b", "c")), "given")
            >>> markers.logit_difference(torch.zeros(1, 1, 3)).round(3).tolist()
            [-0.693]
        """
        up = logits[..., list(self.positive)].double().logsumexp(dim=-1)
        down = logits[..., list(self.negative)].double().logsumexp(dim=-1)
        odds: FloatArray = (up - down).mean(dim=1).numpy()
        return odds


def marker_positions(text: TokenizedText, most: int = 8) -> list[int]:
    """Response tokens, evenly spaced, after which the next token is asked for.

    Example:
        >>> marker_positions(TokenizedText(tuple(range(12)), start=2, stop=12), most=3)
        [2, 6, 11]
    """
    tokens = response_tokens(text)
    return sorted({int(i) for i in np.linspace(tokens[0], tokens[-1], most)})


def response_tokens(text: TokenizedText) -> range:
    """The tokens that "response_mean" averages: the response's, without the first token of the text."""
    return range(max(text.start, 1) if text.stop > 1 else text.start, text.stop)


def choose_markers(
    log_probabilities: Float[Tensor, "n vocabulary"],
    labels: StrArray,
    groups: StrArray,
    *,
    positive: str,
    negatives: Sequence[str],
    allowed: Sequence[int],
    n: int,
    tokenizer: Any,
) -> MarkerTokens:
    """The tokens whose log-probability differs most reliably between the classes, of those allowed.

    Ranked by Student's t of the differences within scenarios, over the likeliest of the allowed tokens. The texts are
    neither those that the directions came from nor those of the tests, and no edit takes part in the choice.

    Args:
        log_probabilities: Next-token log-probabilities of each text, mean over its response, unedited.
        labels: Class of each text.
        groups: Scenario of each text.
        positive: The concept's class.
        negatives: The classes it is compared with.
        allowed: Token ids to choose from.
        n: How many on each side.
        tokenizer: To show them.

    Raises:
        ValueError: too few tokens are allowed.
    """
    if len(allowed) < 2 * n:
        raise ValueError(
            f"only {len(allowed)} words of the vocabulary do not occur in the texts that the directions came from; "
            f"{2 * n} are needed as markers. Lower n_markers, or give markers"
        )
    ids = np.asarray(allowed)
    values = log_probabilities[:, torch.as_tensor(ids)].double().numpy()
    likely = np.argsort(-values.mean(axis=0), kind="stable")[: max(_LIKELIEST, 2 * n)]
    ids, values = ids[likely], values[:, likely]
    differences = np.stack(
        [
            values[(groups == g) & (labels == positive)].mean(axis=0)
            - values[(groups == g) & np.isin(labels, list(negatives))].mean(axis=0)
            for g in np.unique(groups)
        ]
    )
    spread = differences.std(axis=0, ddof=1)
    t = differences.mean(axis=0) / np.where(spread > 0, spread, np.inf)
    order = np.argsort(-t, kind="stable")
    up, down = ids[order[:n]], ids[order[::-1][:n]]
    return MarkerTokens(
        tuple(map(int, up)), tuple(map(int, down)), _words(tokenizer, up, down), "chosen from the readout texts"
    )


def given_markers(
    model: HookedModel, positive: Sequence[str], negative: Sequence[str], *, forbidden: frozenset[int], name: str
) -> MarkerTokens:
    """A user's marker words as token ids.

    Raises:
        ValueError: a word is not one token, or occurs in the texts that the directions came from.
    """
    sides = []
    for words in (positive, negative):
        if isinstance(words, str) or not len(words):
            raise ValueError(f"markers[{name!r}] must be two non-empty sequences of words, got {words!r}")
        ids = []
        for word in words:
            encoded = model.tokenizer(word, add_special_tokens=False)["input_ids"]
            if len(encoded) != 1:
                raise ValueError(
                    f"marker {word!r} of {name!r} is {len(encoded)} tokens of this model; give single tokens (often "
                    f"with a leading space)"
                )
            if encoded[0] in forbidden:
                raise ValueError(
                    f"marker {word!r} of {name!r} occurs in the texts that the directions came from, so that its odds "
                    f"may only repeat them; choose another"
                )
            ids.append(int(encoded[0]))
        sides.append(tuple(ids))
    if set(sides[0]) & set(sides[1]):
        raise ValueError(f"markers[{name!r}] has a word on both sides")
    return MarkerTokens(sides[0], sides[1], (tuple(positive), tuple(negative)), "given")


def token_ids_of(model: HookedModel, texts: Sequence[str]) -> frozenset[int]:
    """Every token id that occurs in the texts."""
    return frozenset(i for t in tokenize(model, list(texts)) for i in t.ids)


def word_ids(model: HookedModel) -> list[int]:
    """Token ids of the vocabulary that are letters, two at least, with or without a space before them."""
    size = int(model.cfg.d_vocab)
    special = set(model.tokenizer.all_special_ids)
    known = [i for i in range(min(size, len(model.tokenizer))) if i not in special]
    words = model.tokenizer.batch_decode([[i] for i in known])
    return [i for i, w in zip(known, words, strict=True) if len(w.strip()) > 1 and w.strip().isalpha()]


def _words(tokenizer: Any, up: IntArray, down: IntArray) -> tuple[tuple[str, ...], tuple[str, ...]]:
    shown = [tuple(tokenizer.batch_decode([[int(i)] for i in side])) for side in (up, down)]
    return shown[0], shown[1]
