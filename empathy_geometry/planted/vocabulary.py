"""Made-up words of the planted transformer, each with one job, and a tokenizer that knows no others."""

from dataclasses import dataclass
from typing import Any

from empathy_geometry.texts.text_records import RESPONSE_SEPARATOR

N_CHAINS, CHAIN_LENGTH = 4, 16
CONCEPTS = ("first", "second")
NEUTRAL = "neutral"

_CONSONANTS, _VOWELS = "bdfgklmnprstvz", "aeiou"


@dataclass(frozen=True)
class Vocabulary:
    """Words by job.

    Attributes:
        chains: Filler words; each is followed by the next of its chain, the last by the first.
        class_words: Words that say a class, and are all that tells its texts from others.
        markers: For each concept, words that it makes likelier and words that it makes less likely; they occur in no
            text.
        loop: The word that a broken text repeats.
        other: Cue and punctuation.
    """

    chains: tuple[tuple[str, ...], ...]
    class_words: dict[str, tuple[str, ...]]
    markers: dict[str, tuple[tuple[str, ...], tuple[str, ...]]]
    loop: str
    other: tuple[str, ...]

    @property
    def words(self) -> tuple[str, ...]:
        """Every word, in the order of its token id (after the special tokens)."""
        sides = [side for both in self.markers.values() for side in both]
        groups = [*self.chains, *self.class_words.values(), *sides, (self.loop,), self.other]
        return tuple(word for group in groups for word in group)


SPECIAL = ("<s>", "</s>", "<unk>", "<pad>")


def planted_vocabulary() -> Vocabulary:
    """The words, the same each time.

    Example:
        >>> v = planted_vocabulary()
        >>> v.chains[0][:3], v.class_words["first"][:2], len(set(v.words)) == len(v.words)
        (('baba', 'bada', 'bafa'), ('firstba', 'firstbe'), True)
    """
    syllables = [c + v for v in _VOWELS for c in _CONSONANTS]
    fillers = [a + b for a in syllables[:4] for b in syllables[:16]]
    chains = tuple(tuple(fillers[c * CHAIN_LENGTH : (c + 1) * CHAIN_LENGTH]) for c in range(N_CHAINS))
    endings = [c + v for c in _CONSONANTS for v in _VOWELS]
    class_words = {name: tuple(name + e for e in endings[:8]) for name in (*CONCEPTS, NEUTRAL)}
    markers = {
        name: (tuple(f"more{name}{e}" for e in endings[:6]), tuple(f"less{name}{e}" for e in endings[:6]))
        for name in CONCEPTS
    }
    cue = tuple(RESPONSE_SEPARATOR.strip().replace(":", " :").split())
    return Vocabulary(chains, class_words, markers, "stuck", (*cue, "."))


def planted_tokenizer() -> Any:
    """A tokenizer of whole words; unknown words become "<unk>"."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    known = {token: i for i, token in enumerate((*SPECIAL, *planted_vocabulary().words))}
    tokenizer = Tokenizer(models.WordLevel(known, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        model_max_length=512,
    )
    # TransformerLens reloads a tokenizer by name to switch BOS on, unless it says that it is on.
    fast.init_kwargs |= {"name_or_path": "planted", "add_bos_token": True}
    return fast
