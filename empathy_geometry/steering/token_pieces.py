"""Token ids as the pieces of text that they stand for, where a character may take several tokens."""

from collections.abc import Sequence
from typing import Any

# A character has at most four bytes, so no more tokens than that can be waiting for its end.
_LONGEST_CHARACTER = 4


def token_pieces(tokenizer: Any, ids: Sequence[int]) -> tuple[str, ...]:
    """What each token adds to the text; together they are the decoded text.

    A character that is spread over several tokens (emoji, Chinese) stands at its last token, and the tokens before it
    add nothing. Bytes that are no character stand as the replacement character.

    Args:
        tokenizer: Of transformers.
        ids: One sequence.
    """
    pieces: list[str] = []
    context, start = 0, 0  # the text of ids[context:start] is known and on display
    for i in range(len(ids)):
        # Decoding from one piece earlier shows the space that some tokenizers drop at the start of a text.
        before = _decode(tokenizer, ids[context:start])
        text = _decode(tokenizer, ids[context : i + 1])
        unfinished = text.endswith("\ufffd") and i + 1 < len(ids) and i + 1 - start < _LONGEST_CHARACTER
        if unfinished:
            pieces.append("")
            continue
        pieces.append(text[len(before) :])
        context, start = start, i + 1
    return tuple(pieces)


def _decode(tokenizer: Any, ids: Sequence[int]) -> str:
    if not len(ids):
        return ""
    return str(tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))
