"""Bandwidth over depth on small models: every layer, the same numbers as the study's, and honest gaps."""

import json

import numpy as np
import pytest
from tiny_models import tiny_bridge

import empathy_geometry as eg
from empathy_geometry.planted.texts import planted_texts
from empathy_geometry.planted.transformer import LAYER, planted_model
from empathy_geometry.studies.depth_profile import depth_profile

pytestmark = pytest.mark.usefixtures("one_thread")
SEARCH = eg.SearchDesign(n_prompts=3, max_new_tokens=4, units="residual_norm")
OPTIONS = {"design": eg.ProfileDesign(search=SEARCH), "progress": False}


@pytest.fixture(scope="module")
def texts():
    pairs = eg.datasets.humor_pairs()
    return pairs.where(group=np.unique(pairs.groups)[:14])


@pytest.fixture(scope="module")
def profile(texts):
    return depth_profile(tiny_bridge("llama", n_ctx=1024), texts, layers=[2, "embed", 0], **OPTIONS)


def test_every_layer_is_there_in_order_of_depth(profile):
    assert [p.layer for p in profile.points] == ["embed", 0, 2]
    for p in profile.points:
        assert float(p.bandwidth) == pytest.approx(float(p.dimensionality) * float(p.range_positive))
    assert "over depth" in str(profile)
    assert profile.heading in profile._repr_html_()


def test_files_hold_the_same_numbers(profile, tmp_path):
    folder = profile.save(tmp_path)
    saved = json.loads((folder / "depth_profile.json").read_text())
    assert saved["study"] == "depth_profile"
    assert saved["points"][1]["bandwidth"]["value"] == float(profile.points[1].bandwidth)
    assert list((folder / "figures").glob("*depth_curve*.png"))
    assert str(profile.points[1].bandwidth) in (folder / "report.md").read_text()


def test_a_layer_is_as_the_bandwidth_study_measures_it(profile, texts):
    design = eg.BandwidthDesign(layers=[0], search=SEARCH, n_permutations=9, n_random=0)
    alone = eg.measure_bandwidth(tiny_bridge("llama", n_ctx=1024), texts, layer=0, design=design, progress=False)
    assert float(alone.bandwidth) == pytest.approx(float(profile.points[1].bandwidth))
    assert float(alone.evaluation.auroc) == pytest.approx(float(profile.points[1].auroc))


def test_a_planted_concept_is_read_from_where_it_was_written():
    model, _ = planted_model()
    profile = depth_profile(
        model,
        planted_texts(16),
        design=eg.ProfileDesign("first", "second", search=eg.SearchDesign(n_prompts=3, max_new_tokens=8)),
        progress=False,
    )
    assert str(profile).startswith("PLANTED")
    at = {p.layer: p for p in profile.points}
    assert float(at[LAYER].auroc) == 1.0
    # The concept is one vector that every text has more or less of: one dimension, from where it was written.
    assert float(at[LAYER].dimensionality) < 2


def test_bad_input_is_named(texts):
    model = tiny_bridge("llama", n_ctx=1024)
    with pytest.raises(ValueError, match="index from 0 to 2"):
        depth_profile(model, texts, layers=[7], **OPTIONS)
    with pytest.raises(ValueError, match="each once"):
        depth_profile(model, texts, layers=[1, 1], **OPTIONS)
    with pytest.raises(ValueError, match="say which two"):
        depth_profile(model, eg.datasets.empathy_triplets(), **OPTIONS)
