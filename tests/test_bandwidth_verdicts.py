"""Verdicts of a bandwidth: a claim against several others holds against all of them or not at all."""

from types import SimpleNamespace

import numpy as np
import pytest

from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.steering.bits import BandwidthInBits
from empathy_geometry.studies.bandwidth_verdicts import bandwidth_findings


def estimate(low, high, censored=None, **more):
    return {"value": (low + high) / 2, "low": low, "high": high, "level": 0.95, "censored": censored, **more}


def content(**changed):
    """A bandwidth result with the fields that the table reads."""

    def factors(name, shift):
        ends = estimate(2.0 + shift, 3.0 + shift)
        return {
            "name": name,
            "sweep": {"units": "class_gap"},
            "dimensionality": {"participation_ratio": ends},
            "range_positive": ends,
            "range_negative": ends,
            "range_in_norms": ends,
            "bandwidth": ends,
            "bits": None,
        }

    return {
        "evaluation": {"auroc": estimate(0.7, 0.9), "d_prime": None, "excess": None, "best_baseline": None},
        "permutation": {"null_distribution": [0.4, 0.6], "pvalue": 0.01, "layers": [0, 1]},
        "concept": factors("warm - plain", 0.0),
        "control": factors("formal - plain", -2.0),
        "random_directions": {},
        **changed,
    }


def made(value, key=""):
    """The same as objects."""
    if not isinstance(value, dict):
        return np.asarray(value) if key == "null_distribution" else value
    if "pvalue" in value and "ceiling" in value:
        return BandwidthInBits(**value)
    if "level" in value:
        return Estimate(**value)
    if key in ("random", "baselines"):
        return {name: made(item) for name, item in value.items()}
    return SimpleNamespace(**{name: made(item, name) for name, item in value.items()})


def rows(found):
    found = {"transfer": None, "sae": None} | found
    fields = made(found | {"random": found["random_directions"]})
    names = ("concept", "control", "evaluation", "permutation", "random", "transfer", "sae")
    findings = bandwidth_findings(**{name: getattr(fields, name) for name in names})
    return [(*f.cells.values(), f.rule) for f in findings]


def row(found, question):
    return next(r for r in rows(found) if question in r[0])


QUESTION = "larger than random directions'?"


@pytest.mark.parametrize(
    ("others", "verdict"),
    [
        ([(0.5, 1.0), (1.0, 1.9)], "supported"),
        ([(0.5, 1.0), (1.0, 2.1)], "cannot tell"),  # above one of them only
        ([(3.1, 4.0), (1.0, 1.9)], "not supported"),  # one of them lies above
        ([(3.1, 4.0), (2.5, 3.5)], "not supported"),
        ([(2.9, 4.0), (0.5, 1.0)], "cannot tell"),
        ([(0.5, 2.0)], "cannot tell"),  # touching is not above
        ([(3.0, 4.0)], "cannot tell"),
        ([(None, None), (0.5, 1.0)], "cannot tell"),
    ],
)
def test_a_range_must_exceed_those_of_all_random_directions(others, verdict):
    randoms = {f"isotropic {k}": estimate(low or 0.7, high or 0.7) for k, (low, high) in enumerate(others)}
    for e, (low, high) in zip(randoms.values(), others, strict=True):
        e.update(low=low, high=high)
    for ordered in (randoms, dict(reversed(randoms.items()))):
        assert row(content(random_directions=ordered), QUESTION)[3] == verdict


def test_a_bound_that_was_not_reached_shows_nothing_smaller():
    censored = {"a": estimate(0.5, 1.0, "right"), "b": estimate(0.5, 1.0)}
    assert row(content(random_directions=censored), QUESTION)[3] == "cannot tell"
    above = {"a": estimate(5.0, 6.0)}
    own = content(random_directions=above)
    assert row(own, QUESTION)[3] == "not supported"
    own["concept"]["range_positive"] = estimate(2.0, 3.0, "right")
    assert row(own, QUESTION)[3] == "cannot tell"


def test_ranges_beside_the_control_are_judged_by_both_intervals():
    apart = content()
    assert row(apart, "dimensions than the control")[3] == "supported"
    assert row(apart, "larger than the control's")[3] == "supported"
    swapped = content(concept=apart["control"], control=apart["concept"])
    assert row(swapped, "dimensions than the control")[3] == "not supported"
    touching = content()
    touching["control"]["dimensionality"]["participation_ratio"] = estimate(1.0, 2.5)
    assert row(touching, "dimensions than the control")[3] == "cannot tell"
    assert row(content(control=None), "dimensions than the control")[2:] == ("no control", "", "")
    # Shown, not judged.
    assert row(apart, "away from the concept")[3] == ""
    assert row(apart, "mean residual norms")[3] == ""


@pytest.mark.parametrize(("pvalue", "verdict"), [(0.01, "supported"), (0.05, "supported"), (0.051, "cannot tell")])
def test_reading_is_supported_by_its_p(pvalue, verdict):
    test = {"null_distribution": [0.4, 0.7], "pvalue": pvalue, "layers": [0, 1, 2]}
    found = row(content(permutation=test), "Can it be read?")
    assert found[3] == verdict
    assert "mean 0.550" in found[2]
    assert "largest of 3 layers" in found[4]
    bits = content()
    bits["concept"]["bits"] = estimate(0.5, 0.9, pvalue=pvalue, ceiling=2.0, null_95=0.4)
    assert row(bits, "Bits of alpha")[3] == verdict


@pytest.mark.parametrize(
    ("low", "high", "transfer", "words"),
    [
        (0.6, 1.1, "supported", "supported"),
        (0.5, 1.1, "cannot tell", "supported"),
        (0.4, 0.5, "not supported", "supported"),
        (0.0, 0.4, "not supported", "cannot tell"),
        (-0.2, 0.0, "not supported", "not supported"),
    ],
)
def test_thresholds_are_one_half_for_transfer_and_zero_for_words(low, high, transfer, words):
    found = content(transfer={"ratio": estimate(low, high)})
    found["evaluation"] |= {
        "excess": estimate(low, high),
        "best_baseline": "tfidf",
        "baselines": {"tfidf": estimate(0.5, 0.6)},
    }
    assert row(found, "other contexts")[3] == transfer
    assert row(found, "More than the words")[3] == words


def test_d_prime_is_shown_where_it_is_defined():
    assert not any(r[0].startswith("d'") for r in rows(content()))
    with_it = content()
    with_it["evaluation"]["d_prime"] = estimate(1.0, 2.0)
    assert row(with_it, "d', held out")[1].startswith("1.500")
    assert [r[0] for r in rows(content()) if "words" in r[0]] == []
