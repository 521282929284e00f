"""Chat templates: the words of each turn are found, and a template that changes them is refused."""

import pytest
from tiny_models import tiny_tokenizer

from empathy_geometry.models.chat_template import ChatTemplate


def test_a_dialogue_is_cut_at_the_words_of_its_turns() -> None:
    tokenizer = tiny_tokenizer()
    chat = ChatTemplate(tokenizer)("I lost my job. \n\nResponse: ", " That hurts.")
    assert (chat.user, chat.assistant) == ("I lost my job.", "That hurts.")
    turns = [{"role": "user", "content": "I lost my job."}, {"role": "assistant", "content": "That hurts."}]
    assert chat.text == tokenizer.apply_chat_template(turns, tokenize=False)
    assert chat.head.endswith("user\n")
    assert chat.middle == "<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize("prompt", [None, "", " \n"])
def test_a_message_alone_is_followed_by_the_opening_of_the_answer(prompt: str | None) -> None:
    tokenizer = tiny_tokenizer()
    chat = ChatTemplate(tokenizer)(prompt, "I lost my job.")
    rendered = tokenizer.apply_chat_template(
        [{"role": "user", "content": "I lost my job."}], tokenize=False, add_generation_prompt=True
    )
    assert chat.text == rendered
    assert chat.assistant == ""
    assert chat.user == "I lost my job."


def test_words_that_the_template_itself_uses_are_not_mistaken() -> None:
    chat = ChatTemplate(tiny_tokenizer())("user", "assistant")
    assert chat.head.endswith("<|im_start|>user\n")
    assert chat.middle == "<|im_end|>\n<|im_start|>assistant\n"


def test_no_template() -> None:
    with pytest.raises(ValueError, match="needs a tokenizer with a chat template"):
        ChatTemplate(tiny_tokenizer(chat=False))


def test_a_template_that_drops_or_rewrites_words_is_refused() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = "{% for m in messages %}{{ m['role'] }}{% endfor %}"
    with pytest.raises(ValueError, match="does not show each turn"):
        ChatTemplate(tokenizer)
    tokenizer.chat_template = "{% for m in messages %}[{{ m['content'] | replace('dog', 'cat') }}]{% endfor %}"
    template = ChatTemplate(tokenizer)
    assert template("a cat", "yes").text == "[a cat][yes]"
    with pytest.raises(ValueError, match=r"rewrites this text.*a dog"):
        template("my pet", "a dog")
