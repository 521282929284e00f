"""What is wrong with the characters of a text, and which script and language it is in."""

import re
import unicodedata
from collections import Counter
from functools import lru_cache

from empathy_geometry.audit.words import words

_HIDDEN = frozenset("\u00ad\u200b\u2060\ufeff\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Soft hyphen, zero-width space, word joiner, byte order mark, direction overrides; not Indic scripts' joiners."""

# A lead byte of UTF-8 read as Latin-1 or cp1252, followed by what its continuation bytes become.
_MOJIBAKE = re.compile(
    "[\u00c2-\u00f4][\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122]{1,3}"
)
_ENTITY = re.compile(r"&(?:[a-z]{2,8}|#\d{2,5}|#x[0-9a-f]{2,5});", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+")
_LATIN_LOOKALIKES = frozenset(
    "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03bf\u03c1\u03bd"
)
"""Greek letters that look like Latin ones; other Greek letters beside Latin ones are units and formulas."""

_FUNCTION_WORDS = {
    "en": "the and of to is was that it you for with not my on are this have but at be her his they from what",
    "es": "el la los las que y en un una por con no se lo es como pero su mi para al del más está qué me",
    "fr": "le la les et est que qui dans un une pour pas je il elle sur ne au des du avec ce mais mon c'est",
    "de": "der die das und ist nicht ich ein eine zu den mit auf sie er es dem von so wie aber auch mein sich",
    "it": "il la che e è di non un una per con mi si lo ma come sono nel del della gli più ho anche",
    "pt": "os que é não um uma para com eu da em mas na por mais está meu minha ele ela foi isso",
    "nl": "de het een en van ik is niet dat op te in zijn met voor hij ze maar er aan mijn je was ook",
}
_LANGUAGES = {name: frozenset(listed.split()) for name, listed in _FUNCTION_WORDS.items()}
_LANGUAGE_OF_SCRIPT = {
    "HIRAGANA": "ja", "KATAKANA": "ja", "HANGUL": "ko", "CJK": "zh", "CYRILLIC": "cyrillic", "ARABIC": "arabic",
    "GREEK": "el", "HEBREW": "he", "THAI": "th", "DEVANAGARI": "devanagari",
}  # fmt: skip


def character_problems(text: str) -> tuple[str, ...]:
    r"""What a careful reader of the bytes would object to, in words; empty if nothing.

    Looks for text that is not in Unicode normal form C, control and invisible characters, replacement characters,
    UTF-8 that was read as Latin-1, HTML entities, and words that mix look-alike letters of two scripts.

    Example:
        >>> character_problems("It was fine."), character_problems("It wasn\u00e2\u20ac\u2122t.")
        ((), ("mojibake ('â€™' for '’')",))
    """
    if text.isascii() and text.isprintable():
        return tuple(_entities(text))
    found = []
    if not unicodedata.is_normalized("NFC", text):
        found.append("not in normal form C (NFC)")
    control = sorted({c for c in text if unicodedata.category(c) == "Cc" and c not in "\n\t"})
    if control:
        found.append(f"control character {', '.join(f'U+{ord(c):04X}' for c in control[:3])}")
    hidden = sorted(_HIDDEN.intersection(text))
    if hidden:
        found.append(f"invisible character {', '.join(f'U+{ord(c):04X}' for c in hidden[:3])}")
    if "\ufffd" in text:
        found.append("replacement character U+FFFD (text lost in decoding)")
    found += _mojibake(text)
    found += _entities(text)
    mixed = next((word for word in _WORD.findall(text) if _mixes_scripts(word)), None)
    if mixed is not None:
        found.append(f"letters of two scripts in one word ({mixed!r})")
    return tuple(found)


def script(text: str) -> str:
    """The script of most letters, such as "LATIN" or "CJK"; "NONE" without letters.

    Example:
        >>> script("Well, well"), script("你好 OK 再见"), script("42")
        ('LATIN', 'CJK', 'NONE')
    """
    if text.isascii():
        return "LATIN" if any(c.isalpha() for c in text) else "NONE"
    counts = Counter(_script_of(c) for c in text if c.isalpha())
    return counts.most_common(1)[0][0] if counts else "NONE"


def language(text: str) -> str:
    """A guess from script and function words, good enough to notice a stray language; "unknown" when in doubt.

    Knows English, Spanish, French, German, Italian, Portuguese and Dutch, and languages that have a script of their
    own.

    Example:
        >>> language("What is it that you are waiting for?"), language("No sé qué hacer con mi hermano.")
        ('en', 'es')
    """
    main = script(text)
    if main != "LATIN":
        if main == "CJK" and any("\u3040" <= c <= "\u30ff" for c in text):
            return "ja"
        return _LANGUAGE_OF_SCRIPT.get(main, "unknown")
    counts = Counter(words(text.replace("\u2019", "'")))
    scores = {name: sum(counts[w] for w in listed) for name, listed in _LANGUAGES.items()}
    (best, most), (_, second) = Counter(scores).most_common(2)
    return best if most >= 3 and most >= 1.5 * second else "unknown"


def _entities(text: str) -> list[str]:
    found = _ENTITY.search(text) if "&" in text else None
    return [f"HTML entity ({found.group()!r})"] if found else []


def _mojibake(text: str) -> list[str]:
    for match in _MOJIBAKE.finditer(text):
        for encoding in ("cp1252", "latin-1"):
            try:
                # Each character was one byte; the run may take in one too many, and UTF-8 says how long it is.
                data = match.group().encode(encoding)
                length = 2 if data[0] < 0xE0 else 3 if data[0] < 0xF0 else 4
                meant = data[:length].decode("utf-8")
            except UnicodeError:
                continue
            return [f"mojibake ({match.group()[:length]!r} for {meant!r})"]
    return []


def _mixes_scripts(word: str) -> bool:
    if word.isascii():
        return False
    scripts = {_script_of(c) for c in word}
    if {"LATIN", "CYRILLIC"} <= scripts:
        return True
    return {"LATIN", "GREEK"} <= scripts and any(c in _LATIN_LOOKALIKES for c in word)


@lru_cache(maxsize=4096)
def _script_of(character: str) -> str:
    return unicodedata.name(character, "UNKNOWN").split()[0].split("-")[0]
