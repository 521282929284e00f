import numpy as np
import pytest
from planted import pairs, triplets

from empathy_geometry.evaluation.online_coding import description_length
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.texts.content_order import content_order


def test_noise_does_not_compress_and_signal_does():
    X, y, groups = pairs(40, 6)
    noise = description_length(Probe("logistic"), X, y, groups=groups, seed=0)
    strong, weak = (
        description_length(Probe("logistic"), pairs(40, 6, strength=s)[0], y, groups=groups, seed=0) for s in (8.0, 2.0)
    )
    assert noise.uniform_bits == 80
    assert noise.compression < 1 < weak.compression < strong.compression
    assert strong.compression > 3
    assert "bits against 80.0 uniform" in str(strong)


def test_code_is_the_sum_of_its_blocks_by_hand():
    X, y, groups = pairs(10, 3, strength=2.0)
    found = description_length(Probe("logistic"), X, y, groups=groups, fractions=(0.5,), n_orders=1, seed=3)
    # Scenarios are shuffled from an order of their contents, whatever their names are.
    first = np.random.default_rng(3).permutation(10)[content_order(groups, [X, y]).groups] < 5
    p = Probe("logistic").fit(X[first], y[first]).predict_proba(X[~first])[np.arange(10), y[~first]]
    assert found.bits == pytest.approx(10 + -np.log2(p).sum())
    assert found.bits_by_block == pytest.approx([1.0, -np.log2(p).mean()])


def test_several_classes_and_prefixes_without_a_class():
    X, y, groups = triplets(20, strength=4.0)
    found = description_length(Probe("lda"), X, y, groups=groups, seed=0)
    assert found.uniform_bits == pytest.approx(60 * np.log2(3))
    assert found.compression > 1.3
    sorted_labels = description_length(Probe("logistic"), X, y, groups=None, fractions=(0.02, 0.5), n_orders=2, seed=0)
    assert sorted_labels.bits_by_block[1] == pytest.approx(np.log2(3))


def test_bad_input_is_refused():
    X, y, groups = pairs(10)
    with pytest.raises(TypeError, match="no probabilities"):
        description_length(Probe("ridge"), X, y, groups=groups, seed=0)
    for fractions in ((0.5, 0.2), (0.0,), (0.5, 1.0), ()):
        with pytest.raises(ValueError, match="increase within"):
            description_length(Probe("logistic"), X, y, groups=groups, fractions=fractions, seed=0)
