"""Sample sizes by simulation, and the test of the mean paired difference that they are planned for."""

import numpy as np
import pytest

import empathy_geometry as eg
from empathy_geometry.evaluation.scenario_plan import _smallest
from empathy_geometry.evaluation.sign_flip import sign_flip_test


def test_the_sign_flip_test_holds_its_level_and_finds_what_is_there():
    p = np.array(
        [
            sign_flip_test(np.random.default_rng(s).standard_t(4, size=(12, 40)), n_permutations=99, seed=s).pvalue
            for s in range(300)
        ]
    )
    assert 0.02 < (p <= 0.05).mean() < 0.085
    assert 0.42 < p.mean() < 0.58
    shifted = np.random.default_rng(0).standard_normal((20, 50)) + 0.5
    assert sign_flip_test(shifted).pvalue < 0.01


def test_the_statistic_is_that_of_a_plain_inverse_and_knows_no_signs():
    x = np.random.default_rng(1).standard_normal((8, 5)) + 0.3
    second = x.T @ x / 8
    plain = x.mean(axis=0) @ np.linalg.solve(second + np.trace(second) / 5 * np.eye(5), x.mean(axis=0))
    assert sign_flip_test(x).statistic == pytest.approx(plain)
    assert sign_flip_test(-x).pvalue == sign_flip_test(x).pvalue


def test_more_scenarios_are_needed_for_a_smaller_effect_and_the_plan_checks_itself():
    options = {"n_features": 10, "sizes": (8, 16, 32, 64), "n_simulations": 60}
    large, small = eg.plan_scenarios(2.0, **options), eg.plan_scenarios(1.0, **options)
    assert large.n_scenarios < small.n_scenarios
    for plan in (large, small):
        assert plan.rejections_without_effect.low <= 0.05 <= plan.rejections_without_effect.high
    assert "check: without an effect" in str(large)
    assert large.to_dict()["type"] == "ScenarioPlan"


def test_a_study_of_the_planned_size_finds_the_effect_as_often_as_promised():
    plan = eg.plan_scenarios(1.5, 0.8, n_features=12, n_simulations=150, seed=3)
    rng, found = np.random.default_rng(77), []
    for seed in range(150):
        rows = np.sqrt(2) * rng.standard_normal((plan.n_scenarios, 12))
        rows[:, 4] += 1.5
        found.append(sign_flip_test(rows, n_permutations=199, seed=seed).pvalue <= 0.05)
    assert 0.65 <= np.mean(found) <= 0.93


def test_a_pilot_gives_the_noise_and_an_effect_that_no_size_finds_says_so():
    pilot = np.random.default_rng(0).standard_normal((20, 100)) * np.linspace(2, 0.01, 100) + 5
    options = {"pilot": pilot, "sizes": (6, 10), "n_simulations": 20}
    assert "20 pilot differences" in eg.plan_scenarios(8.0, **options).noise
    none = eg.plan_scenarios(0.01, **options)
    assert none.n_scenarios is None
    assert "more than 10" in str(none)


def test_the_auroc_needs_more_than_the_mean_difference():
    options = {"n_features": 20, "sizes": (12, 24), "n_simulations": 40}
    flips, held_out = (eg.plan_scenarios(1.3, test=t, **options) for t in ("sign_flip", "auroc"))
    assert sum(map(float, held_out.power)) <= sum(map(float, flips.power)) + 0.1


def test_power_is_interpolated():
    assert _smallest((10, 20), np.array([0.6, 1.0]), 0.8) == 15
    assert _smallest((10, 20), np.array([0.9, 1.0]), 0.8) == 10
    assert _smallest((10, 20), np.array([0.1, 0.2]), 0.8) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"effect": 0.0}, "effect must lie"),
        ({"power": 1.0}, "power must lie"),
        ({"sizes": (20, 10)}, "sizes must be"),
        ({"n_simulations": 5}, "n_simulations"),
        ({"pilot": np.ones((3, 4))}, "pilot must have 6"),
        ({"n_features": 1}, "n_features"),
    ],
)
def test_bad_plans_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        eg.plan_scenarios(**{"effect": 1.0, **change})


def test_bad_differences_are_refused():
    for rows, message in ((np.ones((5, 3)), "6 rows"), (np.zeros((8, 3)), "all zero")):
        with pytest.raises(ValueError, match=message):
            sign_flip_test(rows)
    with pytest.raises(ValueError, match="penalty"):
        sign_flip_test(np.ones((8, 3)), penalty=0)
