"""The rule for one causal row, at its bounds."""

import pytest

from empathy_geometry.causal.result import CausalEffect
from empathy_geometry.causal.verdicts import combine, judge
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


def rows(**said):
    """One row for each verdict said; the prompt baseline, the damage and projecting out say the opposite of all."""
    kinds = {
        "marker": ("sufficiency", "marker tokens", "add"),
        "later": ("sufficiency", "later layers", "add"),
        "written": ("sufficiency", "written text", "add"),
        "ablate_marker": ("necessity", "marker tokens", "mean_ablate"),
        "ablate_later": ("necessity", "later layers", "mean_ablate"),
        "project": ("necessity", "later layers", "ablate"),
    }
    return [
        CausalEffect("d", *kinds[name], Estimate(0.0), {}, None, None, None, verdict, "")
        for name, verdict in said.items()
    ]


YES, NO, OPEN = "supported", "not supported", "cannot tell"


@pytest.mark.parametrize(
    ("said", "sufficiency", "necessity", "verdict"),
    [
        ({"marker": YES, "later": YES, "ablate_marker": YES, "ablate_later": YES}, YES, YES, "causal"),
        ({"marker": YES, "later": YES, "ablate_later": YES, "project": NO, "written": NO}, YES, YES, "causal"),
        ({"marker": YES, "ablate_later": NO, "project": YES}, YES, NO, "not causal"),
        ({"marker": NO, "later": NO, "ablate_later": YES, "written": YES}, NO, YES, "not causal"),
        ({"marker": NO, "later": OPEN, "ablate_later": YES}, NO, YES, "not causal"),
        ({"marker": YES, "later": NO, "ablate_later": YES}, OPEN, YES, "cannot tell"),
        ({"marker": YES, "later": OPEN, "ablate_later": YES}, OPEN, YES, "cannot tell"),
        ({"marker": OPEN, "ablate_later": OPEN}, OPEN, OPEN, "cannot tell"),
        ({"marker": OPEN, "ablate_later": NO}, OPEN, NO, "not causal"),
        ({"marker": YES, "project": YES}, YES, OPEN, "cannot tell"),  # nothing that counts for necessity
    ],
)
def test_a_direction_is_causal_if_adding_and_taking_out_both_say_so(said, sufficiency, necessity, verdict):
    found = combine(rows(**said))
    assert (found.sufficiency, found.necessity, found.verdict) == (sufficiency, necessity, verdict)
