"""The main job end to end on a tiny model: everything is there, follows the texts, and repeats with its seed."""

import json
from dataclasses import replace

import numpy as np
import pytest
from tiny_models import tiny_bridge

import empathy_geometry as eg
from empathy_geometry.foundation.provenance import Provenance

SEARCH = eg.SearchDesign(n_prompts=4, max_new_tokens=5, units="residual_norm")
OPTIONS = {"design": eg.BandwidthDesign(search=SEARCH, n_permutations=19), "progress": False}


def subset(texts: eg.LabeledTexts, per_context: int) -> eg.LabeledTexts:
    kept = [g for c in np.unique(texts.contexts) for g in np.unique(texts.groups[texts.contexts == c])[:per_context]]
    return texts.where(group=kept)


@pytest.fixture(scope="module")
def model():
    return tiny_bridge("llama", n_ctx=1024)


@pytest.fixture(scope="module")
def result(model):
    texts, control = subset(eg.datasets.empathy_pairs(), 5), subset(eg.datasets.formality_pairs(), 3)
    return eg.measure_bandwidth(model, texts, control=control, **OPTIONS)


def test_bandwidth_is_the_product_of_its_factors(result):
    c = result.concept
    assert float(result.bandwidth) == pytest.approx(
        float(c.dimensionality.participation_ratio) * float(c.range_positive)
    )
    assert result.control.name == "formal - casual"
    assert set(result.random) == {"isotropic 1", "covariance-matched 1", "shuffled labels 1"}
    assert result.layer in result.evaluation.chosen_layers
    assert 0 < result.permutation.pvalue <= 1
    assert len(result.transfer.names) == 5


def test_steering_prompts_come_from_scenarios_that_the_direction_has_not_seen(result):
    texts = subset(eg.datasets.empathy_pairs(), 5)
    groups = {t.group for t in texts if t.text in result.concept.sweep.prompts}
    assert len(groups) == SEARCH.n_prompts
    assert result.concept.direction.quality.n_scenarios == 25 - SEARCH.n_prompts
    assert all(t.label == "neutral" for t in texts if t.text in result.concept.sweep.prompts)


def test_files_hold_the_same_numbers_and_say_where_they_come_from(result, tmp_path):
    folder = result.save(tmp_path / "out")
    saved = json.loads((folder / "bandwidth.json").read_text())
    assert saved["provenance"]["kind"] == "measured"
    assert len(saved["provenance"]["model"]["fingerprint"]) == 32
    assert saved["provenance"]["texts"] == dict(result.provenance.texts)
    assert saved["concept"]["bandwidth"]["value"] == float(result.bandwidth)
    assert str(result.bandwidth) in (folder / "report.md").read_text().replace("\\", "")
    assert {p.stem for p in folder.glob("figures/*.png")} >= {
        f"bandwidth_{name}"
        for name in ("layer_emergence_permutation", "coherence_curve_concept_sweep", "transfer_transfer")
    }


def test_the_seed_repeats_it_and_other_texts_change_it(model, result):
    texts = subset(eg.datasets.empathy_pairs(), 5)
    again = eg.measure_bandwidth(model, texts, **OPTIONS)
    assert float(again.bandwidth) == float(result.bandwidth)
    assert again.evaluation.auroc == result.evaluation.auroc
    other = eg.measure_bandwidth(model, subset(eg.datasets.humor_pairs(), 4), **OPTIONS)
    assert float(other.bandwidth) != float(result.bandwidth)


def test_bad_input_is_named_before_anything_runs(model):
    pairs = subset(eg.datasets.empathy_pairs(), 5)
    with pytest.raises(TypeError, match="sae must be an SAE"):
        eg.measure_bandwidth(model, pairs, sae="some release")
    with pytest.raises(ValueError, match="say which two"):
        eg.measure_bandwidth(model, eg.datasets.empathy_triplets())
    with pytest.raises(ValueError, match="have only one"):
        eg.measure_bandwidth(model, pairs[slice(1, None)])
    with pytest.raises(ValueError, match="at least 12 scenarios"):
        eg.measure_bandwidth(model, subset(eg.datasets.empathy_pairs(), 2))
    with pytest.raises(ValueError, match="n_prompts must be from 2"):
        eg.measure_bandwidth(model, pairs, design=eg.BandwidthDesign(search=eg.SearchDesign(n_prompts=20)))
    with pytest.raises(TypeError, match="must be a TransformerLens model"):
        eg.measure_bandwidth(object(), pairs)


def test_the_interval_is_the_joint_one_and_bits_stand_beside_it(result):
    c = result.concept
    assert c.bandwidth.low is None or c.bandwidth.low < float(c.bandwidth) < c.bandwidth.high
    assert "jackknife" in c.bandwidth.method or "no interval" in c.bandwidth.method
    assert len(c.replicates.blocks) == 25  # as many as there are scenarios
    assert sorted(n for b in c.replicates.blocks for n in b) == sorted(result.scenarios)
    assert (c.bits is None) == bool(c.bits_missing)
    assert ("Bits of alpha" in str(result)) == (c.bits is not None)


def test_kept_activations_give_the_same_result_again(model, result, tmp_path):
    texts = subset(eg.datasets.empathy_pairs(), 5)
    design = eg.BandwidthDesign(search=SEARCH, n_permutations=9, n_random=0, layers=[1])
    options = {"design": design, "layer": 1, "progress": False}
    first = eg.measure_bandwidth(model, texts, folder=tmp_path / "kept", **options)
    modified = {p: p.stat().st_mtime_ns for p in (tmp_path / "kept").rglob("*.safetensors")}
    again = eg.measure_bandwidth(model, texts, folder=tmp_path / "kept", **options)
    assert modified
    assert modified == {p: p.stat().st_mtime_ns for p in modified}
    assert float(first.bandwidth) == float(again.bandwidth)
    assert float(first.bandwidth) == float(eg.measure_bandwidth(model, texts, **options).bandwidth)


def test_a_planted_result_says_so_in_title_files_and_provenance(result, tmp_path):
    planted = replace(result, provenance=Provenance("planted", model={"name": "planted"}))
    folder = planted.save(tmp_path)
    assert str(planted).startswith("PLANTED")
    assert all(p.name.startswith("PLANTED_") for p in folder.rglob("*.*"))
    assert json.loads((folder / "PLANTED_bandwidth.json").read_text())["provenance"]["kind"] == "planted"
    assert (folder / "PLANTED_report.md").read_text().startswith("# PLANTED DATA, NOT A MEASUREMENT")
