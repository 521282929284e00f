"""Texts for the planted transformer: classes that differ in their class words and in nothing else."""

import numpy as np

from empathy_geometry.planted.vocabulary import CHAIN_LENGTH, CONCEPTS, N_CHAINS, NEUTRAL, planted_vocabulary
from empathy_geometry.texts.labeled_texts import LabeledTexts
from empathy_geometry.texts.text_records import RESPONSE_SEPARATOR


def planted_texts(n_scenarios: int = 40, *, seed: int = 0) -> LabeledTexts:
    """Scenarios with a "first", a "second" and a "neutral" response each.

    Prompts are filler words that end in a run of one chain (the context). The responses of a scenario have the same
    fillers, and two to four class words of their class in the same places. Half of the scenarios are of family "a",
    whose responses use the first four words of each class, the others of "b".

    Args:
        n_scenarios: How many.
        seed: Of the words.

    Raises:
        ValueError: fewer than one scenario.

    Example:
        >>> texts = planted_texts(3)
        >>> len(texts), texts.classes, texts.name
        (9, ('first', 'neutral', 'second'), 'planted_texts')
    """
    if n_scenarios < 1:
        raise ValueError(f"n_scenarios must be at least 1, got {n_scenarios}")
    rng, vocabulary = np.random.default_rng(seed), planted_vocabulary()
    rows: list[tuple[str, str, str, str, str, str]] = []
    for s in range(n_scenarios):
        chain = s % N_CHAINS
        opening = _fillers(rng, int(rng.integers(4, 8)))
        prompt = " ".join([*opening, *_run(vocabulary.chains[chain], int(rng.integers(CHAIN_LENGTH)), 3)])
        fillers = _fillers(rng, 10)
        places = rng.choice(len(fillers), size=int(rng.integers(2, 5)), replace=False)
        family = "ab"[(s // N_CHAINS) % 2]
        words = rng.integers(4, size=len(places)) + (4 if family == "b" else 0)
        for label in (*CONCEPTS, NEUTRAL):
            response = list(fillers)
            for place, word in zip(places, words, strict=True):
                response[place] = vocabulary.class_words[label][word]
            rows.append((prompt, " ".join(response), label, f"planted-{s:03d}", f"chain {chain}", family))
    prompts = [row[0] + RESPONSE_SEPARATOR for row in rows]
    return LabeledTexts(
        [prompt + row[1] for prompt, row in zip(prompts, rows, strict=True)],
        [row[2] for row in rows],
        [row[3] for row in rows],
        prompts=prompts,
        contexts=[row[4] for row in rows],
        families=[row[5] for row in rows],
        name="planted_texts",
    )


def planted_prompts(n: int = 8) -> list[str]:
    """Prompts that end in a word of each chain in turn, so that their texts break at different strengths.

    Example:
        >>> planted_prompts(2)
        ['baba bada bafa baga', 'daba dada dafa daga']
    """
    vocabulary = planted_vocabulary()
    return [" ".join(_run(vocabulary.chains[i % N_CHAINS], i // N_CHAINS, 4)) for i in range(n)]


def planted_neutral_texts() -> tuple[str, ...]:
    """Long runs of the firmest chain, on which steering should change as little as possible."""
    vocabulary = planted_vocabulary()
    return tuple(" ".join(_run(vocabulary.chains[-1], start, 20)) for start in (0, 5, 10))


def _fillers(generator: np.random.Generator, n: int) -> list[str]:
    chains = planted_vocabulary().chains
    return [str(generator.choice(chains[int(generator.integers(N_CHAINS))])) for _ in range(n)]


def _run(chain: tuple[str, ...], start: int, length: int) -> list[str]:
    return [chain[(start + i) % len(chain)] for i in range(length)]
