"""The joint interval: right where the truth is known, aware of what both factors share, paired by blocks."""

import numpy as np
import pytest
import torch

from empathy_geometry.activations.pairing import paired_differences
from empathy_geometry.activations.pooled import Activations
from empathy_geometry.dimensionality.participation import participation_ratio
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.geometry.directions import ConceptDirection
from empathy_geometry.steering.range import crossing
from empathy_geometry.steering.sweep import SteeringSweep
from empathy_geometry.studies.bandwidth_interval import N_BLOCKS, Replicates, joint_product, leave_out, scenario_blocks

D_MODEL, N, N_PROMPTS = 40, 120, 8
NAMES = np.array([f"s{i:03d}" for i in range(N)])
GRID = np.linspace(0, 20, 11)


def planted(rng: np.random.Generator) -> tuple[Activations, ConceptDirection, SteeringSweep, list[str]]:
    """Pairs that differ by a vector of length about 3 and noise; prompts that break at 10 (sd 2) activation units."""
    neutral = rng.normal(size=(N, D_MODEL))
    shift = np.zeros((N, D_MODEL))
    shift[:, 0] = rng.normal(3.0, 1.0, size=N)
    felt = neutral + shift + rng.normal(size=(N, D_MODEL)) * np.linspace(1.5, 0.1, D_MODEL)
    values = np.stack([felt, neutral], axis=1).reshape(2 * N, 1, D_MODEL)
    acts = Activations(
        torch.as_tensor(values, dtype=torch.float32), (0,), np.tile(["felt", "plain"], N), np.repeat(NAMES, 2)
    )
    prompts = rng.choice(NAMES, N_PROMPTS, replace=False).tolist()
    training = acts[np.flatnonzero(~np.isin(acts.groups, prompts))]
    direction = ConceptDirection.from_activations(training, positive="felt", negative="plain", layer=0)
    breaks = rng.normal(10.0, 2.0, size=N_PROMPTS)
    coherence = np.clip(1 - 0.3 * GRID[:, None] / breaks, 0, 1)
    unit = direction.scales["class_gap"]
    blank = np.zeros_like(coherence)
    texts = tuple(tuple("x" for _ in prompts) for _ in GRID)
    sweep = SteeringSweep(
        GRID / unit, tuple(prompts), texts, {"planted": coherence}, blank, blank, "class_gap", unit, (0,), 1
    )
    return acts, direction, sweep, prompts


def product_of(acts, direction, sweep, prompts):
    replicates = leave_out(
        acts, direction, sweep, positive="felt", negative="plain", layer=0, prompt_names=prompts, threshold=0.7
    )
    differences, _ = paired_differences(acts.layer(0), acts.labels, acts.groups, positive="felt", negative="plain")
    side = sweep.alphas >= 0
    r = crossing(sweep.alphas[side], sweep.coherence[side], n_resamples=1)
    return joint_product(participation_ratio(differences), r, replicates), replicates


def test_the_interval_is_as_wide_as_the_product_really_varies():
    found = [product_of(*planted(np.random.default_rng(seed)))[0] for seed in range(24)]
    truth = np.log([float(e) for e in found]).std(ddof=1)
    half = np.mean([np.log(e.high / e.low) / 2 / 2.1 for e in found])  # t quantile with some 20 degrees of freedom
    assert 0.6 < half / truth < 1.5


def test_the_unit_ties_the_factors_so_leaving_the_covariance_out_would_be_wrong():
    replicates = product_of(*planted(np.random.default_rng(0)))[1]
    assert replicates.correlation is not None
    d, r = np.log(replicates.dimensionality), np.log(replicates.steering_range)
    together, apart = (d + r).var(), d.var() + r.var()
    assert together == pytest.approx(apart + 2 * np.cov(d, r, ddof=0)[0, 1])
    assert abs(replicates.correlation) > 0.05


def test_blocks_are_even_hold_every_scenario_once_and_follow_the_seed_not_the_model():
    blocks = scenario_blocks(NAMES.tolist(), NAMES[:5].tolist(), seed=4)
    assert len(blocks) == N_BLOCKS
    assert sorted(n for b in blocks for n in b) == sorted(NAMES)
    assert {len(b) for b in blocks} == {2, 3}
    assert blocks == scenario_blocks(NAMES[::-1].tolist(), NAMES[:5].tolist(), seed=4)
    assert blocks != scenario_blocks(NAMES.tolist(), NAMES[:5].tolist(), seed=5)
    assert [b[0] for b in blocks[:5]] == NAMES[:5].tolist()


def test_a_control_is_left_out_with_the_prompt_that_it_shares_with_the_concept():
    concept = scenario_blocks(NAMES.tolist(), NAMES[:3].tolist(), n_blocks=10)
    control = scenario_blocks([f"c{i}" for i in range(60)], NAMES[:3].tolist(), n_blocks=10)
    assert [b[0] for b in control[:3]] == [b[0] for b in concept[:3]]
    assert {sum(n.startswith("c") for n in b) for b in control} == {6}


def test_censoring_is_kept_and_factors_that_do_not_exist_are_refused():
    three = Replicates((("a",), ("b",), ("c",)), np.array([2.0, 1.9, 2.1]), np.array([3.0, 3.1, 2.9]))
    assert joint_product(Estimate(2.0), Estimate(3.0, censored="right"), three).censored == "right"
    with pytest.raises(ValueError, match="must be positive"):
        joint_product(Estimate(2.0), Estimate(0.0), three)
    open_above = joint_product(Estimate(2.0, 1.8, 2.2), Estimate(3.0, 2.5, np.inf), three)
    assert (open_above.high, open_above.censored) == (np.inf, None)
    unbounded = Replicates(three.blocks, np.array([2.0, np.inf, 2.1]), three.steering_range)
    product = joint_product(Estimate(2.0), Estimate(3.0), unbounded)
    assert product.low is None
    assert "not finite" in product.method
    assert unbounded.to_dict()["dimensionality"][1] is None


def test_few_prompts_widen_the_product_as_they_widen_the_range():
    three = Replicates((("a",), ("b",), ("c",)), np.array([2.0, 1.999, 2.001]), np.array([3.0, 3.001, 2.999]))
    dimensions = Estimate(2.0, 1.99, 2.01)
    sure, unsure = (
        joint_product(dimensions, Estimate(3.0, low, high), three) for low, high in ((2.99, 3.01), (1.5, 6))
    )
    assert 5.9 < sure.low < sure.high < 6.1
    assert (unsure.low, unsure.high) == pytest.approx((3.0, 12.0), rel=0.01)
