"""Any classes through the study: planted truth of two and of four, a user's JSONL, and no word of empathy."""

import inspect
import json

import numpy as np
import pytest
from tiny_models import tiny_bridge

import empathy_geometry as eg
from empathy_geometry.studies.tripartite import agreement, causal
from empathy_geometry.studies.tripartite.left_out import ABOUT_EMPATHY, left_out
from empathy_geometry.studies.tripartite.planted import planted_tripartite
from empathy_geometry.studies.tripartite.sets import study_texts

SMALL = {"n_scenarios": 24, "d_model": 24, "n_layers": 2, "n_permutations": 99, "progress": False}
TWO, FOUR = ("warm", "plain"), ("warm", "plain", "curt", "odd")


def quick(*sections, **given):
    return {"design": eg.ConceptDesign(sections=sections, n_permutations=19, **given), "progress": False}


@pytest.fixture(autouse=True)
def fewer_shuffles(monkeypatch):
    """Five of twenty, for time."""
    monkeypatch.setattr(agreement, "_SHUFFLES", 5)


@pytest.fixture(scope="module")
def model():
    return tiny_bridge("llama", n_ctx=1024, seed=3)


def own_texts(classes=TWO, n=12, *, neutral=False, words=8) -> eg.LabeledTexts:
    """Scenarios of random words, one of which tells the class."""
    rng = np.random.default_rng(0)
    names = [*classes, *(["neutral"] if neutral else [])]
    rows = [(f"s{i}", c) for i in range(n) for c in names]
    said = [" ".join([c, *(f"w{k}" for k in rng.integers(9, size=words - 1))]) for _, c in rows]
    return eg.LabeledTexts(said, [c for _, c in rows], [g for g, _ in rows], name="mine")


@pytest.mark.parametrize("classes", [TWO, FOUR])
def test_planted_classes_come_out_supported(classes, tmp_path):
    result = planted_tripartite(classes=classes, **SMALL)
    ways = "two-way" if classes == TWO else "four-way"
    supported = {
        f"accuracy {ways}",
        "null distribution",
        "length",
        "quartile 1",
        "quartile 4",
        "emergence",
        "emergence beyond words",
        "last token",
        "silhouette, centred within scenarios",
        "distances",
        "shuffled labels",  # the null holds
        "trained against random weights",
    }
    supported |= {f"classification {ways if classes == FOUR else 'warm - plain'}"}
    verdicts = result.verdicts
    if classes == FOUR:
        # Six distances from 24 scenarios: they are found, and their interval may just reach 0.
        supported -= {"distances"}
        assert verdicts["distances"] in ("supported", "cannot tell")
        assert float(result.finding("distances").ours) > 5
    assert {key: verdicts[key] for key in supported} == dict.fromkeys(supported, "supported")
    # Every two classes are a problem of their own, and no problem stands twice in the table.
    assert sum(key.startswith("classification") for key in verdicts) == (1 if classes == TWO else 7)
    assert result.finding("random weights").verdict != "not supported"
    if classes == FOUR:
        floor = result.finding("one-vs-rest cosines")
        assert floor.verdict == "not supported"
        assert float(floor.ours) == pytest.approx(-1 / 3, abs=0.05)
        assert "-1/3" in floor.rule
    else:
        assert "one-vs-rest cosines" not in verdicts  # -1 by construction
        assert "its negative" in result.finding("distances").note
    assert set(result.left_out) == set(ABOUT_EMPATHY)
    folder = result.save(tmp_path)
    text = (folder / "PLANTED_report.md").read_text()
    assert text.startswith("# PLANTED DATA, NOT A MEASUREMENT")
    assert f"## PLANTED DATA, NOT A MEASUREMENT: Concept study of {', '.join(classes)} in" in text
    for f in result.findings:
        assert f.reference == "-"
    lines = [f"{f.claim}; {f.quantity}; {f.rule}; {f.note}" for f in result.findings]
    lines += [s.title for s in result.sections]
    assert [x for x in lines if any(word in x for word in ("empath", "three", "response", "types"))] == []
    saved = json.loads((folder / "PLANTED_concept_study.json").read_text())
    assert (saved["study"], saved["concept"]["classes"]) == ("concept_study", list(classes))
    assert saved["left_out"] == result.left_out
    figures = [path.name for path in (folder / "figures").iterdir()]
    assert any("null_distribution" in name for name in figures), figures
    assert any("cosine" in name for name in figures) is (classes == FOUR), figures


@pytest.mark.parametrize("classes", [TWO, pytest.param(FOUR, marks=pytest.mark.slow)])
def test_shuffled_classes_do_not(classes):
    sections = ["classification", "length", "quartiles", "clusters", "cosines"]
    key = f"classification {'warm - plain' if classes == TWO else 'four-way'}"
    options = {"classes": classes, "labels": "shuffled", **SMALL}
    verdicts = planted_tripartite(sections=sections, **options).verdicts
    for name in (key, "null distribution", "silhouette, as they are"):
        assert verdicts[name] == "not supported", name
    assert "supported" not in verdicts.values()
    assert verdicts["length"] == "cannot tell"  # there is nothing that could survive
    # One seed in twenty is significant by chance, and even that is not more than words.
    more = [planted_tripartite(sections=[], seed=seed, **options).verdicts for seed in range(1, 5)]
    assert "supported" not in [v[key] for v in more]
    assert [v["null distribution"] for v in more].count("not supported") >= 3


def test_other_classes_run_and_resume_and_empathy_keeps_its_name(model, tmp_path):
    texts = own_texts(neutral=True)
    everything = eg.concept_study(model, texts, layer=0, **quick("length"))
    assert everything.classes == ("warm", "plain", "neutral")
    assert everything.finding("classification three-way").claim == "the three classes are told apart, beyond words"
    two = {"classes": ["plain", "warm"], "layer": 0, "folder": tmp_path / "run", **quick("cosines")}
    found = eg.concept_study(model, texts, **two)
    assert found.heading.startswith("Concept study of plain, warm in ")
    assert found.provenance.settings["classes"] == ["plain", "warm"]
    # The class beside those that are studied is what directions are measured from.
    assert found.section("cosines").numbers["pair"]["disattenuated"] is not None or "noise" in str(found)
    assert found.finding("independent directions").note == ""
    assert found.left_out == {}  # nobody asked for more
    assert eg.concept_study(model, texts, **two).findings == found.findings
    with pytest.raises(ValueError, match=r"another run \(settings.classes"):
        eg.concept_study(model, texts, **two | {"classes": ["warm", "plain"]})
    assert study_texts(eg.datasets.empathy_triplets(), classes=["affective", "instrumental", "cognitive"]).empathy
    some = study_texts(eg.datasets.empathy_triplets(), classes=["affective", "cognitive"])
    assert some.empathy is None
    assert some.has_neutral


def test_sections_that_these_texts_do_not_allow_say_why(model):
    design = eg.ConceptDesign(without=["causal", "random_weights"], n_permutations=19)
    short = eg.concept_study(model, own_texts(words=2), layer=0, design=design, progress=False)
    assert "random_weights" not in [s.name for s in short.sections]
    assert short.left_out["quartiles"] == "100% of the texts have fewer than 4 words, too few for quarters"
    assert "quartiles" not in [s.name for s in short.sections]
    assert "Left out" in str(short)
    formal = left_out(study_texts(eg.datasets.formality_pairs()))
    assert formal["formality"] == "formality is what is studied"


def test_of_two_classes_one_direction_is_tested_and_of_four_each(model, monkeypatch):
    asked = []

    def stop(model, directions, texts, **rest):
        asked.append((directions, texts.classes))
        raise KeyboardInterrupt

    monkeypatch.setattr(causal, "causal_effects", stop)
    for classes in (TWO, FOUR):
        with pytest.raises(KeyboardInterrupt):
            eg.concept_study(
                model,
                own_texts(classes, 20, neutral=True),
                classes=classes,
                layer=0,
                **quick("causal"),
            )
    assert asked[0] == ({"warm": ("warm", "plain")}, ("plain", "warm"))
    assert asked[1] == ({c: (c, "rest") for c in FOUR}, tuple(sorted(FOUR)))


def test_chance_is_the_share_of_the_largest_class():
    texts = own_texts()
    more = own_texts(("warm",), n=12)
    again = eg.LabeledTexts([f"{t} again" for t in more.texts], more.labels, more.groups)
    found = eg.concept_study(tiny_bridge("llama", seed=3), texts + again, layer=0, **quick("classification"))
    assert found.finding("accuracy two-way").null == "chance 0.667"
    assert "0.667, the share of the largest class" in found.finding("accuracy two-way").rule


def test_the_study_of_empathy_takes_what_that_of_any_concept_takes_but_for_the_classes():
    own, whole = (inspect.signature(study).parameters for study in (eg.concept_study, eg.tripartite))
    assert set(own) - set(whole) == {"classes"}
    shared = [name for name in whole if name != "texts"]  # which only the study of empathy has packaged
    assert {name: (own[name].kind, own[name].default) for name in shared} == {
        name: (whole[name].kind, whole[name].default) for name in shared
    }
