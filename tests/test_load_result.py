"""Results come back from their files as they were saved."""

import json
from dataclasses import replace

import numpy as np
import pytest
from small_result import signed, small_bandwidth, small_json

import empathy_geometry as eg
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.provenance import Provenance
from empathy_geometry.foundation.result_file import write_result
from empathy_geometry.studies.depth_profile import DepthProfile, LayerBandwidth
from empathy_geometry.studies.finding import Finding
from empathy_geometry.studies.planted_checks import Check
from empathy_geometry.studies.planted_study import PlantedRun
from empathy_geometry.studies.tripartite.result import Tripartite
from empathy_geometry.studies.tripartite.section import Section

MEASURED = Provenance("measured", model={"name": "m"}, texts={"t": "0"}, seed=3, settings={"layers": (1, 2)})


def finding(key: str) -> Finding:
    ours = Estimate(0.5, 0.25, float("inf"), n=3)
    return Finding(key, "claim", "-", "AUROC", ours, "words", "null", "supported", "rule")


@pytest.fixture(scope="module")
def results():
    return every_result()


def every_result():
    """One of each kind."""
    bandwidth = small_bandwidth()
    other = replace(bandwidth, provenance=replace(bandwidth.provenance, model={"name": "other"}))
    section = Section("length", "title", (finding("a"), finding("b")), {"x": np.array([1.0, np.nan])}, 1.25)
    e = Estimate(2.0, 1.0, 3.0)
    return [
        bandwidth,
        eg.compare({"a": bandwidth, "b": other}),
        Tripartite((section,), 3, "nested", MEASURED, ("warm", "plain"), {"causal": "no model"}),
        DepthProfile(
            "warm - plain",
            (LayerBandwidth("embed", e, None, None, None, None, None, "why"), LayerBandwidth(2, e, e, e, e, e, e)),
            "class_gap",
            MEASURED,
        ),
        PlantedRun(
            (Check("p", "q", 2.0, e), Check("p", "q", None, "words", "words")),
            Provenance("planted", model={"name": "x"}),
        ),
    ]


def test_every_kind_of_result_comes_back(results, tmp_path):
    for i, result in enumerate(results):
        path = write_result(tmp_path / f"{i}.json", result)
        back = eg.load_result(path)
        assert type(back) is type(result)
        assert back.to_dict() == result.to_dict()
        assert str(back) == str(result)
        assert repr(back) == repr(result)
        content = json.loads(path.read_text())
        assert content["type"] == type(result).__name__
        assert content["version"]["format"] == 1
        # And once more through a file.
        assert eg.load_result(write_result(path, back)).to_dict() == result.to_dict()


def test_what_came_back_is_as_good_as_what_was_saved(tmp_path):
    back = eg.load_result(write_result(tmp_path / "a.json", small_bandwidth()))
    assert write_result(tmp_path / "b.json", back).read_bytes() == (tmp_path / "a.json").read_bytes()
    contrasts = eg.compare({"a": small_bandwidth(), "b": back}, controls=False).contrasts
    assert {c.effect.value for c in contrasts if c.scale == "difference" and c.effect} == {0.0}


def test_a_file_that_holds_less_than_its_class_comes_back_as_it_was_written(tmp_path):
    content = small_json() | {"sae": {"verdict": "supported"}}
    (tmp_path / "b.json").write_text(signed(content))
    back = eg.load_result(tmp_path / "b.json")
    assert isinstance(back, eg.results.SavedResult)
    assert back.to_dict() == content
    assert (back.type, back.study, back.provenance.kind) == ("Bandwidth", "bandwidth", "measured")
    assert "evaluation / auroc" in str(back)


def test_files_that_nobody_signed_need_a_word(tmp_path):
    path = tmp_path / "b.json"
    path.write_text(json.dumps(small_json()))
    with pytest.raises(ValueError, match=r"b\.json has no checksum"):
        eg.load_result(path)
    assert eg.load_result(path, unsigned=True).to_dict() == small_json()
    path.write_text(signed(small_json()).replace('"format": 1', '"format": 2'))
    with pytest.raises(ValueError, match=r"b\.json is damaged or was changed"):
        eg.load_result(path, unsigned=True)
    with pytest.raises(FileNotFoundError):
        eg.load_result(tmp_path / "nowhere.json")


def test_newer_formats_and_wrong_types_are_named(tmp_path):
    path = tmp_path / "b.json"
    path.write_text(signed(small_json() | {"version": {"format": 2}}))
    with pytest.raises(ValueError, match=r"b\.json is of result format 2"):
        eg.load_result(path)
    content = small_json()
    del content["concept"]["sweep"]["alphas"]
    path.write_text(signed(content))
    with pytest.raises(
        ValueError, match=r"b\.json does not hold a Bandwidth .*: Bandwidth.concept.sweep lacks 'alphas'"
    ):
        eg.load_result(path)
