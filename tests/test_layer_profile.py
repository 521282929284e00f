"""Every layer's held-out AUROC, with intervals that hold for all layers at once."""

import matplotlib
import numpy as np
import pytest
from planted import pairs, triplets

import empathy_geometry as eg
from empathy_geometry.evaluation.cross_validation import cross_validate
from empathy_geometry.texts.splits import grouped_folds

matplotlib.use("agg")


def test_each_layer_is_what_cross_validation_of_it_alone_says():
    X, y, groups = pairs(20, 6, layers=3, strength=1.5)
    profile = eg.layer_profile(eg.Probe("ridge"), X, y, groups=groups, seed=1)
    folds = grouped_folds(y, groups=groups, seed=1, content=X)
    for layer, wide, own in zip(profile.layers, profile.estimates, profile.pointwise, strict=True):
        alone = cross_validate(eg.Probe("ridge"), X[:, layer], y, groups=groups, folds=folds)
        assert own.value == pytest.approx(alone.auroc.value)
        assert own.low == pytest.approx(alone.auroc.low, abs=0.02)
        assert wide.low < own.low < own.high < wide.high


def test_equal_layers_cost_nothing_and_independent_ones_at_most_bonferronis_price():
    X, y, groups = pairs(30, 6, strength=1.0)
    same = eg.layer_profile(eg.Probe("ridge"), np.stack([X] * 6, axis=1), y, groups=groups)
    assert same.estimates[0].low == pytest.approx(same.pointwise[0].low, abs=0.02)
    X, y, groups = pairs(30, 6, layers=6)
    assert 2.3 < eg.layer_profile(eg.Probe("ridge"), X, y, groups=groups).critical < 3.1


def test_it_prints_plots_and_is_json():
    X, y, groups = triplets(15, strength=1.0)
    profile = eg.layer_profile(eg.Probe("logistic"), np.stack([X, -X], axis=1), y, groups=groups)
    assert "hold for all 2 layers at once" in " ".join(str(profile).split())
    assert len(profile.to_frame()) == 2
    assert profile.to_dict()["type"] == "LayerProfile"
    assert profile.plot().get_ylabel() == "AUROC"


def test_several_positions_and_bad_levels_are_refused():
    X, y, groups = pairs(10, 4, layers=2)
    with pytest.raises(ValueError, match="takes one position, got 2"):
        eg.layer_profile(eg.Probe(), np.stack([X, X], axis=1), y, groups=groups)
    with pytest.raises(ValueError, match="level must lie"):
        eg.layer_profile(eg.Probe(), X, y, groups=groups, level=1.0)


@pytest.mark.slow
def test_all_layers_are_covered_at_once_as_often_as_it_says():
    inside = []
    for seed in range(200):
        X, y, groups = pairs(30, 6, layers=8, seed=seed)
        profile = eg.layer_profile(eg.Probe("ridge"), X, y, groups=groups, seed=seed)
        inside.append(all(e.low <= 0.49 <= e.high for e in profile.estimates))
    assert np.mean(inside) >= 0.92
