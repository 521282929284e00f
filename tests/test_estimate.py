"""An estimate stands for its value where that is safe, and refuses what would lose its interval."""

import operator

import numpy as np
import pandas as pd
import pytest
import torch

from empathy_geometry import Estimate

HALF_OPEN = Estimate(0.9, low=0.8, high=1.0, method="planted")


def test_it_is_formatted_rounded_and_converted_as_its_value():
    assert (f"{HALF_OPEN:.2f}", f"{HALF_OPEN:8.1%}", f"{HALF_OPEN}") == ("0.90", "   90.0%", "0.900 [0.800, 1.000]")
    assert (round(HALF_OPEN, 1), round(HALF_OPEN), float(HALF_OPEN)) == (0.9, 1, 0.9)
    assert np.asarray([HALF_OPEN, Estimate(0.5)]).tolist() == [0.9, 0.5]
    assert np.asarray(HALF_OPEN, dtype=np.float32).dtype == np.float32
    assert pd.Series([HALF_OPEN], dtype=float).iloc[0] == 0.9


@pytest.mark.parametrize("other", [0.7, 1, np.float32(0.5), np.int64(2), Estimate(0.95)])
@pytest.mark.parametrize("compare", [operator.lt, operator.le, operator.gt, operator.ge])
def test_it_is_compared_as_its_value_from_both_sides(compare, other):
    value = float(other)
    assert compare(HALF_OPEN, other) == compare(0.9, value)
    assert compare(other, HALF_OPEN) == compare(value, 0.9)


def test_arrays_and_tensors_are_compared_entry_by_entry():
    assert (np.array([0.5, 1.5]) > HALF_OPEN).tolist() == [False, True]
    assert (torch.tensor([0.5, 1.5]) < HALF_OPEN).tolist() == [True, False]


def test_equality_with_numbers_is_of_the_value_and_between_estimates_of_all_fields():
    assert HALF_OPEN == 0.9
    assert Estimate(0.9, low=0.8, high=1.0, method="planted") == HALF_OPEN
    assert Estimate(0.9) != HALF_OPEN
    assert HALF_OPEN != "0.9"
    assert {HALF_OPEN: "found"}[0.9] == "found"
    assert sorted([HALF_OPEN, Estimate(0.2)])[0].value == 0.2


def test_the_interval_is_unpacked_and_a_missing_one_is_said():
    low, high = HALF_OPEN.interval
    assert (low, high) == (0.8, 1.0)
    with pytest.raises(ValueError, match="no interval was computed"):
        _ = Estimate(0.9).interval


@pytest.mark.parametrize("other", [1, 0.5, np.float64(2), np.ones(3), torch.ones(3), HALF_OPEN])
@pytest.mark.parametrize(
    "calculate",
    [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.mod, operator.floordiv],
)
def test_arithmetic_from_either_side_says_why_not(calculate, other):
    for left, right in ((HALF_OPEN, other), (other, HALF_OPEN)):
        with pytest.raises(TypeError, match=r"intervals do not add.*estimate\.value"):
            calculate(left, right)


@pytest.mark.parametrize("calculate", [operator.neg, operator.pos, abs])
def test_signs_are_refused_too(calculate):
    with pytest.raises(TypeError, match="intervals do not add"):
        calculate(HALF_OPEN)
