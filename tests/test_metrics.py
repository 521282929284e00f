import numpy as np
import pytest
from scipy.stats import norm
from scipy.stats import t as student
from statsmodels.stats.proportion import proportion_confint

from empathy_geometry.evaluation.metrics import (
    accuracy,
    auroc,
    auroc_excess,
    d_prime,
    excess_over_best,
    forced_choice,
    gaussian_deviation,
    macro_auroc,
)
from empathy_geometry.foundation.estimate import Estimate


def test_auroc_of_reversed_scores_is_the_complement():
    scores, labels = [0.1, 0.4, 0.35, 0.8, 0.4], [0, 0, 1, 1, 1]
    there, back = auroc(scores, labels), auroc([-s for s in scores], labels)
    assert there.value + back.value == pytest.approx(1)
    assert there.low == pytest.approx(1 - back.high)


@pytest.mark.parametrize("groups", [10, 15, 36])
def test_perfect_pairs_get_the_exact_bound(groups):
    scores, labels = np.tile([0.0, 1.0], groups), np.tile([0, 1], groups)
    found = auroc(scores, labels, groups=np.repeat(np.arange(groups), 2))
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.025 ** (1 / groups))


def test_perfect_scores_of_constant_groups_count_the_smaller_class():
    groups = np.repeat(np.arange(12), 3)
    found = auroc(np.where(groups < 4, 1.0, 0.0), groups < 4, groups=groups)
    assert found.low == pytest.approx(0.025 ** (1 / 4))


def test_constant_scores_are_chance_without_an_interval():
    found = auroc(np.zeros(10), [0, 1] * 5)
    assert (found.value, found.low) == (0.5, None)


def test_interval_widens_where_rows_are_copies():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 15)
    scores = rng.normal(size=30) + y
    single = auroc(scores, y, groups=np.arange(30))
    copied = auroc(np.repeat(scores, 3), np.repeat(y, 3), groups=np.repeat(np.arange(30), 3))
    naive = auroc(np.repeat(scores, 3), np.repeat(y, 3))
    assert copied.value == pytest.approx(single.value)
    assert copied.low == pytest.approx(single.low, abs=1e-9)
    assert naive.high - naive.low < 0.7 * (copied.high - copied.low)


def test_inflation_up_to_two_scales_the_standard_error_on_the_logit_scale():
    rng = np.random.default_rng(1)
    y = np.tile([0, 1], 40)
    scores = rng.normal(size=80) + y
    plain, inflated = auroc(scores, y), auroc(scores, y, inflation=2.0)
    logit = lambda p: np.log(p / (1 - p))  # noqa: E731
    width = lambda found: logit(found.high) - logit(found.low)  # noqa: E731
    assert width(inflated) == pytest.approx(np.sqrt(2) * width(plain))


def test_inflation_beyond_two_is_added_on_the_scale_of_the_auroc():
    rng = np.random.default_rng(1)
    y = np.tile([0, 1], 40)
    scores = rng.normal(size=80) + y
    plain, shared, chosen = (auroc(scores, y, inflation=factor) for factor in (1.0, 2.0, 4.0))
    half = (plain.high - plain.low) / 2  # one standard error times t, nearly: the area is far from its ends
    for end in ("low", "high"):
        before, after = (abs(getattr(found, end) - found.value) for found in (shared, chosen))
        assert np.sqrt(after**2 - before**2) == pytest.approx(np.sqrt(2) * half, rel=0.05)


def test_macro_auroc_is_the_mean_of_the_classes():
    rng = np.random.default_rng(2)
    y = np.tile(["a", "b", "c"], 10)
    scores = rng.normal(size=(30, 3)) + np.eye(3)[np.tile([0, 1, 2], 10)]
    each = [auroc(scores[:, k], y == c).value for k, c in enumerate("abc")]
    found = macro_auroc(scores, y, groups=np.repeat(np.arange(10), 3))
    assert found.value == pytest.approx(np.mean(each))
    assert found.low < found.value < found.high


def test_excess_over_itself_is_zero_and_nearly_certain():
    rng = np.random.default_rng(3)
    y = np.tile([0, 1], 20)
    scores = rng.normal(size=40) + y
    found = auroc_excess(scores, {"same": 2 * scores + 1, "other": rng.normal(size=40) + y}, y)
    assert found["same"].value == 0
    assert found["same"].high - found["same"].low < 0.5 * (found["other"].high - found["other"].low)


def test_excess_at_the_ceiling_is_not_certain():
    y, groups = np.tile([0, 1], 20), np.repeat(np.arange(20), 2)
    found = auroc_excess(y.astype(float), {"tfidf": y * 2.0}, y, groups=groups)["tfidf"]
    assert found.value == 0
    assert found.low < -0.1
    assert found.high > 0.1


def test_excess_over_a_constant_baseline_is_that_over_one_half():
    rng = np.random.default_rng(4)
    y = np.tile([0, 1], 20)
    scores = rng.normal(size=40) + y
    found, own = auroc_excess(scores, {"length": np.zeros(40)}, y)["length"], auroc(scores, y)
    assert (found.value, found.low) == pytest.approx((own.value - 0.5, own.low - 0.5))


def test_the_excess_over_the_best_is_that_over_the_chosen_one_safe_against_all():
    excesses = {"a": Estimate(0.30, 0.05, 0.4), "b": Estimate(0.2, 0.1, 0.35)}
    found = excess_over_best(excesses, "b")
    assert (found.value, found.low, found.high) == (0.2, 0.05, 0.35)
    unknown = excess_over_best({**excesses, "c": Estimate(0.2)}, "b")
    assert (unknown.value, unknown.low, unknown.high) == (0.2, None, None)
    with pytest.raises(ValueError, match="chosen must be one of"):
        excess_over_best({}, "a")


def test_d_prime_of_two_normals():
    scores = np.r_[norm.ppf(np.linspace(0.001, 0.999, 999)), 1.5 + norm.ppf(np.linspace(0.001, 0.999, 999))]
    found = d_prime(scores, np.repeat([0, 1], 999))
    assert found.value == pytest.approx(1.5, abs=0.02)
    assert gaussian_deviation(auroc(scores, np.repeat([0, 1], 999)).value, found.value) == pytest.approx(0, abs=2e-3)


def test_d_prime_keeps_its_digits_far_from_zero():
    scores = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    labels = [0, 0, 0, 1, 1, 1]
    far = d_prime(1e6 + 1e-3 * scores, labels)
    assert far.value == pytest.approx(d_prime(scores, labels).value, rel=1e-5)


def test_d_prime_interval_is_a_jackknife():
    rng = np.random.default_rng(5)
    y, groups = np.tile([0, 1], 12), np.repeat(np.arange(12), 2)
    scores = rng.normal(size=24) + y
    left_out = [d_prime(scores[groups != g], y[groups != g]).value for g in range(12)]
    error = np.sqrt(11 / 12 * ((left_out - np.mean(left_out)) ** 2).sum())
    found = d_prime(scores, y, groups=groups)
    assert (found.high - found.low) / 2 >= 2.2 * error - 1e-9  # Student's quantile is at least that at 11 df
    assert (found.high - found.low) / 2 <= 4.4 * error


def test_accuracy_at_the_ceiling_and_between():
    assert accuracy([1] * 10, [1] * 10).low == pytest.approx(0.025 ** (1 / 10))
    found = accuracy([1, 1, 0, 0] * 10, [1, 1, 1, 0] * 10, groups=np.repeat(np.arange(20), 2))
    assert found.value == 0.75
    assert 0.6 < found.low < 0.75 < found.high < 0.9


def test_forced_choice_counts_scenarios():
    scores, labels, groups = [3.0, 1.0, 0.0, 2.0, 5.0], [1, 0, 1, 0, 1], list("aabbc")
    found = forced_choice(scores, labels, groups=groups)
    assert (found.value, found.n_groups) == (0.5, 2)


def test_forced_choice_of_scenarios_that_depend_on_each_other_counts_fewer_of_them():
    scores, labels, groups = np.tile([0.0, 1.0], 40), np.tile([0, 1], 40), np.repeat(np.arange(40), 2)
    scores[:20] = np.tile([1.0, 0.0], 10)
    twice, half = forced_choice(scores, labels, groups=groups, inflation=2.0), slice(10, 50)
    fewer = forced_choice(scores[half], labels[half], groups=groups[half])
    assert twice.value == 0.75
    assert twice.n_groups == 40
    assert (twice.low, twice.high) == pytest.approx((fewer.low, fewer.high))


def test_an_auroc_with_two_positive_groups_says_so_and_is_wide():
    scores = np.arange(22.0)
    found = auroc(scores, np.isin(scores, [4, 19]), groups=np.arange(22))
    assert "2 groups only" in found.method
    assert found.high - found.low > 0.9
    assert "groups only" not in auroc(scores, scores % 4 == 0).method


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: auroc([0.0, 1.0], [1, 1]), "both classes"),
        (lambda: auroc([0.0, np.nan], [0, 1]), "finite"),
        (lambda: auroc([0.0, 1.0, 2.0], [0, 1]), "3 rows"),
        (lambda: auroc([[0.0], [1.0]], [0, 1]), "1 axes"),
        (lambda: auroc([0.0, 1.0], ["a", "b"]), "booleans"),
        (lambda: auroc([0.0, 1.0], [0, 1], groups=["a", None]), "missing"),
        (lambda: macro_auroc([[0.0, 1.0]] * 3, ["a", "b", "c"]), "column for each class"),
        (lambda: d_prime([0.0, 1.0, 2.0], [0, 1, 1]), "two scores in each class"),
        (lambda: d_prime([0.0, 0.0, 1.0, 1.0], [0, 0, 1, 1]), "neither class varies"),
        (lambda: forced_choice([0.0, 1.0], [0, 1], groups=["a", "b"]), "both classes"),
        (lambda: auroc_excess([0.0, 1.0], {"b": [1.0]}, [0, 1]), "shape"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_one_group_per_class_has_no_interval():
    found = auroc([0.0, 2.0, 1.0, 3.0], [0, 0, 1, 1], groups=["a", "a", "b", "b"])
    assert (found.low, found.high) == (None, None)


def noisy(seed=6, n_groups=40):
    rng = np.random.default_rng(seed)
    y, groups = np.tile([0, 1], n_groups), np.repeat(np.arange(n_groups), 2)
    return rng.normal(size=2 * n_groups) + y, rng.normal(size=2 * n_groups) + 0.5 * y, y, groups


def test_excess_over_scores_that_know_nothing_is_as_uncertain_as_the_scores():
    scores, _, y, groups = noisy()
    found = auroc_excess(scores, {"none": np.zeros(80)}, y, groups=groups, inflation=1.8)["none"]
    own = auroc(scores, y, groups=groups, inflation=1.8)
    assert (found.low, found.high) == pytest.approx((own.low - 0.5, own.high - 0.5))
    assert own.high - own.low > 1.2 * (auroc(scores, y, groups=groups).high - auroc(scores, y, groups=groups).low)


def test_excess_of_perfect_scores_is_as_uncertain_as_the_baseline():
    """The scores' own end is the exact bound; the baseline's is that of its own interval, inflation and all."""
    _, baseline, y, groups = noisy()
    for factor in (1.0, 1.8):
        found = auroc_excess(
            y.astype(float),
            {"b": baseline, "other": baseline},
            y,
            groups=groups,
            inflation=1.5,
            baseline_inflation={"b": factor},
        )
        theirs = auroc(baseline, y, groups=groups, inflation=factor)
        down = np.hypot(1 - 0.025 ** (1 / 40), theirs.high - theirs.value)
        assert found["b"].low == pytest.approx(found["b"].value - down)
        assert found["b"].high == pytest.approx(found["b"].value + theirs.value - theirs.low)
        plain = auroc(baseline, y, groups=groups)
        assert found["other"].high == pytest.approx(found["other"].value + plain.value - plain.low)


def test_excess_of_related_scores_is_better_known():
    """For AUROCs away from the ends the interval is nearly that of the difference of placements (DeLong)."""
    scores, baseline, y, groups = noisy(n_groups=400)
    baseline = 0.8 * scores + 0.6 * baseline
    found = auroc_excess(scores, {"b": baseline}, y, groups=groups)["b"]

    def contributions(s):
        placed = np.array([np.mean((a > s[y != c]) == (c == 1)) for a, c in zip(s, y, strict=True)])
        return np.bincount(groups, (placed - placed[y == 1].mean()) / 400)

    error = np.sqrt(400 / 399 * ((contributions(scores) - contributions(baseline)) ** 2).sum())
    assert (found.high - found.low) / 2 == pytest.approx(1.966 * error, rel=0.03)


def test_inflation_widens_the_jackknife_of_d_prime():
    scores, _, y, groups = noisy()
    plain, inflated = d_prime(scores, y, groups=groups), d_prime(scores, y, groups=groups, inflation=2.25)
    assert inflated.value == plain.value
    assert inflated.high - inflated.low == pytest.approx(1.5 * (plain.high - plain.low))
    assert "x 2.25" in inflated.method


def test_accuracy_of_single_rows_is_wilsons_interval_of_one_row_less():
    """With one row a group the variance is p(1 - p)/(n - 1), so n - 1 rows count."""
    right = np.arange(15) % 3 > 0
    found = accuracy(right, np.ones(15, dtype=bool))
    level = 2 * norm.sf(student.ppf(0.975, 14))  # statsmodels takes the normal quantile
    expected = proportion_confint(14 * 2 / 3, 14, alpha=level, method="wilson")
    assert (found.low, found.high) == pytest.approx(expected)
    inflated = accuracy(right, np.ones(15, dtype=bool), inflation=2.0)
    assert (inflated.low, inflated.high) == pytest.approx(proportion_confint(14 / 3, 7, alpha=level, method="wilson"))


@pytest.mark.parametrize("won", [0, 1, 7, 10])
def test_forced_choice_has_clopper_and_pearsons_interval(won):
    scores = np.tile([0.0, 1.0], 10) * np.repeat(np.where(np.arange(10) < won, 1.0, -1.0), 2)
    found = forced_choice(scores, np.tile([0, 1], 10), groups=np.repeat(np.arange(10), 2))
    assert found.value == won / 10
    assert (found.low, found.high) == pytest.approx(proportion_confint(won, 10, method="beta"))
