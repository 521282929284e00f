"""Settings objects: names and values are checked when they are made, and a keyword that moved names its object."""

from dataclasses import dataclass

import pytest

import empathy_geometry as eg
from empathy_geometry.foundation.json_codec import to_json
from empathy_geometry.foundation.settings import Settings, takes_settings


@dataclass(frozen=True)
class Inner(Settings):
    n_prompts: int = 2


@dataclass(frozen=True)
class Outer(Settings):
    inner: Inner = Inner()
    n_draws: int = 9


@takes_settings(design=Outer, gone={"rng": "seed=..."})
def study(x: int, *, design: Outer = Outer(), seed: int = 0) -> tuple[int, int, int]:
    """A study."""
    return x, design.inner.n_prompts, seed


def test_a_moved_keyword_names_the_object_and_nothing_else_changes():
    assert study(1, design=Outer(Inner(3)), seed=4) == (1, 3, 4)
    assert study.__doc__ == "A study."
    with pytest.warns(FutureWarning, match=r"'n_draws' is no keyword any more; write design=Outer\(n_draws=...\)$"):
        assert study(1, n_draws=5, seed=4) == (1, 2, 4)
    with pytest.warns(FutureWarning, match="inner"):
        assert study(1, inner=Inner(7)) == (1, 7, 0)
    with pytest.raises(TypeError, match=r"got \['n_draws'\] beside design="):
        study(1, n_draws=5, design=Outer())
    for keyword, how in (
        ("n_prompts", r"design=Outer\(inner=Inner\(n_prompts=...\)\)"),
        ("rng", "seed=..."),
    ):
        with pytest.raises(TypeError, match=f"study has no keyword '{keyword}'; write {how}$"):
            study(1, **{keyword: 5})
    with pytest.raises(TypeError, match="study has no keyword 'other'; It has"):
        study(1, other=2)
    with pytest.raises(TypeError, match="no keyword 'sed'; did you mean 'seed'"):
        study(1, sed=2)
    with pytest.raises(TypeError, match="x must be"):
        takes_settings(x=Outer)(lambda x: x)(3)
    with pytest.raises(TypeError, match=r"design must be a Outer, got dict; try design=Outer\(\)"):
        study(1, design={"n_draws": 3})


DESIGNS = (
    eg.CausalDesign,
    eg.SearchDesign,
    eg.SweepDesign,
    eg.ReadingDesign,
    eg.SaeDesign,
    eg.BandwidthDesign,
    eg.ProfileDesign,
    eg.ConceptDesign,
    eg.ControlTexts,
    eg.AgreementDesign,
)


@pytest.mark.parametrize("kind", DESIGNS)
def test_every_design_is_frozen_names_typing_errors_and_goes_into_json(kind):
    design = kind()
    name = next(iter(design.to_dict()))
    with pytest.raises(AttributeError):
        setattr(design, name, 1)
    with pytest.raises(TypeError, match="has no setting 'n_promts'"):
        kind(n_promts=3)
    assert set(to_json(design.to_dict())) == set(kind.__dataclass_fields__)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: eg.ReadingDesign(date="tomorrow"), "date must be"),
        (lambda: eg.ReadingDesign(chat_template="yes"), "chat_template must be True or False"),
        (lambda: eg.ReadingDesign(outlier_tokens="drop"), "outlier_tokens must be one of"),
        (lambda: eg.SaeDesign(n_steps=0), "n_steps must be at least 1"),
        (lambda: eg.SaeDesign(k=1.5), "k must be a whole number"),
        (lambda: eg.SaeDesign(learning_rate=0.0), "learning_rate must be above 0"),
        (lambda: eg.BandwidthDesign(search={"n_prompts": 3}), "search must be a SearchDesign"),
        (lambda: eg.ProfileDesign(probe="logistic"), "probe must be a Probe or None"),
        (lambda: eg.BandwidthDesign(n_random=-1), "n_random must be at least 0"),
        (lambda: eg.AgreementDesign(n_splits=1), "n_splits must be at least 2"),
    ],
)
def test_a_bad_value_is_refused_when_the_object_is_made(make, match):
    with pytest.raises((TypeError, ValueError), match=match):
        make()


def test_keywords_of_before_mean_what_they_meant(tiny_llama, tmp_path):
    texts = eg.LabeledTexts([f"text {i} a" for i in range(8)], ["a", "b"] * 4, [i // 2 for i in range(8)])
    with pytest.warns(FutureWarning, match="'chat_template' is no keyword any more"):
        before = eg.extract_activations(tiny_llama, texts, chat_template=True, progress=False)
    now = eg.extract_activations(tiny_llama, texts, reading=eg.ReadingDesign(chat_template=True), progress=False)
    assert before.values.equal(now.values)
    with pytest.warns(FutureWarning, match="'store_dtype'"):
        kept = eg.extract_activations(tiny_llama, texts, store=tmp_path / "s", store_dtype="bfloat16", progress=False)
    assert len(kept) == 8
    direction = eg.ConceptDirection.from_activations(now, positive="a", negative="b", layer=1)
    how = {"max_new_tokens": 3, "progress": False}
    with pytest.warns(FutureWarning, match="'positions' is no keyword any more; write SteeringHook"):
        before = eg.steering_sweep(tiny_llama, direction, ["abc"], [2.0], positions="generated", **how)
    hook = eg.SteeringHook(direction, positions="generated")
    now = eg.steering_sweep(tiny_llama, hook, ["abc"], [2.0], **how)
    assert (before.texts, before.units, before.layers) == (now.texts, now.units, now.layers)
    with pytest.raises(TypeError, match="beside design="):
        eg.concept_study(tiny_llama, texts, design=eg.ConceptDesign(), causal=False)
