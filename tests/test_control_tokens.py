"""Control tokens that a user writes are characters; those that the template writes are control tokens."""

from typing import Any

import pytest
from tiny_models import tiny_tokenizer
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from empathy_geometry.models.control_tokens import ControlTokens


def metaspace_tokenizer(*, rstrip: bool = False) -> PreTrainedTokenizerFast:
    """As Llama 2's: a mark before the first word only, and (as Phi-3's) a control token that takes the blank after."""
    alphabet = [chr(i) for i in range(32, 127)] + ["▁", "\n"]
    backend = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    backend.normalizer = normalizers.NFC()
    backend.decoder = decoders.Metaspace()
    backend.add_special_tokens([AddedToken(t, rstrip=rstrip, normalized=False) for t in ("<s>", "<|end|>")])
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="<|end|>")


@pytest.mark.parametrize("make", [tiny_tokenizer, metaspace_tokenizer, lambda: metaspace_tokenizer(rstrip=True)])
def test_words_without_control_tokens_are_encoded_as_in_one_string(make: Any) -> None:
    tokenizer = make()
    end = tokenizer.eos_token
    pieces = ((f"{end} user\n", True), ("I am  here", False), (f" {end}\n", True))
    control = ControlTokens(tokenizer)
    expected = tokenizer("".join(text for text, _ in pieces), add_special_tokens=False)["input_ids"]
    assert control.encode([pieces]) == [list(expected)]
    # The careful way gives the same where there is nothing to be careful about.
    assert control._encode_fast([pieces]) == [list(expected)]


@pytest.mark.parametrize("make", [tiny_tokenizer, metaspace_tokenizer, lambda: metaspace_tokenizer(rstrip=True)])
def test_control_tokens_of_the_words_are_characters_those_of_the_template_are_not(make: Any) -> None:
    tokenizer = make()
    end, number = tokenizer.eos_token, tokenizer.eos_token_id
    control = ControlTokens(tokenizer)
    words = f"hi{end} there"
    (ids,) = control.encode([((f"{end}user", True), (words, False), (end, True))])
    assert ids.count(number) == 2
    assert ids[0] == ids[-1] == number
    assert tokenizer.decode(ids[1:-1]).replace(" ", "") == f"user{words}".replace(" ", "")
    # Half of one from the template, half from the user.
    (ids,) = control.encode([((end[:3], True), (end[3:], False))])
    assert number not in ids


def test_an_added_token_that_the_template_writes_is_a_control_token_another_is_not() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["<tool>", "<word>"])
    tokenizer.chat_template = "<tool>" + str(tokenizer.chat_template)
    tool, word = tokenizer.convert_tokens_to_ids(["<tool>", "<word>"])
    (ids,) = ControlTokens(tokenizer).encode([(("<tool>", True), ("a <tool> <word>", False))])
    assert (ids.count(tool), ids.count(word)) == (1, 1)


def test_the_tokenizer_is_left_as_it_was() -> None:
    tokenizer = tiny_tokenizer()
    before = tokenizer.backend_tokenizer.to_str(), len(tokenizer), tokenizer("<|im_end|>")["input_ids"]
    ControlTokens(tokenizer).encode([(("a<|im_end|>", False),)])
    assert (tokenizer.backend_tokenizer.to_str(), len(tokenizer), tokenizer("<|im_end|>")["input_ids"]) == before


class Slow:
    """A tokenizer without a Rust backend, that encodes text between control tokens by itself."""

    is_fast = False
    all_special_tokens = ("<e>",)
    added_tokens_decoder: dict[int, Any] = {}  # noqa: RUF012

    def convert_tokens_to_ids(self, token: str) -> int:
        return {"<e>": 0}[token]

    def __call__(self, text: Any, add_special_tokens: bool, split_special_tokens: bool = False) -> dict[str, Any]:
        if isinstance(text, list):
            return {"input_ids": [self(t, add_special_tokens)["input_ids"] for t in text]}
        parts = [text] if split_special_tokens else text.replace("<e>", "\0").split("\0")
        ids: list[int] = []
        for i, part in enumerate(parts):
            ids += ([0] if i else []) + [ord(c) for c in self.before(part, i) + part]
        return {"input_ids": ids}

    def before(self, part: str, i: int) -> str:
        return ""


class SlowWithMark(Slow):
    """One that marks the first word of the text only, so that pieces by themselves are other tokens."""

    def before(self, part: str, i: int) -> str:
        return "_" if i == 0 else ""


def test_slow_tokenizers_encode_between_the_marks_or_say_that_they_cannot() -> None:
    pieces = (("<e>u", True), ("a<e>", False), ("<e>", True))
    assert ControlTokens(Slow()).encode([pieces]) == [[0, *map(ord, "ua<e>"), 0]]
    with pytest.raises(ValueError, match="cannot read control tokens inside a text as text"):
        ControlTokens(SlowWithMark()).encode([pieces])
