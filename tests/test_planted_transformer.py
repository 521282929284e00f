"""The planted transformer does what it says, so that studies can be held against it."""

import numpy as np
import pytest
import torch
from tiny_models import tiny_bridge

import empathy_geometry as eg
from empathy_geometry.foundation.provenance import Provenance, kind_of
from empathy_geometry.generation.continuations import generate
from empathy_geometry.models.identity import model_identity
from empathy_geometry.models.random_weights import randomise_weights
from empathy_geometry.planted.texts import planted_neutral_texts, planted_prompts, planted_texts
from empathy_geometry.planted.transformer import LAYER, planted_model
from empathy_geometry.steering.range import steering_range
from empathy_geometry.steering.sweep import steering_sweep

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def planted():
    return planted_model()


@pytest.fixture(scope="module")
def acts(planted):
    return eg.extract_activations(planted[0], planted_texts(24), position="response_mean", progress=False)


def test_its_name_says_planted_and_a_seed_gives_the_same_weights_twice(planted):
    identity = model_identity(planted[0])
    assert identity["name"].startswith("planted")
    assert identity["fingerprint"] == model_identity(planted_model()[0])["fingerprint"]
    assert identity["fingerprint"] != model_identity(planted_model(seed=1)[0])["fingerprint"]


@pytest.mark.parametrize("name", ["drives", "read_only"])
def test_both_directions_read_the_class_perfectly(planted, acts, name):
    direction = planted[1].directions[name]
    two = acts.where(label=["first", "neutral"])
    projections = direction.project(two.layer(LAYER))
    assert float(eg.auroc(projections, two.labels == "first", groups=two.groups)) == planted[1].auroc == 1.0


def test_what_is_read_only_stays_in_the_stream_to_the_end(planted, acts):
    """So that an ordinary probe at a later layer would move with it, by algebra."""
    two = acts.where(label=["first", "neutral"])
    projections = planted[1].directions["read_only"].project(two.layer(3))
    assert float(eg.auroc(projections, two.labels == "first", groups=two.groups)) == 1.0


def test_only_what_drives_moves_the_marker_words(planted):
    model, truth = planted
    more, less = (model.tokenizer.convert_tokens_to_ids(list(side)) for side in truth.markers["first"])
    ids = model.to_tokens(planted_prompts(1)[0])

    def odds(alpha: float, name: str) -> float:
        with torch.no_grad(), eg.SteeringHook(truth.directions[name], alpha=alpha).attached(model):
            logits = model(ids)[0, -1]
        return float(logits[more].logsumexp(0) - logits[less].logsumexp(0))

    assert abs(odds(0.0, "drives")) < 1e-4
    assert odds(3.0, "drives") > 2
    assert odds(-3.0, "drives") < -2
    assert abs(odds(3.0, "read_only")) < 1e-4
    assert abs(odds(3.0, "drives_second")) < 1e-4


@pytest.mark.parametrize("offset", [-0.01, 0.01])
def test_text_breaks_at_the_exact_alpha_of_each_prompt(planted, offset):
    model, truth = planted
    prompts = planted_prompts(8)
    for prompt, alpha in zip(prompts, truth.crossing_of(prompts), strict=True):
        hook = eg.SteeringHook(truth.directions["breaks"], alpha=float(alpha) + offset)
        written = generate(model, [prompt], max_new_tokens=12, edit=lambda batch, hook=hook: hook.attached(model))
        words = written.texts[0].split()
        if offset > 0:
            assert words == ["stuck"] * 12
        else:
            assert len(set(words)) == 12


def test_steering_range_recovers_the_crossing_and_marks_the_censored_one(planted):
    model, truth = planted
    prompts = planted_prompts(8)
    grid = np.arange(0.5, 20.0, 0.5)
    options = {
        "units": "raw",
        "max_new_tokens": 12,
        "design": eg.SweepDesign(neutral_texts=planted_neutral_texts()),
        "progress": False,
    }
    found = steering_range(steering_sweep(model, truth.directions["breaks"], prompts, grid, **options))
    # A quarter of the prompts breaks at each crossing; the mean falls below 0.7 at the second.
    exact = sorted(set(truth.crossings))[1]
    assert found.censored is None
    assert found.low <= exact <= found.high
    assert exact - 0.5 <= found.value <= exact
    never = steering_range(steering_sweep(model, truth.directions["read_only"], prompts, grid, **options))
    assert (never.censored, never.value) == ("right", grid[-1])


def test_one_prompt_breaks_where_its_chain_does(planted):
    model, truth = planted
    for prompt, exact in zip(planted_prompts(4), truth.crossings, strict=True):
        sweep = steering_sweep(
            model,
            truth.directions["breaks"],
            [prompt],
            exact + np.array([-0.2, -0.1, 0.1, 0.2]),
            units="raw",
            max_new_tokens=12,
            design=eg.SweepDesign(neutral_texts=()),
            progress=False,
        )
        assert exact - 0.1 <= steering_range(sweep).value <= exact + 0.1


def test_texts_differ_between_classes_in_their_class_words_only():
    texts = planted_texts(8)
    for group in np.unique(texts.groups):
        rows = texts.where(group=group)
        stripped = {
            tuple(w for w in r.split() if not w.startswith(("first", "second", "neutral"))) for r in rows.responses
        }
        assert len(rows) == 3
        assert len(stripped) == len(set(rows.prompts)) == 1
    assert set(texts.families) == {"a", "b"}
    with pytest.raises(ValueError, match="at least 1"):
        planted_texts(0)


def test_a_prompt_that_ends_outside_a_chain_is_named(planted):
    with pytest.raises(ValueError, match="must end in a word of a chain"):
        planted[1].crossing_of(["hello there"])


def test_planted_is_what_says_so_and_not_what_is_called_so(monkeypatch):
    model, _ = planted_model()
    assert kind_of(model_identity(model)) == "planted"
    model.cfg.model_name = "acme/llama"
    assert kind_of(model_identity(model)) == "planted"
    assert kind_of(model_identity(randomise_weights(model, 0))) == "planted"
    acts = eg.extract_activations(model, planted_texts(2), layers=[LAYER], progress=False)
    assert acts.provenance.kind == "planted"
    trained = tiny_bridge("llama", n_ctx=1024)
    for name in ("acme/transplanted-llama", "planted", "Planted-by-name/model"):
        monkeypatch.setattr(trained.cfg, "model_name", name)
        assert kind_of(model_identity(trained)) == "measured"
    assert kind_of(None, {}, Provenance("measured"), {"planted": "yes"}) == "measured"
    assert kind_of({"name": "x"}, Provenance("planted")) == "planted"
