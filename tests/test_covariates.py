import json

import numpy as np
import pytest

from empathy_geometry.evaluation.covariates import length_covariates, residualise
from empathy_geometry.texts.labeled_texts import LabeledTexts


def rows(*, concept, length_effect, seed=0, n=60, d=12):
    rng = np.random.default_rng(seed)
    y, groups = np.tile([0, 1], n), np.repeat(np.arange(n), 2)
    length = rng.standard_normal(2 * n) + 2 * y
    x = rng.standard_normal((2 * n, d)) + rng.standard_normal((n, d))[groups]
    x[:, 0] += length_effect * length
    x[:, 1] += concept * y
    return x, y, length, groups


def test_nothing_survives_where_length_is_all_there_is():
    x, y, length, groups = rows(concept=0.0, length_effect=3.0)
    result = residualise(x, y, length, groups=groups, names=["length"])
    assert result.before.low > 0.5
    assert result.covariates_alone.low > 0.5
    assert result.after.low < 0.5 < result.after.high or abs(result.after.value - 0.5) < 0.12
    assert abs(result.surviving.value) < 0.35
    assert "lower bound" in result.notes[0]


def test_a_concept_that_does_not_go_with_the_covariate_survives():
    x, y, _, groups = rows(concept=4.0, length_effect=0.0)
    unrelated = np.random.default_rng(1).standard_normal(len(y))
    result = residualise(x, y, unrelated, groups=groups)
    assert result.surviving.value == pytest.approx(1.0, abs=0.05)
    assert not result.notes


def test_several_covariates_and_printing():
    x, y, length, groups = rows(concept=4.0, length_effect=1.0)
    result = residualise(x, y, np.column_stack([length, length**2]), groups=groups, names=["length", "its square"])
    assert "its square" in str(result)
    assert 0 < result.surviving.value < 1.1
    json.dumps(result.to_dict(), allow_nan=False)
    assert len(result.to_frame()) == 4


def test_nothing_above_chance_gives_no_share():
    x, y, length, groups = rows(concept=0.0, length_effect=0.0)
    result = residualise(x, y, length, groups=groups)
    assert result.surviving is None
    assert "nothing above chance" in str(result)


def test_length_of_responses_only():
    texts = LabeledTexts(["Q: a b", "Q: c. d!"], ["x", "y"], ["g", "g"], prompts=["Q: ", "Q: "])
    assert length_covariates(texts).tolist() == [[3, 2, 1], [5, 2, 2]]


@pytest.mark.parametrize(
    ("covariates", "names", "message"),
    [
        (np.ones(120), None, "constant"),
        (np.arange(119.0), None, "one row for each of 120"),
        (np.arange(120.0), ["a", "b"], "one entry for each of 1 covariates"),
        (np.full(120, np.nan), None, "finite"),
    ],
)
def test_bad_input_is_explained(covariates, names, message):
    x, y, _, groups = rows(concept=1.0, length_effect=1.0)
    with pytest.raises(ValueError, match=message):
        residualise(x, y, covariates, groups=groups, names=names)


def test_scenarios_reach_every_interval():
    x, y, length, groups = rows(concept=1.0, length_effect=1.0)
    for given, n in ((groups, 60), (None, 120)):
        found = residualise(x, y, length, groups=given)
        assert found.before.n_groups == found.after.n_groups == found.covariates_alone.n_groups == n
