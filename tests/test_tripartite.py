"""The tripartite study: planted truth comes out, shuffled labels do not, and an interrupted run goes on."""

import json

import numpy as np
import pytest
from tiny_models import tiny_bridge

import empathy_geometry as eg
from empathy_geometry.causal.result import CausalEffect, CausalEffects, CausalVerdict
from empathy_geometry.causal.specificity import specificity_matrix
from empathy_geometry.foundation.json_codec import unpack
from empathy_geometry.foundation.table import markdown_text
from empathy_geometry.studies.tripartite import agreement, causal, planted
from empathy_geometry.studies.tripartite import run as whole
from empathy_geometry.studies.tripartite.planted import planted_tripartite
from empathy_geometry.studies.tripartite.section import Section

SMALL = {"n_scenarios": 20, "d_model": 24, "n_layers": 3, "n_permutations": 99, "progress": False}


def subset(texts: eg.LabeledTexts, n: int = 12) -> eg.LabeledTexts:
    return texts.where(group=list(dict.fromkeys(texts.groups.tolist()))[:n])


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """A planted run that was interrupted in every section, and how often each section was computed."""
    folder, computed = tmp_path_factory.mktemp("study"), []
    patch = pytest.MonkeyPatch()
    failed = set()

    def fragile(name, run):
        def once(setup):
            if name not in failed:
                failed.add(name)
                raise KeyboardInterrupt(name)
            computed.append(name)
            return run(setup)

        return once

    sections = {name: fragile(name, run) for name, run in whole.SECTIONS.items()}
    patch.setattr(whole, "SECTIONS", sections)
    patch.setattr(agreement, "_SHUFFLES", 5)  # of twenty, for time
    for name in sections:
        with pytest.raises(KeyboardInterrupt, match=name):
            planted_tripartite(folder=folder, **SMALL)
    result = planted_tripartite(folder=folder, **SMALL)
    patch.undo()
    # Twenty scenarios may be too few for an eraser that holds elsewhere; nothing may speak against the planted truth.
    for key in ("valence erased", "empathy without emotion", "emotion without empathy"):
        assert result.finding(key).verdict != "not supported"
        assert float(result.finding(key).ours) > 0.8
    return result, computed, folder


def test_planted_types_come_out_supported(truth):
    verdicts = truth[0].verdicts
    supported = {
        "classification three-way",
        "accuracy three-way",
        "null distribution",
        "formality erased",
        "length",
        "quartile 1",
        "quartile 4",
        "emergence",
        "emergence beyond words",
        "last token",
        "specific against valence-stripped",
        "specific against non-empathy",
        "purity, centred within scenarios",
        "agreement of seeds",
        "languages",
        "matched triplets",
        "trained against random weights",
    }
    assert {key: verdicts[key] for key in supported} == dict.fromkeys(supported, "supported")
    # Where folds of so few scenarios choose among layers, an interval of a pair may be too wide to tell.
    pairs = [v for key, v in verdicts.items() if key.startswith("classification") and " - " in key]
    assert len(pairs) == 3
    assert "not supported" not in pairs
    assert pairs.count("supported") >= 2


def test_planted_nulls_come_out_null(truth):
    result = truth[0]
    for key in ("valence-stripped control", "non-empathy control"):
        assert result.finding(key).verdict == "not supported"
    assert result.finding("shuffled labels").verdict == "supported"
    assert result.finding("random weights").verdict != "not supported"
    # Opposed or not, one-vs-rest cosines sit at their floor.
    assert result.finding("one-vs-rest cosines").verdict == "not supported"
    assert float(result.finding("one-vs-rest cosines").ours) == pytest.approx(-0.5, abs=0.06)


def test_every_section_resumes_after_a_failure_and_is_computed_once(truth):
    result, computed, folder = truth
    assert computed == list(whole.SECTIONS)
    assert [s.name for s in result.sections] == computed
    again = planted_tripartite(folder=folder, **SMALL)
    assert str(again) == str(result)
    with pytest.raises(ValueError, match=r"another run \(settings.n_permutations: 99 there, 98 now\)"):
        planted_tripartite(folder=folder, **SMALL | {"n_permutations": 98})
    path = folder / "steps" / "length.json"
    path.write_text(path.read_text().replace("0.9", "0.8", 1))
    with pytest.raises(ValueError, match=r"length.json is damaged"):
        planted_tripartite(folder=folder, **SMALL)


def test_planted_results_are_marked_everywhere(truth, tmp_path):
    result = truth[0]
    folder = result.save(tmp_path / "out")
    assert all(p.name.startswith("PLANTED_") for p in folder.rglob("*.*"))
    saved = json.loads((folder / "PLANTED_tripartite.json").read_text())
    assert (saved["study"], saved["provenance"]["kind"]) == ("tripartite", "planted")
    assert [unpack(Section, s).findings for s in saved["sections"]] == [s.findings for s in result.sections]
    text = (folder / "PLANTED_report.md").read_text()
    assert text.startswith("# PLANTED DATA, NOT A MEASUREMENT")
    assert all(markdown_text(f.claim) in text for f in result.findings)
    assert str(result).startswith("PLANTED DATA")
    assert len(list(folder.glob("figures/*.png"))) >= 5


def test_shuffled_labels_come_out_not_supported():
    sections = ["classification", "length", "matched", "languages"]
    verdicts = planted_tripartite(labels="shuffled", sections=sections, seed=1, **SMALL).verdicts
    for key in ("classification three-way", "null distribution", "matched triplets", "languages"):
        assert verdicts[key] == "not supported", key
    # There is nothing that could survive.
    assert verdicts["length"] == "cannot tell"


@pytest.fixture(scope="module")
def model():
    return tiny_bridge("llama", n_ctx=1024, seed=3)


@pytest.fixture(scope="module")
def options():
    d = eg.datasets
    controls = eg.ControlTexts(
        valence_stripped=subset(d.valence_stripped_controls()),
        non_empathy=subset(d.non_empathy_controls()),
        emotion=subset(d.emotion_statements()),
        formality=subset(d.formality_pairs()),
        matched=subset(d.matched_triplets()),
    )
    return {"controls": controls, "progress": False}


def quick(*sections, **given):
    return eg.ConceptDesign(sections=sections, n_permutations=19, **given)


def test_texts_of_ones_own_run_unchanged_and_extraction_is_not_repeated(model, options, tmp_path):
    items: dict[str, dict[str, str]] = {}
    for t in subset(eg.datasets.empathy_triplets()):
        item = items.setdefault(t.group, {"id": t.group, "scenario": t.prompt.removesuffix("\n\nResponse: ")})
        item[t.label] = t.text.removeprefix(t.prompt)
    (tmp_path / "mine.json").write_text(json.dumps({"triplets": list(items.values())}))
    texts = eg.LabeledTexts.from_json(tmp_path / "mine.json")
    assert texts.classes == ("affective", "cognitive", "instrumental")  # no neutral responses in that layout
    sections = ["emotion", "quartiles", "cosines", "random_weights"]
    result = eg.tripartite(model, texts, design=quick(*sections), folder=tmp_path / "run", **options)
    assert [s.name for s in result.sections] == ["classification", *sections]
    assert result.provenance.kind == "measured"
    assert result.provenance.texts["triplets"] == texts.sha256
    assert result.finding("independent directions").verdict == "cannot tell"  # without neutral responses
    folder = result.save(tmp_path / "out")
    assert json.loads((folder / "tripartite.json").read_text())["provenance"]["kind"] == "measured"
    # A later run with more sections reads the stores: none is written anew.
    stores = {p: p.stat().st_mtime_ns for p in (tmp_path / "run" / "activations").rglob("*") if p.is_file()}
    longer = eg.tripartite(model, texts, design=quick(*sections, "length"), folder=tmp_path / "run", **options)
    assert set(result.verdicts) < set(longer.verdicts)
    assert {p: p.stat().st_mtime_ns for p in stores} == stores
    with pytest.raises(ValueError, match="another run"):
        eg.tripartite(
            tiny_bridge("llama", n_ctx=1024, seed=4), texts, design=quick(), folder=tmp_path / "run", **options
        )


def test_a_layer_may_be_given_and_an_untrained_model_holds_the_null(model, options):
    texts = subset(eg.datasets.empathy_triplets(), 16)
    result = eg.tripartite(model, texts, layer=1, design=quick("random_weights"), **options)
    assert (result.layer, result.layer_choice) == (1, "given")
    assert result.finding("random weights").verdict != "not supported"
    # A model with random weights gains nothing over another one.
    assert result.finding("trained against random weights").verdict != "supported"


def test_causal_effects_enter_the_table_as_they_are(model, options, monkeypatch, tmp_path):
    asked = {}

    def answered(model, directions, texts, *, layer, **rest):
        asked.update(directions=directions, classes=texts.classes, layer=layer, n_layers=model.cfg.n_layers, rest=rest)
        return invented()

    monkeypatch.setattr(causal, "causal_effects", answered)
    texts = subset(eg.datasets.empathy_triplets(), 20)
    given = {
        "prompts": ["I lost my job.", "My dog is ill."],
        "markers": {"affective": ([" sorry"], [" fine"])},
        "prompt_baselines": {"cognitive": "Say what they think."},
    }
    arguments = options | {"design": quick("causal", causal=eg.CausalDesign(n_prompts=0, **given))}
    result = eg.tripartite(model, texts, layer=2, **arguments)
    assert asked["directions"]["affective"] == ("affective", "rest")
    assert asked["classes"] == ("affective", "cognitive", "instrumental")
    assert asked["layer"] == asked["n_layers"] - 2  # one block is left to see what the edit does
    assert {name: getattr(asked["rest"]["design"], name) for name in given} == given
    verdicts = result.verdicts
    assert verdicts["causal cognitive"] == "supported"
    assert verdicts["causal affective"] == "not supported"
    assert verdicts["causal instrumental"] == "cannot tell"
    assert verdicts["causal specificity, later layers"] == "supported"
    assert float(result.finding("causal cognitive").ours) == 0.9
    figures = [path.name for path in (result.save(tmp_path) / "figures").iterdir()]
    assert any("specificity" in name for name in figures), figures
    few = eg.tripartite(model, subset(eg.datasets.empathy_triplets()), **arguments)
    assert few.verdicts["causal cognitive"] == "cannot tell"
    assert "too few" in few.finding("causal cognitive").note


def test_markers_of_no_direction_are_named_before_any_work(model, options):
    texts = subset(eg.datasets.empathy_triplets(), 20)
    for name, value in (("markers", {"afective": (["a"], ["b"])}), ("prompt_baselines", {"afective": "x"})):
        with pytest.raises(ValueError, match=rf"{name} names \['afective'\], the directions are \['affective'"):
            eg.tripartite(model, texts, design=eg.ConceptDesign(causal=eg.CausalDesign(**{name: value})), **options)


def invented() -> CausalEffects:
    """A result in which one direction is causal, one is not, and one cannot be judged."""
    names = ("cognitive", "affective", "instrumental")
    verdicts = dict(zip(names, ("causal", "not causal", "cannot tell"), strict=True))
    controls = {"isotropic": np.zeros(20)}
    rows = tuple(
        CausalEffect(
            name, "sufficiency", readout, "add", eg.Estimate(v, v - 0.1, v + 0.1), controls, 0.05, None, None, ""
        )
        for name in names
        for readout, v in (("marker tokens", 0.9), ("later layers", 0.4))
    )
    own = specificity_matrix(
        np.eye(3)[:, :, None] + 0.05 * np.random.default_rng(0).standard_normal((3, 3, 8)), names, seed=0
    )
    return CausalEffects(
        rows=rows,
        verdicts={n: CausalVerdict(v, "supported", "supported", "because") for n, v in verdicts.items()},
        doses={},
        specificity={"later layers": own},
        readouts={},
        markers={},
        texts={},
        prompts=(),
        layer=1,
        readout_layers=(2,),
        alphas=(0.1,),
        units="residual_norm",
        lengths={},
        notes=(),
        provenance=eg.results.Provenance("measured"),
    )


def test_bad_input_is_named_before_anything_runs(model):
    triplets = eg.datasets.empathy_triplets()
    with pytest.raises(ValueError, match=r"lacks the class\(es\) \['polite'\]; it has \['casual', 'formal'\]"):
        eg.concept_study(model, eg.datasets.formality_pairs(), classes=["formal", "polite"])
    with pytest.raises(ValueError, match=r"two different classes at least, got \['formal'\]"):
        eg.concept_study(model, eg.datasets.formality_pairs(), classes=["formal"])
    with pytest.raises(TypeError, match="classes must be a list"):
        eg.concept_study(model, triplets, classes="cognitive")
    with pytest.raises(ValueError, match="emotion belong to the study of cognitive, affective, instrumental"):
        eg.concept_study(
            model, eg.datasets.humor_pairs(), controls=eg.ControlTexts(emotion=eg.datasets.emotion_statements())
        )
    with pytest.raises(ValueError, match="section 'languages' cannot be run: its parallel texts are of the three"):
        eg.concept_study(model, eg.datasets.humor_pairs(), design=quick("length", "languages"))
    with pytest.raises(TypeError, match="must be LabeledTexts"):
        eg.concept_study(model, "mine.jsonl")
    with pytest.raises(ValueError, match="at least 12 scenarios, got 5"):
        eg.tripartite(model, subset(triplets, 5))
    with pytest.raises(ValueError, match="1 lack one, such as"):
        eg.tripartite(model, triplets[slice(1, None)])
    with pytest.raises(ValueError, match="layer must be"):
        eg.tripartite(model, layer=99)
    with pytest.raises(ValueError, match="sections must be 'all' or some of"):
        eg.tripartite(model, design=quick("lenght"))
    with pytest.raises(ValueError, match="n_permutations must be at least 19"):
        eg.ConceptDesign(n_permutations=18)
    with pytest.raises(TypeError, match="must be LabeledTexts"):
        eg.tripartite(model, "texts.json")
    with pytest.raises(TypeError, match="must be a TransformerLens model"):
        eg.tripartite(object())
    with pytest.raises(ValueError, match=r"lacks the class\(es\) \['affective', 'cognitive', 'instrumental'\]"):
        eg.tripartite(model, eg.datasets.humor_pairs())
    with pytest.raises(ValueError, match="without must be some of"):
        eg.tripartite(model, design=eg.ConceptDesign(without=["classification"]))
    with pytest.raises(TypeError, match=r"try \['causal'\]"):
        eg.ConceptDesign(without="causal")
    with pytest.raises(TypeError, match="emotion must be LabeledTexts"):
        eg.ControlTexts(emotion="mine.json")
    with pytest.raises(FutureWarning, match=r"write design=ConceptDesign\(without=\['causal'\]\)"):
        eg.tripartite(model, causal=False)
    with pytest.raises(ValueError, match="labels must be one of"):
        planted.planted_tripartite(labels="wrong")
