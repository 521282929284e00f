"""Chat templates: the words of each turn are found, and a template that changes them is refused."""

import datetime

import pytest
from tiny_models import tiny_tokenizer

from empathy_geometry.models.chat_template import ChatTemplate, written_day


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


LLAMA_32 = (
    "{%- if not date_string is defined %}\n{%- if strftime_now is defined %}\n"
    "{%- set date_string = strftime_now('%d %b %Y') %}\n{%- else %}\n{%- set date_string = '26 Jul 2024' %}\n"
    "{%- endif %}\n{%- endif %}\n{{ 'Today Date: ' + date_string + '\n' }}"
)
GRANITE = "{{ 'Today\\'s Date: ' + strftime_now(\"%B %d, %Y\") + '.\n' }}"


@pytest.mark.parametrize(
    ("head", "first", "second"),
    [
        (LLAMA_32, "Today Date: 26 Jul 2024\n", "Today Date: 28 Nov 2026\n"),
        (GRANITE, "Today's Date: July 26, 2024.\n", "Today's Date: November 28, 2026.\n"),
    ],
)
def test_a_template_that_asks_for_today_gets_a_fixed_day_or_the_one_asked_for(
    head: str, first: str, second: str
) -> None:
    tokenizer = tiny_tokenizer()
    plain = ChatTemplate(tokenizer)("so", "well").text
    tokenizer.chat_template = head + tokenizer.chat_template
    assert ChatTemplate(tokenizer)("so", "well").text == first + plain
    assert ChatTemplate(tokenizer, "2026-11-28")("so", "well").text == second + plain
    assert ChatTemplate(tokenizer, datetime.date(2026, 11, 28))("so", "well").text == second + plain
    assert written_day(tokenizer) == "2024-07-26"
    assert written_day(tokenizer, "2026-11-28") == "2026-11-28"
    assert written_day(tiny_tokenizer()) is written_day(tiny_tokenizer(), "2026-11-28") is None


def test_a_template_with_a_default_day_of_its_own_writes_another_only_when_asked() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = (
        "{% if date_string is not defined %}{% set date_string = '1 Jan 2020' %}{% endif %}{{ date_string }}"
        + str(tokenizer.chat_template)
    )
    assert ChatTemplate(tokenizer)(None, "so").text.startswith("1 Jan 2020<")
    assert ChatTemplate(tokenizer, "2026-11-28")(None, "so").text.startswith("28 Nov 2026<")
    assert written_day(tokenizer) is None


def test_days_that_are_none() -> None:
    for day in ("tomorrow", "28.11.2026", 20261128):
        with pytest.raises(ValueError, match="ISO 8601"):
            ChatTemplate(tiny_tokenizer(), day)  # type: ignore[arg-type]


def test_a_format_that_is_made_up_on_the_way_is_refused() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = "{{ strftime_now('%' ~ 'd') }}" + str(tokenizer.chat_template)
    with pytest.raises(Exception, match="cannot write a fixed date"):
        ChatTemplate(tokenizer)
