"""`causal_effects` tells what drives a model from what can only be read, and refuses evidence that is none."""

import json
from html import unescape

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import tiny_bridge

import empathy_geometry as eg
from empathy_geometry.causal.design import CausalDesign
from empathy_geometry.causal.dose_response import dose_response
from empathy_geometry.causal.markers import choose_markers
from empathy_geometry.causal.preparation import _read_unedited
from empathy_geometry.causal.result import CausalEffect
from empathy_geometry.causal.scenario_split import split_scenarios
from empathy_geometry.causal.specificity import specificity_matrix
from empathy_geometry.causal.verdicts import combine, judge
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.result_file import write_result
from empathy_geometry.planted.texts import planted_neutral_texts, planted_texts
from empathy_geometry.planted.transformer import D_MODEL, LAYER, planted_model

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = {
    "n_markers": 5,
    "n_scenarios": 6,
    "n_prompts": 2,
    "max_new_tokens": 4,
    "neutral_texts": planted_neutral_texts(),
}
OPTIONS = {"design": CausalDesign(**SMALL), "progress": False}
SILENT = {"design": CausalDesign(**{**SMALL, "n_prompts": 0}), "progress": False}


@pytest.fixture(scope="module")
def planted():
    return planted_model()


@pytest.fixture(scope="module")
def texts():
    return planted_texts(30)


def random_direction(seed: int) -> eg.ConceptDirection:
    vector = torch.randn(D_MODEL, generator=torch.Generator().manual_seed(seed))
    return eg.ConceptDirection(vector, layer=LAYER, positive="first", negative="neutral")


@pytest.fixture(scope="module")
def result(planted, texts):
    model, truth = planted
    directions = {name: truth.directions[name] for name in truth.causal}
    directions |= {f"random {i}": random_direction(i) for i in range(3)}
    return eg.causal_effects(model, directions, texts, controls={"breaks": truth.directions["breaks"]}, **OPTIONS)


def test_what_drives_is_causal_and_what_is_only_read_is_not(planted, result):
    for name, causal in planted[1].causal.items():
        assert result.verdicts[name].verdict == ("causal" if causal else "not causal"), str(result)
    assert result.verdicts["read_only"].reason == "not sufficient, not necessary"


def test_a_random_vector_moves_its_own_probe_and_is_not_causal(planted, texts, result):
    model, acts = planted[0], []
    for alpha in (0.0, result.lengths["random 0"]):
        with eg.SteeringHook(random_direction(0), alpha=alpha).attached(model):
            acts.append(eg.extract_activations(model, texts[:6], layers=[LAYER], position="mean", progress=False))
    before, after = (random_direction(0).project(a.layer(LAYER)) for a in acts)
    torch.testing.assert_close(after - before, torch.full((6,), result.lengths["random 0"]), atol=1e-3, rtol=1e-3)
    assert all(result.verdicts[f"random {i}"].verdict == "not causal" for i in range(3))


def test_a_direction_that_is_nearly_inert_is_not_called_what_the_driver_is(planted, texts):
    """98 % of what is read only and 20 % of what drives beats every random direction, and moves a fifth."""
    model, truth = planted
    mixed = 0.98 * truth.directions["read_only"].vector + 0.2 * truth.directions["drives"].vector
    mixture = eg.ConceptDirection(mixed, layer=LAYER, positive="first", negative="neutral")
    found = eg.causal_effects(model, {"drives": truth.directions["drives"], "mixture": mixture}, texts, **SILENT)
    assert found.verdicts["drives"].verdict == "causal"
    assert found.verdicts["mixture"].verdict != "causal"
    added = {d: max(r.share.value for r in found.of(d) if r.test == "sufficiency" and r.share) for d in found.verdicts}
    assert added["mixture"] < 0.5 * added["drives"]


def test_every_effect_has_an_interval_and_its_controls(result):
    assert all(verdict.reason in unescape(result._repr_html_()) for verdict in result.verdicts.values())
    assert {r.test for r in result.rows} == {"sufficiency", "necessity", "damage", "prompt baseline"}
    for row in result.rows:
        if row.effect.low is None:  # an interval of no width would claim too much
            assert row.effect.method == "no interval: all scenarios alike"
        else:
            assert row.effect.low <= row.effect.value <= row.effect.high
        if row.test in ("sufficiency", "necessity"):
            assert len(row.controls["isotropic"]) == 20
            assert 1 / 21 - 1e-9 <= row.pvalue <= 1
            assert len(row.controls["breaks"]) == 1
        if row.readout in ("marker tokens", "later layers"):
            assert len(row.controls["shuffled labels"]) == 20


def test_the_table_shows_the_range_of_all_draws_of_a_control(result):
    table = next(t for t in result.tables() if t.title == "Tests")
    for row, cells in zip(result.rows, table.rows, strict=True):
        line = " ".join(cells)
        assert row.direction in line
        assert f"{row.test}, {row.readout}, {row.operation}" in line
        for kind, values in row.controls.items():
            low, middle, high = np.percentile(values, [5, 50, 95])
            shown = f"{values[0]:.3f}" if len(values) == 1 else f"{middle:.3f} [{low:.3f}, {high:.3f}]"
            assert f"{kind} {shown}" in line
            if kind == "isotropic" and row.test == "sufficiency" and row.readout in ("marker tokens", "later layers"):
                assert len(np.unique(values)) > 1


def test_the_markers_that_were_planted_are_found_in_the_data(planted, result):
    more, less = planted[1].markers["first"]
    up, down = result.markers["drives"]
    assert set(up) <= set(more)
    assert set(down) <= set(less)


def test_the_dose_response_is_steep_for_what_drives_and_flat_for_what_does_not(result):
    drives, read_only = (result.doses[name]["marker tokens"] for name in ("drives", "read_only"))
    assert drives.slope.low > 10
    assert (drives.opposed, drives.spearman.value) == (0.0, 1.0)
    assert abs(read_only.slope.value) < 0.01


def test_the_specificity_matrix_is_diagonal_where_the_concepts_are(planted, texts):
    model, truth = planted
    two = {name: truth.directions[name] for name in ("drives", "drives_second")}
    found = eg.causal_effects(model, two, texts, **SILENT)
    matrix = found.specificity["marker tokens"]
    assert matrix.names == ("drives", "drives_second")
    assert matrix.values[0, 0] > 3 > 0.2 > abs(matrix.values[0, 1])
    assert matrix.values[1, 1] > 3 > 0.2 > abs(matrix.values[1, 0])
    assert matrix.pvalue < 0.05
    assert not found.texts
    assert {r.readout for r in found.rows} == {"marker tokens", "later layers", "neutral text"}


def test_directions_estimated_here_share_no_scenario_with_readouts_or_tests(planted, texts):
    split = split_scenarios(texts, {"a": ("first", "rest")}, for_directions=True, direction_texts=None, seed=3)
    parts = [set(part.groups) for part in (split.directions, split.readouts, split.test)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 30
    found = eg.causal_effects(planted[0], {"first": ("first", "neutral")}, texts, layer=LAYER, **OPTIONS)
    assert found.verdicts["first"].verdict == "causal"
    assert not any("could not be checked" in note for note in found.notes)


@pytest.mark.parametrize("layers", [(0, 2), ("embed", 1)])
def test_readouts_see_what_extraction_sees(tiny_model, layers):
    texts = planted_texts(3)
    acts, likely = _read_unedited(tiny_model, texts, layers, logits=False, bar=False)
    plain = eg.extract_activations(
        tiny_model, texts, layers=list(layers), position="response_mean", progress=False, share_prefixes=False
    )
    torch.testing.assert_close(acts.values, plain.values, atol=1e-4, rtol=1e-4)
    assert likely is None


def test_scenarios_of_given_directions_are_left_out(texts):
    known = texts.where(group=[f"planted-{i:03d}" for i in range(10)])
    contrasts = {"a": ("first", "neutral")}
    split = split_scenarios(texts, contrasts, for_directions=False, direction_texts=known, seed=0)
    assert not (set(split.readouts.groups) | set(split.test.groups)) & set(known.groups)
    assert any("10 scenarios were left out" in note for note in split.notes)
    with pytest.raises(ValueError, match="needs about 10 scenarios"):
        split_scenarios(texts, contrasts, for_directions=False, direction_texts=texts, seed=0)


def test_the_result_is_planted_json_table_and_frame(result, tmp_path):
    assert result.provenance.kind == "planted"
    back = eg.load_result(write_result(tmp_path / "causal.json", result))
    assert back.to_dict() == result.to_dict()
    assert str(back) == str(result)
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["verdicts"]["drives"]["verdict"] == "causal"
    assert str(result).startswith("PLANTED DATA, NOT A MEASUREMENT")
    assert result.tables()[0].rows[0][:2] == ("drives", "causal")
    frame = result.to_frame()
    assert len(frame) == len(result.rows)
    assert set(frame[frame.direction == "drives"].verdict) >= {"supported"}
    assert len(result.of("drives")) == len(result.rows) / 6
    with pytest.raises(ValueError, match="direction must be one of"):
        result.of("nothing")


def test_it_repeats_with_its_seed(planted, texts):
    options = {**SILENT, "seed": 5}
    one, two = (
        eg.causal_effects(planted[0], planted[1].directions["drives"], texts, **options).to_dict() for _ in range(2)
    )
    one.pop("provenance"), two.pop("provenance")
    assert one == two


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_an_untrained_model_has_no_causal_concept(kind):
    model = tiny_bridge(kind, n_ctx=1024)
    texts = eg.datasets.formality_pairs()
    some = texts.where(group=np.unique(texts.groups)[:24].tolist())
    found = eg.causal_effects(
        model,
        {"formal": ("formal", "casual")},
        some,
        layer=0,
        design=CausalDesign(
            markers={"formal": (["{", "}", "|"], ["^", "~"])}, n_scenarios=4, n_prompts=2, max_new_tokens=2
        ),
        progress=False,
    )
    assert found.verdicts["formal"].verdict != "causal"
    assert found.provenance.kind == "measured"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"readout_layers": [LAYER]}, "no evidence for an edit at layer 1"),
        ({"readout_layers": [0]}, "no evidence for an edit at layer 1"),
        ({"readout_layers": [9]}, "indices from 0 to 3"),
        ({"readout_layers": []}, "name at least one layer, and each once"),
        ({"layer": 3}, "must be of one layer"),
        ({"alphas": [-1.0]}, "one of them above zero"),
        ({"alphas": [float("nan")]}, "one of them above zero"),
        ({"units": "metres"}, "units must be one of"),
        ({"units": "class_gap", "alphas": [1.0]}, "knows its class_gap"),
        ({"units": "class_gap"}, "needs alphas="),
        ({"n_random": 19}, "n_random must be at least 20"),
        ({"n_shuffled": 5}, "n_shuffled too or 0"),
        ({"n_scenarios": 3}, "n_scenarios must be at least 4"),
        ({"n_prompts": 1}, "n_prompts must be 0 or at least 2"),
        ({"prompts": ["one prompt"]}, "two strings at least"),
        ({"prompts": "one prompt"}, "two strings at least"),
        ({"prompts": ["fine", " "]}, "strings with words"),
        ({"neutral_texts": ["one"]}, "two texts at least"),
        ({"markers": {"other": (["a"], ["b"])}}, r"markers names \['other'\]"),
        ({"markers": {"first": (["unheard words"], ["b"])}}, "is 2 tokens"),
        ({"markers": {"first": (["firstba"], ["stuck"])}}, "occurs in the texts"),
        ({"markers": {"first": (["stuck"], ["stuck"])}}, "on both sides"),
        ({"markers": {"first": ("stuck", ["stuck"])}}, "two non-empty sequences"),
        ({"prompt_baselines": {"other": "x"}}, r"prompt_baselines names \['other'\]"),
        ({"n_markers": 500}, "Lower n_markers"),
    ],
)
def test_bad_options_are_named(planted, texts, change, message):
    direction = planted[1].directions["drives"]
    settings = {k: v for k, v in change.items() if k in CausalDesign.__dataclass_fields__}
    given = {k: v for k, v in change.items() if k not in settings}
    with pytest.raises(ValueError, match=message):
        eg.causal_effects(
            planted[0], direction, texts, design=CausalDesign(**{**SMALL, **settings}), progress=False, **given
        )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_promts": 3}, "CausalDesign has no setting 'n_promts'; did you mean 'n_prompts'"),
        ({"alpha": [1.0]}, "did you mean 'alphas'"),
        ({"zzz": 1}, "no setting 'zzz'; It has alphas"),
        ({"n_prompts": 2.5}, "n_prompts must be a whole number"),
        ({"n_random": True}, "n_random must be a whole number"),
        ({"probe": "logistic"}, "probe must be a Probe"),
    ],
)
def test_misspelt_and_mistyped_settings_are_named_when_they_are_made(settings, message):
    with pytest.raises(TypeError, match=message):
        CausalDesign(**settings)
    with pytest.raises(ValueError, match="max_new_tokens must be at least 1"):
        CausalDesign(max_new_tokens=0)


def test_a_dictionary_is_no_design(planted, texts):
    with pytest.raises(TypeError, match="design must be a CausalDesign"):
        eg.causal_effects(planted[0], planted[1].directions["drives"], texts, design={"n_prompts": 0})
    with pytest.raises(TypeError, match="causal must be a CausalDesign"):
        eg.ConceptDesign(causal={"n_promts": 3})


def test_bad_directions_are_named(planted, texts):
    model, truth = planted

    def run(directions, **change):
        return eg.causal_effects(model, directions, texts, **{**OPTIONS, **change})

    with pytest.raises(ValueError, match="of another model"):
        run(eg.ConceptDirection(torch.ones(4), layer=1, positive="first", negative="neutral"))
    with pytest.raises(ValueError, match="does not occur among the labels"):
        run(eg.ConceptDirection(torch.ones(D_MODEL), layer=1, positive="warm", negative="neutral"))
    with pytest.raises(ValueError, match="try 'rest'"):
        run({"a": ("first", "cold")}, layer=1)
    with pytest.raises(ValueError, match="must differ"):
        run({"a": ("first", "first")}, layer=1)
    with pytest.raises(ValueError, match="is the last of 4"):
        run({"a": ("first", "neutral")}, layer=3)
    with pytest.raises(ValueError, match=r"Pass layer=\.\.\."):
        run({"a": ("first", "neutral")})
    with pytest.raises(ValueError, match="directions is empty"):
        run({})
    with pytest.raises(TypeError, match="ConceptDirection or a pair"):
        run({"a": torch.ones(D_MODEL)})
    with pytest.raises(ValueError, match="has the name of a direction"):
        run({"a": truth.directions["drives"]}, controls={"a": truth.directions["breaks"]})
    with pytest.raises(ValueError, match="of another model"):
        run(truth.directions["drives"], controls={"narrow": eg.ConceptDirection(torch.ones(4), layer=1)})
    with pytest.raises(ValueError, match="was made on another model"):
        eg.causal_effects(planted_model(seed=1)[0], truth.directions["drives"], texts, **OPTIONS)
    with pytest.raises(TypeError, match="must be LabeledTexts"):
        eg.causal_effects(model, truth.directions["drives"], ["a text"], **OPTIONS)
    with pytest.raises(TypeError, match="TransformerLens model"):
        eg.causal_effects(torch.nn.Linear(2, 2), truth.directions["drives"], texts, **OPTIONS)
    with pytest.raises(ValueError, match="there are 8"):
        run(truth.directions["drives"], direction_texts=planted_texts(22))


def test_a_prompt_from_a_fitted_scenario_is_refused(planted, texts):
    split = split_scenarios(texts, {"a": ("first", "neutral")}, for_directions=False, direction_texts=None, seed=0)
    seen = split.readouts.prompts[0].split("\n")[0]
    with pytest.raises(ValueError, match="part of a text that directions or probes were fitted to"):
        eg.causal_effects(
            planted[0],
            planted[1].directions["drives"],
            texts,
            design=CausalDesign(**SMALL, prompts=[seen, "baba"]),
            progress=False,
        )


def test_judge_needs_consistency_controls_and_a_readout_that_works():
    works = Estimate(0.9, 0.8, 0.97)
    assert judge(Estimate(1.0, 0.5, 1.5), 0.048, works)[0] == "supported"
    assert judge(Estimate(1.0, -0.5, 2.5), 0.048, works)[0] == "cannot tell"
    assert judge(Estimate(1.0, 0.5, 1.5), 0.1, works)[0] == "cannot tell"
    assert judge(Estimate(1.0, 0.5, 1.5), 0.3, works)[0] == "not supported"
    assert judge(Estimate(-1.0, -1.5, -0.5), 1.0, works)[0] == "not supported"
    assert judge(Estimate(1.0, 0.5, 1.5), 0.048, Estimate(0.6, 0.45, 0.75))[0] == "cannot tell"
    assert judge(Estimate(1.0, None, None), 0.048, works)[0] == "cannot tell"


def row(test: str, readout: str, operation: str, verdict: str, note: str = "") -> CausalEffect:
    return CausalEffect("d", test, readout, operation, Estimate(0.0), {}, None, None, None, verdict, note)


BLIND = "the readout does not tell the classes apart on unedited texts"


@pytest.mark.parametrize(
    ("sufficiency", "necessity", "verdict", "reason"),
    [
        (["supported", "supported"], ["supported", "supported"], "causal", "sufficient, necessary"),
        (["supported", "supported"], ["not supported", "not supported"], "not causal", "sufficient, not necessary"),
        (["cannot tell", "not supported"], ["supported", "supported"], "not causal", "not sufficient, necessary"),
        (
            ["supported", "not supported"],
            ["supported", "supported"],
            "cannot tell",
            "sufficient: cannot tell, necessary",
        ),
        (["supported", BLIND], ["supported", BLIND], "causal", "sufficient, necessary"),
        ([BLIND, BLIND], [BLIND, BLIND], "cannot tell", "sufficient: cannot tell, necessary: cannot tell"),
    ],
)
def test_causal_needs_both_sides_on_every_readout_that_works(sufficiency, necessity, verdict, reason):
    rows = [row("sufficiency", "written text", "add", "not supported"), row("damage", "neutral text", "add", "")]
    for test, operation, said in (("sufficiency", "add", sufficiency), ("necessity", "mean_ablate", necessity)):
        for readout, what in zip(("marker tokens", "later layers"), said, strict=True):
            blind = what == BLIND
            rows.append(row(test, readout, operation, "cannot tell" if blind else what, BLIND if blind else ""))
        rows.append(row(test, "later layers", "ablate", "not supported"))
    rows = [r for r in rows if (r.test, r.operation) != ("sufficiency", "ablate")]
    found = combine(rows)
    assert (found.verdict, found.reason) == (verdict, reason)


@settings(max_examples=20, deadline=None)
@given(slope=st.floats(-5, 5), seed=st.integers(0, 100))
def test_a_linear_dose_response_is_recovered(slope, seed):
    alphas = np.array([0.2, -0.1, 0.0, 0.1, -0.2])
    offsets = np.random.default_rng(seed).normal(size=6)
    found = dose_response(alphas, slope * alphas[:, None] + offsets)
    assert found.slope.value == pytest.approx(slope, abs=1e-9)
    assert found.alphas.tolist() == sorted(alphas)
    if abs(slope) > 0.1:  # without a slope all scenarios agree on nought, and there is no interval
        assert -1 <= found.spearman.low <= found.spearman.high <= 1
        assert found.spearman.value == pytest.approx(np.sign(slope))
        assert found.opposed == float(slope < 0)


def test_the_specificity_test_keeps_its_level_under_the_null():
    """Directions that are exchangeable within scenarios are called specific about as often as the level says."""
    rng = np.random.default_rng(0)
    pvalues = [
        specificity_matrix(rng.normal(size=(3, 3, 8)), ("a", "b", "c"), n_permutations=199, seed=i).pvalue
        for i in range(200)
    ]
    assert 0.01 <= np.mean(np.array(pvalues) <= 0.05) <= 0.1


def test_markers_are_the_allowed_words_that_differ_most_reliably():
    rng = np.random.default_rng(0)
    labels, groups = np.tile(["p", "n"], 12), np.repeat(np.arange(12), 2)
    values = rng.normal(size=(24, 9))
    values[labels == "p", 4] += 5
    values[labels == "p", 7] -= 5
    values[labels == "p", 8] += 9

    class Words:
        def batch_decode(self, ids):
            return [str(i[0]) for i in ids]

    options = {"positive": "p", "negatives": ["n"], "n": 1, "tokenizer": Words()}
    found = choose_markers(torch.tensor(values), labels, groups, allowed=range(8), **options)
    assert (found.positive, found.negative, found.words) == ((4,), (7,), (("4",), ("7",)))
    with pytest.raises(ValueError, match="only 1 words"):
        choose_markers(torch.tensor(values), labels, groups, allowed=[3], **options)
