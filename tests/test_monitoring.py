"""Scores at tokens equal projections of extracted activations, steered and not; what is shown is what was scored."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import empathy_geometry as eg
from empathy_geometry.steering.token_scores import TokenScores, _columns, as_html, as_terminal

pytestmark = pytest.mark.usefixtures("one_thread")

TEXTS = ["the pot er", "I", "abc 难过 🙂 <b>&"]


def direction(layer=1, *, d_model=16, seed=0, **options):
    g = torch.Generator().manual_seed(seed)
    return eg.ConceptDirection(torch.randn(d_model, generator=g), layer=layer, **options)


def extracted(model, texts, layer, position):
    return eg.extract_activations(model, texts, layers=[layer], position=position).layer(layer)


def test_scores_are_projections_of_extracted_activations(tiny_model):
    d = direction()
    found = eg.token_scores(tiny_model, TEXTS, d)
    for i, text in enumerate(TEXTS):
        assert "".join(found.tokens[i][1:]) == text
        for t in range(len(found.scores[i])):
            labeled = eg.LabeledTexts([text], ["a"], ["g"])
            alone = eg.extract_activations(tiny_model, labeled, layers=[1], position=lambda tokens, t=t: [t])
            expected = float(d.project(alone.values.reshape(-1)))
            assert found.scores[i][t] == pytest.approx(expected, abs=2e-4)


def test_a_probe_gives_its_decision_value(tiny_llama):
    rng = np.random.default_rng(0)
    stream = eg.extract_activations(
        tiny_llama, eg.LabeledTexts(TEXTS, ["a"] * 3, list("xyz")), layers=[1], position="last"
    ).layer(1)
    for classes in (["cold", "warm"], ["cold", "warm", "wet"]):
        probe = eg.Probe("ridge").fit(rng.normal(size=(30, 16)), np.tile(classes, 30 // len(classes)))
        values = probe.decision_function(stream)
        found = eg.token_scores(tiny_llama, TEXTS, probe, layer=1, positive="warm")
        expected = values if values.ndim == 1 else values[:, 1]
        np.testing.assert_allclose([s[-1] for s in found.scores], expected, atol=1e-4)
        assert found.centre == 0.0
        assert "warm" in found.scorer
    binary = eg.Probe("ridge").fit(rng.normal(size=(30, 16)), np.tile(["cold", "warm"], 15))
    up, down = (eg.token_scores(tiny_llama, TEXTS, binary, layer=1, positive=p) for p in ("warm", "cold"))
    np.testing.assert_allclose(up.scores[0], -down.scores[0])


def test_class_gaps_put_the_class_means_at_plus_and_minus_a_half(tiny_llama):
    d = direction(class_means={"positive": 3.0, "negative": -1.0}, scales={"class_gap": 4.0})
    raw, gaps = (eg.token_scores(tiny_llama, TEXTS, d, units=u) for u in ("raw", "class_gap"))
    np.testing.assert_allclose(gaps.scores[0], (raw.scores[0] - 1.0) / 4.0, atol=1e-6)
    assert (raw.centre, gaps.centre) == (1.0, 0.0)


@pytest.mark.parametrize("positions", ["all", "generated", "prompt", "response"])
def test_one_steered_pass_reads_the_stream_that_wrote_the_text(tiny_model, positions):
    d, reader = direction(0), direction(2, seed=1)
    hook = eg.SteeringHook(d, alpha=4.0, positions=positions)
    prompts = ["abc", "the pot er"]
    for prompt in prompts:
        with hook.attached(tiny_model):
            written = eg.generate(tiny_model, [prompt], max_new_tokens=4, chat=False)
            # Writing the same again while a reader is attached records the stream of every step.
            seen = []

            def keep(stream, hook, seen=seen):
                seen.append(stream[0].clone())

            with tiny_model.hooks(fwd_hooks=[("blocks.2.hook_resid_post", keep)]):
                eg.generate(tiny_model, [prompt], max_new_tokens=4, chat=False)
        found = eg.token_scores(tiny_model, written, reader, hook=hook)
        n_prompt = len(written.prompt_ids[0])
        assert found.spans[0] == (n_prompt, n_prompt + len(written.new_ids[0]))
        last = [float(reader.project(step[-1])) for step in seen]
        np.testing.assert_allclose(found.scores[0][n_prompt - 1 : n_prompt - 1 + len(last)], last, atol=1e-3)
    assert found.reading == "steered"
    plain = eg.token_scores(tiny_model, written, reader)
    assert plain.reading == "unsteered"
    assert np.abs(plain.scores[0] - found.scores[0]).max() > 0.05


def test_a_batch_equals_one_by_one_with_an_alpha_for_each_text(tiny_model):
    d, reader = direction(0), direction(2, seed=1)
    alphas = [0.0, 3.0, -3.0]
    together = eg.token_scores(tiny_model, TEXTS, reader, hook=eg.SteeringHook(d, alpha=alphas))
    small = eg.token_scores(tiny_model, TEXTS, reader, hook=eg.SteeringHook(d, alpha=alphas), batch_size=2)
    for i, text in enumerate(TEXTS):
        alone = eg.token_scores(tiny_model, [text], reader, hook=eg.SteeringHook(d, alpha=alphas[i]))
        np.testing.assert_allclose(together.scores[i], alone.scores[0], atol=1e-4)
        np.testing.assert_allclose(small.scores[i], alone.scores[0], atol=1e-4)


def test_reading_at_a_steered_layer_is_the_algebra_of_the_edit_and_says_so(tiny_llama):
    d = direction()
    plain = eg.token_scores(tiny_llama, TEXTS, d)
    steered = eg.token_scores(tiny_llama, TEXTS, d, hook=eg.SteeringHook(d, alpha=5.0))
    for a, b in zip(plain.scores, steered.scores, strict=True):
        np.testing.assert_allclose(b - a, 5.0, atol=1e-3)
    assert "by algebra" not in plain.note
    assert plain.note == ""
    assert "read at a steered layer" in steered.note
    assert steered.note in str(steered)
    assert steered.note in steered.to_html()
    later = eg.token_scores(tiny_llama, TEXTS, direction(2), hook=eg.SteeringHook(d, alpha=5.0))
    assert later.note == ""


def test_the_first_position_and_special_tokens_do_not_count(tiny_llama):
    found = eg.token_scores(
        tiny_llama, ["the pot<|im_end|>er"], direction(), reading=eg.ReadingDesign(control_tokens="control")
    )
    assert not found.counted[0][0]
    ended = found.tokens[0].index("<|im_end|>")
    assert not found.counted[0][ended]
    assert found.counted[0].sum() == len(found.tokens[0]) - 2
    inside = found.scores[0][found.counted[0]]
    assert found.means[0] == pytest.approx(inside.mean())


def test_labeled_texts_mark_the_response(tiny_llama):
    texts = eg.LabeledTexts(["abc I er pot"], ["a"], ["g"], prompts=["abc I"])
    found = eg.token_scores(tiny_llama, texts, direction())
    start, stop = found.spans[0]
    assert "".join(found.tokens[0][start:stop]).strip().endswith("er pot")
    assert "".join(found.tokens[0][1:start]).startswith("abc")
    assert found.to_frame()["in_span"].sum() == stop - start
    assert found.to_dict()["spans"] == [[start, stop]]


class _Text(HTMLParser):
    """Text of the token spans, and every tag."""

    def __init__(self):
        super().__init__()
        self.tags, self.text, self.depth = [], "", 0

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.depth += tag == "p" and ("class", "text") in attrs

    def handle_endtag(self, tag):
        self.depth -= tag == "p" and self.depth > 0

    def handle_data(self, data):
        self.text += data if self.depth else ""


def made(tokens, scores):
    scores = np.asarray(scores, dtype=float)
    counted = np.arange(len(tokens)) > 0
    return TokenScores((tuple(tokens),), (scores,), (counted,), ((1, len(tokens)),), "x", "u", 0.0, 3, "unsteered")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn")), max_size=6), min_size=1, max_size=6))
def test_html_shows_the_text_and_nothing_of_it_becomes_markup(texts):
    parser = _Text()
    parser.feed(made(["", *texts], np.arange(len(texts) + 1) - 1.0).to_html())
    assert parser.text == "".join(texts)
    assert "script" not in parser.tags


def test_html_is_self_contained_and_escaped():
    page = made(["", "<script>alert(1)</script>", '"&'], [0, 1, -1]).to_html()
    assert "&lt;script&gt;" in page
    assert "<script" not in page
    assert not re.search(r"(src|href)=|https?://|@import|url\(", page)
    assert 'name="viewport"' in page
    assert "color-scheme" in page
    assert "aria-label" in page
    fragment = as_html(made(["", "a"], [0, 1]), page=False)
    assert fragment.startswith("<style>")
    assert "<html" not in fragment


def test_colours_point_away_from_the_centre_and_stop_at_the_reach():
    page = made(["s", "up", "down", "mid"], [99, 2, -2, 0]).to_html()
    assert re.search(r"rgb\(217 119 6/0\.60\)\">up<", page)
    assert re.search(r'class="below" style="background:rgb\(33 102 172/0\.60\)">down<', page)
    assert re.search(r'/0\.00\)">mid<', page)
    assert re.search(r'title="does not count" class="outside plain">s<', page)


def test_terminal_colours_tell_above_from_below_and_fade_what_does_not_count(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    painted = as_terminal(made(["s", "up", "down", "mid"], [99, 2, -2, 0]), colour=True)
    red, green, blue = map(int, re.search(r"48;2;(\d+);(\d+);(\d+)mup", painted.replace("[up", "up")).groups())
    assert red > green > blue  # orange
    red, green, blue = map(int, re.search(r"48;2;(\d+);(\d+);(\d+)mdown", painted).groups())
    assert red < green < blue
    assert "48;2;255;255;255mmid" in painted
    assert "\x1b[2ms\x1b[0m" in painted
    assert "text 0: mean -0.000 over tokens 1 to 3" in painted.replace("+0.000", "-0.000")


def test_a_character_of_several_tokens_carries_all_its_scores_in_html():
    page = made(["", "", "", "难"], [0, 0.5, 0.25, 1.0]).to_html()
    assert 'title="does not count, +0.500, +0.250, +1.000"' in page


def test_the_terminal_has_aligned_columns_and_colour_only_when_asked(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    scores = made(["<s>", "I", " feel", " 难过", "\n", "", "🙂"], [50, 0.1, -0.2, 1.5, 0, 0.3, 0.4])
    plain = as_terminal(scores, colour=False)
    assert "\x1b" not in plain
    assert str(scores) == plain
    above, below = plain.splitlines()[-2:]
    assert above.split() == ["<s>", "[I", "feel", "难过", "↵", "·", "🙂]"]
    assert below.split() == [".", "+0.10", "-0.20", "+1.50", "+0.00", "+0.30", "+0.40"]
    assert _columns(above[: above.index("难")]) == below.index("+1.50") + 1
    painted = as_terminal(scores, colour=True)
    assert "\x1b[48" not in plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", painted) == plain
    monkeypatch.setenv("NO_COLOR", "1")
    assert as_terminal(scores, colour=True) == plain
    long = as_terminal(made(["s", *[f" word{i}" for i in range(60)]], np.zeros(61)), colour=False)
    assert max(map(len, long.splitlines())) <= 100


def test_control_characters_cannot_reach_the_terminal():
    assert "\x1b" not in as_terminal(made(["", "a\x1b[31mb", "\x07\u202e"], [0, 1, 1]), colour=False)


@pytest.mark.parametrize(
    ("scorer", "options", "error", "message"),
    [
        (direction(layer=None), {}, ValueError, "pass layer="),
        (direction(d_model=8), {}, ValueError, "width 8, the model d_model 16"),
        (direction(), {"units": "class_gap"}, ValueError, "knows its class_gap"),
        (direction(), {"layer": 7}, ValueError, "layer must be"),
        (direction(), {"units": "norms"}, ValueError, "units must be one of"),
        (eg.Probe(), {"layer": 1}, ValueError, "not fitted"),
        (torch.ones(16), {"layer": 1, "units": "class_gap"}, ValueError, "needs a ConceptDirection"),
        ("warm", {"layer": 1}, TypeError, "scorer must be a ConceptDirection"),
        (direction(), {"hook": eg.SteeringHook(direction(0), alpha=[1.0, 2.0])}, ValueError, "2 entries for 3 texts"),
    ],
)
def test_what_does_not_fit_is_named(tiny_llama, scorer, options, error, message):
    with pytest.raises(error, match=message):
        eg.token_scores(tiny_llama, TEXTS, scorer, **options)


def test_a_probe_of_three_classes_needs_a_class(tiny_llama):
    probe = eg.Probe("ridge").fit(np.random.default_rng(0).normal(size=(30, 16)), np.tile(["a", "b", "c"], 10))
    with pytest.raises(ValueError, match="has 3 classes; pass positive="):
        eg.token_scores(tiny_llama, TEXTS, probe, layer=1)
    with pytest.raises(ValueError, match="texts is empty"):
        eg.token_scores(tiny_llama, [], direction())
