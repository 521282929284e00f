"""Words, sentences and marks of a text, in any script: what text-only classifiers are given."""

import re

_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0e7f\u0e80-\u0eff\u1000-\u109f\u1780-\u17ff"
"""Japanese, Chinese, Thai, Lao, Burmese and Khmer do not put spaces between words; a character stands for a word."""

_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+(?:['\u2019][^\W{_UNSPACED}]+)*")
_UNSPACED_CHARACTER = re.compile(f"([{_UNSPACED}])")
_SENTENCE_END = re.compile(r"[.!?\u061f\u0964]+(?=[\s\"'\u201d\u2019)\]]|$)|[\u3002\uff01\uff1f]+")


def words(text: str) -> list[str]:
    """The words in lower case, contractions whole; single characters where a script has no spaces.

    Example:
        >>> words("Don't go, 小猫!")
        ["don't", 'go', '小', '猫']
    """
    return _WORD.findall(text.lower())


def spaced(text: str) -> str:
    """The text with spaces around characters of scripts that have none, for classifiers that split at spaces.

    Example:
        >>> spaced("小猫 ran").split()
        ['小', '猫', 'ran']
    """
    return text if text.isascii() else _UNSPACED_CHARACTER.sub(r" \1 ", text)


def n_sentences(text: str) -> int:
    """Number of sentence ends, at least 1.

    Example:
        >>> n_sentences("Oh. Is it 3.5 km? Yes"), n_sentences("你好。再见！")
        (2, 2)
    """
    return max(1, len(_SENTENCE_END.findall(text)))


def final_mark(text: str) -> str:
    """The last character that is not a space, if it is punctuation, else "letter".

    Example:
        >>> final_mark("Really? "), final_mark("no")
        ('?', 'letter')
    """
    stripped = text.rstrip()
    return "letter" if not stripped or stripped[-1].isalnum() else stripped[-1]
