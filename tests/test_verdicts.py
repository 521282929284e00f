"""The rules by which numbers become verdicts, at their bounds and for anything that may be found."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from empathy_geometry.causal.result import CausalEffect
from empathy_geometry.causal.verdicts import combine, judge
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.studies.verdicts import detection, greater, null_holds, specificity


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


def sized(sufficient, necessary):
    """Rows that all support a direction, which moves and closes these shares of the classes' distance."""
    kinds = [
        ("sufficiency", "marker tokens", "add", sufficient),
        ("sufficiency", "later layers", "add", sufficient / 2),
    ]
    kinds += [("necessity", r, "mean_ablate", necessary) for r in ("marker tokens", "later layers")]
    kinds += [("sufficiency", "written text", "add", 5.0), ("necessity", "later layers", "ablate", 5.0)]
    return [
        CausalEffect(
            "d", test, readout, operation, Estimate(1.0), {}, 0.01, None, None, YES, "", Estimate(share, share, share)
        )
        for test, readout, operation, share in kinds
    ]


@pytest.mark.parametrize(
    ("sufficient", "necessary", "verdict", "share"),
    [
        (1.0, 0.9, "causal", 0.9),
        (0.5, 0.5, "causal", 0.5),
        (0.2, 0.9, "weakly causal", 0.2),
        (1.0, 0.04, "weakly causal", 0.04),
    ],
)
def test_a_direction_that_moves_a_fifth_is_not_called_what_the_driver_is(sufficient, necessary, verdict, share):
    found = combine(sized(sufficient, necessary))
    assert (found.verdict, found.share) == (verdict, share)
    assert f"{share:.0%}" in found.reason


@pytest.mark.parametrize(("n_scenarios", "verdict"), [(4, OPEN), (5, OPEN), (6, YES), (40, YES)])
def test_the_smallest_possible_p_is_no_evidence_over_too_few_scenarios(n_scenarios, verdict):
    effect = Estimate(1.0, 0.5, 1.5, n_groups=n_scenarios)
    said, why = judge(effect, 1 / 21, Estimate(0.9, 0.8, 1.0))
    assert said == verdict
    assert (str(n_scenarios) in why) == (verdict == OPEN)


ENDS = st.floats(-1, 1).map(lambda x: round(x, 3))


def estimate_of(ends):
    low, high = sorted(ends)
    return Estimate((low + high) / 2, low, high)


@settings(max_examples=300, deadline=None)
@given(
    area=st.tuples(ENDS, ENDS).map(estimate_of),
    excess=st.tuples(ENDS, ENDS).map(estimate_of),
    control=st.tuples(ENDS, ENDS).map(estimate_of),
    baseline=st.sampled_from([None, Estimate(0.7), Estimate(0.98), Estimate(1.0)]),
    pvalue=st.floats(0, 1),
)
def test_interval_and_verdict_never_contradict_each_other(area, excess, control, baseline, pvalue):
    """Whatever was found: no support beside an interval that holds the null, no denial beside one that excludes it."""
    said = detection(area, excess, pvalue, baseline)
    if said == YES:
        assert excess.low > 0
        assert area.low > 0.5
        assert pvalue <= 0.05
    if said == NO:
        assert excess.high <= 0 or (pvalue > 0.05 and area.high < 0.75)
        assert baseline is None or baseline.value < 0.98
    assert (specificity(excess, control, baseline) == YES) == (excess.low > 0)
    if specificity(excess, control, baseline) == NO:
        assert excess.low <= 0 < control.low
        assert baseline is None or baseline.value < 0.98
    assert (greater(excess, 0.0) == YES) == (excess.low > 0)
    assert (greater(excess, 0.0) == NO) == (excess.high <= 0)
    if null_holds(excess, baseline) == YES:
        assert excess.low <= 0
        assert excess.high <= 0.05
    if null_holds(excess, baseline) == NO:
        assert excess.low > 0
    row, _ = judge(excess, pvalue, Estimate(0.9, 0.8, 1.0))
    if row == YES:
        assert excess.low > 0
        assert pvalue <= 0.05
    if row == NO:
        assert excess.high < 0 or pvalue > 0.2


def test_a_baseline_at_its_ceiling_leaves_nothing_to_be_told():
    at, words = Estimate(1.0, 0.93, 1.0), Estimate(-0.01, -0.06, 0.0)
    assert detection(Estimate(0.99, 0.95, 1.0), words, 0.001, at) == OPEN
    assert detection(Estimate(0.99, 0.95, 1.0), words, 0.001, Estimate(0.97)) == NO
    assert specificity(words, Estimate(0.2, 0.1, 0.3), at) == OPEN
    assert specificity(words, Estimate(0.2, 0.1, 0.3), Estimate(0.8)) == NO
    assert null_holds(words, at) == OPEN
