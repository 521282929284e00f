from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t as student
from statsmodels.stats.proportion import proportion_confint

from empathy_geometry.evaluation.clustered import (
    area_interval,
    ceiling_interval,
    difference_interval,
    logit_interval,
    t_quantile,
    wilson_interval,
)
from empathy_geometry.foundation.estimate import Estimate


def test_quantile_is_students_for_even_contributions():
    assert t_quantile(np.tile([1.0, -1.0], 10), 0.95) == pytest.approx(student.ppf(0.975, 19))


def test_few_contributing_groups_widen_the_quantile():
    few = np.r_[1.0, -1.0, np.zeros(38)]
    assert t_quantile(few, 0.95) > 1.3 * t_quantile(np.random.default_rng(0).normal(size=40), 0.95)


def test_logit_interval_is_symmetric_on_its_scale_and_inside_the_unit():
    low, high = logit_interval(0.9, np.random.default_rng(0).normal(size=20) * 0.05, 0.95)
    logit = lambda p: np.log(p / (1 - p))  # noqa: E731
    assert logit(0.9) - logit(low) == pytest.approx(logit(high) - logit(0.9))
    assert 0 < low < 0.9 < high < 1


def test_wilson_is_wilsons_for_independent_rows():
    right = np.repeat([1.0, 0.0], [70, 30])
    contributions = (right - 0.7) / 100
    found = wilson_interval(0.7, contributions, 0.95)
    expected = proportion_confint(70, 100, alpha=2 * student.sf(student.ppf(0.975, 99), 1e9), method="wilson")
    assert found == pytest.approx(expected, abs=1e-4)


def test_ceiling_interval_mirrors():
    low, high = ceiling_interval(1.0, 10, 0.95), ceiling_interval(0.0, 10, 0.95)
    assert low == pytest.approx((1 - high[1], 1.0))


def test_difference_of_independent_symmetric_estimates_adds_in_squares():
    first, second = Estimate(0.8, 0.7, 0.9), Estimate(0.6, 0.4, 0.8)
    low, high = difference_interval(first, second, 0.0, 0.95)
    assert (low, high) == pytest.approx((0.2 - np.hypot(0.1, 0.2), 0.2 + np.hypot(0.1, 0.2)))
    assert difference_interval(first, second, 0.9, 0.95)[0] > low
    with pytest.raises(ValueError, match="interval of both"):
        difference_interval(first, Estimate(0.5), 0.0, 0.95)


def test_degrees_of_freedom_are_welchs_where_classes_stand_in_different_groups():
    """Equal contributions inside each class, so that only the class's own groups limit what is known."""
    first, second = np.array([0.3, -0.3]), np.tile([0.05, -0.05], 10)
    holding = (np.arange(22) < 2, np.arange(22) >= 2)
    v1, v0 = float((first**2).sum()), float((second**2).sum())
    df = (v1 + v0) ** 2 / (v1**2 / 1 + v0**2 / 19)
    assert t_quantile(np.r_[first, second], 0.95, holding) == pytest.approx(student.ppf(0.975, df))
    # Groups that hold both classes know both: G - 1 as ever.
    both = np.ones(20, dtype=bool)
    assert t_quantile(np.tile([1.0, -1.0], 10), 0.95, (both, both)) == pytest.approx(student.ppf(0.975, 19))


def test_degrees_of_freedom_are_satterthwaites():
    """Two of forty groups contribute: 2 (sum h^2)^2 / (sum h^4 - (sum h^2)^2 / G), with sum h^2 = sum h^4 = 2."""
    few = np.r_[1.0, -1.0, np.zeros(38)]
    assert t_quantile(few, 0.95) == pytest.approx(student.ppf(0.975, 8 / 1.9))
    assert t_quantile(10 * few, 0.9) == pytest.approx(student.ppf(0.95, 8 / 1.9))
    one = np.r_[1.0, np.zeros(199)]
    assert t_quantile(one, 0.95) == pytest.approx(student.ppf(0.975, 2 / (1 - 1 / 200)))


def test_logit_interval_has_the_error_of_its_contributions():
    parts = 0.05 * np.tile([1.0, -1.0], 8)
    low, high = logit_interval(0.8, parts, 0.9)
    half = student.ppf(0.95, 15) * np.sqrt((parts**2).sum()) / 0.16
    assert np.log(high / (1 - high)) - np.log(low / (1 - low)) == pytest.approx(2 * half)


def test_differences_take_the_nearer_ends_and_the_correlation():
    first, second = Estimate(0.8, 0.75, 0.95), Estimate(0.6, 0.5, 0.8)
    low, high = difference_interval(first, second, 0.5, 0.95)
    assert low == pytest.approx(0.2 - np.sqrt(0.05**2 + 0.2**2 - 0.05 * 0.2))
    assert high == pytest.approx(0.2 + np.sqrt(0.15**2 + 0.1**2 - 0.15 * 0.1))
    assert difference_interval(first, first, 1.0, 0.95)[0] == pytest.approx(-0.1)


@pytest.mark.parametrize("missing", ["low", "high"])
def test_a_difference_needs_both_ends_of_both(missing):
    whole = Estimate(0.8, 0.7, 0.9)
    half = replace(whole, **{missing: None})
    for pair in ((half, whole), (whole, half)):
        with pytest.raises(ValueError, match="interval of both"):
            difference_interval(*pair, 0.0, 0.95)


def test_what_exceeds_shared_training_is_added_on_the_own_scale():
    parts = np.random.default_rng(0).normal(size=30)
    parts = 0.02 * (parts - parts.mean()) / np.linalg.norm(parts)
    at_most = logit_interval(0.98, parts * np.sqrt(2), 0.95)
    assert area_interval(0.98, parts, 2.0, 0.95) == at_most
    assert area_interval(0.98, parts, 1.5, 0.95) == logit_interval(0.98, parts * np.sqrt(1.5), 0.95)
    low, high = area_interval(0.98, parts, 6.0, 0.95)
    half = t_quantile(parts, 0.95) * float(np.linalg.norm(parts)) * 2
    assert low == pytest.approx(0.98 - np.hypot(0.98 - at_most[0], half))
    assert high == 1.0
    # In the middle both scales say the same; near the ceiling the logit's would hold anything.
    for value, least, most in ((0.6, 0.97, 1.03), (0.98, 0.0, 0.5)):
        own, logit = area_interval(value, parts, 6.0, 0.95), logit_interval(value, parts * np.sqrt(6), 0.95)
        assert least < (value - own[0]) / (value - logit[0]) < most
