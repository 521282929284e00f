"""The rule for one causal row, at its bounds."""

import pytest

from empathy_geometry.causal.verdicts import judge
from empathy_geometry.foundation.estimate import Estimate


@pytest.mark.parametrize(
    ("low", "high", "pvalue", "readable", "verdict"),
    [
        (0.5, 1.5, 0.05, 0.51, "supported"),
        (0.5, 1.5, 0.051, 0.51, "cannot tell"),
        (0.0, 1.5, 0.01, 0.51, "cannot tell"),  # touching zero is not above it
        (0.5, 1.5, 0.2, 0.51, "cannot tell"),
        (0.5, 1.5, 0.201, 0.51, "not supported"),
        (-1.0, 0.0, 0.01, 0.51, "cannot tell"),
        (-1.0, -0.01, 0.01, 0.51, "not supported"),
        (0.5, 1.5, 0.01, 0.5, "cannot tell"),  # a readout at chance tells nothing
        (-1.0, -0.5, 0.01, 0.5, "cannot tell"),
        (0.5, 1.5, None, 0.51, "cannot tell"),
        (0.5, None, 0.01, 0.51, "cannot tell"),
        (0.5, 1.5, 0.01, None, "cannot tell"),
    ],
)
def test_causal_rows_are_judged_at_the_bounds_that_the_rule_names(low, high, pvalue, readable, verdict):
    readout = Estimate(0.7, readable, 0.9)
    assert judge(Estimate(0.7, low, high), pvalue, readout)[0] == verdict
