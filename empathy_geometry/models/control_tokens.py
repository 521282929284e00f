"""Encoding in which only a chat template's own marks are control tokens, and what a text says is text."""

import json
import re
from collections.abc import Sequence
from typing import Any, TypeAlias

Pieces: TypeAlias = Sequence[tuple[str, bool]]
"""A text in pieces; True marks what a template wrote, False the words of a user or a text."""

# Code points that Unicode leaves to private use: no normaliser changes them, and no text has three in this order.
_OPEN, _CLOSE, _FIRST = "\ue0f0", "\ue0f1", 0xE100


class ControlTokens:
    """The control tokens of a tokenizer, and an encoder that knows whose they are.

    They are its special tokens, and other added tokens that its chat template writes, white space apart.

    "<|im_end|>" in the words of a user is ten characters; after the user's turn it is one token that ends the turn.
    Tokenizers cannot tell the two apart in one string, so that a text could end its own turn and begin another's.

    Args:
        tokenizer: Of a model; it is left as it is.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        added = getattr(tokenizer, "added_tokens_decoder", {})
        template = str(getattr(tokenizer, "chat_template", None) or "")
        self._added = {
            token.content: (number, token)
            for number, token in added.items()
            if token.special or (not token.content.isspace() and token.content in template)
        }
        self.strings = tuple(sorted({*self._added, *map(str, tokenizer.all_special_tokens)}, key=len, reverse=True))
        self._pattern = re.compile("|".join(map(re.escape, self.strings)) or r"(?!)")

    def in_words(self, pieces: Pieces) -> bool:
        """Whether control tokens stand in the words, or arise where words and template meet."""
        everywhere = sum(1 for _ in self._pattern.finditer("".join(text for text, _ in pieces)))
        return everywhere != sum(1 for text, is_markup in pieces if is_markup for _ in self._pattern.finditer(text))

    def encode(self, texts: Sequence[Pieces]) -> list[list[int]]:
        """Token ids of each text, nothing put before or after them.

        Raises:
            ValueError: a text has control tokens in its words, and this tokenizer cannot read them as text.
        """
        joined = ["".join(text for text, _ in pieces) for pieces in texts]
        encoded = (
            [list(ids) for ids in self._tokenizer(joined, add_special_tokens=False)["input_ids"]] if joined else []
        )
        careful = [i for i, pieces in enumerate(texts) if self.in_words(pieces)]
        if careful:
            encode = self._encode_fast if getattr(self._tokenizer, "is_fast", False) else self._encode_slow
            for i, ids in zip(careful, encode([texts[i] for i in careful]), strict=True):
                encoded[i] = ids
        return encoded

    def _encode_fast(self, texts: Sequence[Pieces]) -> list[list[int]]:
        """By a copy of the tokenizer in which the template's marks are other tokens, and no control token is known."""
        from tokenizers import AddedToken, Tokenizer

        content = json.loads(self._tokenizer.backend_tokenizer.to_str())
        for token in content["added_tokens"]:
            token["special"] = token["content"] in self._added  # what `encode_special_tokens` then reads as text
        backend = Tokenizer.from_str(json.dumps(content | {"padding": None, "truncation": None}))
        marks: dict[str, str] = {}
        for pieces in texts:
            for text, is_markup in pieces:
                for found in self._pattern.findall(text) if is_markup else ():
                    marks.setdefault(found, f"{_OPEN}{chr(_FIRST + len(marks))}{_CLOSE}")
        flags = ("lstrip", "rstrip", "single_word", "normalized")
        for control, mark in marks.items():
            token = self._added[control][1]
            backend.add_tokens([AddedToken(mark, special=False, **{flag: getattr(token, flag) for flag in flags})])
        number = {backend.token_to_id(mark): self._added[control][0] for control, mark in marks.items()}
        backend.encode_special_tokens = True
        encoded = []
        for pieces in texts:
            if any(_OPEN in text for text, _ in pieces):
                raise ValueError(f"a text contains the private-use character U+{ord(_OPEN):X}; take it out")
            marked = "".join(self._pattern.sub(lambda m: marks[m[0]], t) if markup else t for t, markup in pieces)
            ids = backend.encode(marked, add_special_tokens=False).ids
            encoded.append([number.get(i, i) for i in ids])
        return encoded

    def _encode_slow(self, texts: Sequence[Pieces]) -> list[list[int]]:
        """Piece by piece between the template's marks, where that is how the tokenizer itself encodes."""
        encoded = []
        for pieces in texts:
            plain = [(text if is_markup else "word", is_markup) for text, is_markup in pieces]
            whole = self._tokenizer("".join(text for text, _ in plain), add_special_tokens=False)["input_ids"]
            if self._between_marks(plain) != list(whole):
                raise ValueError(
                    f"this tokenizer ({type(self._tokenizer).__name__}) cannot read control tokens inside a text as "
                    f"text; leave the text out, load a fast tokenizer, or pass control_tokens='control'"
                )
            encoded.append(self._between_marks(pieces))
        return encoded

    def _between_marks(self, pieces: Pieces) -> list[int]:
        parts: list[str | int] = [""]
        for text, is_markup in pieces:
            end = 0
            for match in self._pattern.finditer(text) if is_markup else ():
                parts[-1] = str(parts[-1]) + text[end : match.start()]
                parts += [int(self._tokenizer.convert_tokens_to_ids(match[0])), ""]
                end = match.end()
            parts[-1] = str(parts[-1]) + text[end:]
        ids: list[int] = []
        for part in parts:
            if isinstance(part, int):
                ids.append(part)
            elif part:
                ids += self._tokenizer(part, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return ids
