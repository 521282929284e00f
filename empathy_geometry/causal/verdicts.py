"""The rules by which numbers become verdicts; fixed before anything is measured.

A row is judged by `judge`: the effect must be consistent over scenarios and larger than that of nearly all directions
that mean nothing. A direction is judged by `combine`: "causal" needs sufficiency (adding it moves the output and the
later layers) and necessity (without it the classes come closer there), because adding a vector can move a readout that
the model never drives that way, and taking one out can break what it has nothing to do with. What the model writes is
shown beside, and does not enter: at doses that leave text intact, greedy text often does not change at all.

A p-value says that an effect is not nothing, not how large it is: a direction that is 98 % inert has a fifth of what
drives in it, and beats random ones as the driver does. So each effect is also a share of the distance between the
classes on unedited texts, and with less than half of it a direction is "weakly causal".
"""

from collections.abc import Sequence

from empathy_geometry.causal.result import CausalEffect, CausalVerdict, RowVerdict, Verdict
from empathy_geometry.foundation.estimate import Estimate

SIGNIFICANT = 0.05
"""At most so many of the controls may reach an effect that is called supported."""

WITHIN_CONTROLS = 0.2
"""If so many of the controls reach it, an effect is called not supported."""

FEWEST_SCENARIOS = 6
"""With fewer test scenarios even effects of one sign in all of them are no evidence: 2 / 2^5 > 0.05. The rank among 20
controls can still be the smallest possible, 1/21, since it says nothing about scenarios."""

LARGE_SHARE = 0.5
"""A direction that is called causal moves a readout by so much of the classes' distance at least."""

COUNTING = ("marker tokens", "later layers")
"""Readouts on which the verdict rests."""


def judge(effect: Estimate, pvalue: float | None, readout: Estimate) -> tuple[RowVerdict, str]:
    """Verdict of one row, and why.

    "supported": interval above zero and p <= 0.05, in six test scenarios or more. "not supported": p > 0.2, or the
    interval lies below zero. "cannot tell": in between, or fewer scenarios, or the readout itself does not tell the
    classes apart on unedited texts.

    Args:
        effect: With its interval over scenarios.
        pvalue: By rank among the controls.
        readout: AUROC of the readout on unedited, held-out texts.

    Example:
        >>> good = Estimate(0.9, 0.8, 0.95)
        >>> judge(Estimate(1.0, 0.5, 1.5), 0.04, good)[0], judge(Estimate(0.1, -0.1, 0.3), 0.6, good)[0]
        ('supported', 'not supported')
        >>> judge(Estimate(1.0, 0.5, 1.5), 0.04, Estimate(0.5, 0.4, 0.6))[0]
        'cannot tell'
    """
    if readout.low is None or readout.low <= 0.5:
        return "cannot tell", "the readout does not tell the classes apart on unedited texts"
    if pvalue is None:
        return "cannot tell", "no controls or no interval"
    if effect.high is not None and effect.high < 0:
        return "not supported", "it moves the other way"
    if pvalue > WITHIN_CONTROLS:
        return "not supported", "directions that mean nothing do as much"
    if effect.low is None or effect.high is None:
        return "cannot tell", "no controls or no interval"
    if 0 < effect.n_groups < FEWEST_SCENARIOS:
        return "cannot tell", f"{effect.n_groups} test scenarios are too few, whatever p is"
    if pvalue <= SIGNIFICANT and effect.low > 0:
        return "supported", ""
    if pvalue <= SIGNIFICANT:
        return "cannot tell", "more than the controls, but not in every kind of scenario"
    return "cannot tell", "hardly more than the controls"


def combine(rows: Sequence[CausalEffect]) -> CausalVerdict:
    """Verdict of one direction from its rows.

    Sufficiency counts the rows "add" on marker tokens and later layers, necessity the rows "mean_ablate" (to the
    negative class's mean, which stays among values that occur; directional ablation is shown beside). Readouts that
    cannot tell the classes apart on unedited texts do not count. Each is supported if all readouts that count
    support it, not supported if none does and at least one says so; otherwise it cannot be told. A direction is
    causal if both are supported, not causal if either is not supported; otherwise it cannot be told. Where both are
    supported and the largest share of the classes' distance that adding it moves, or that taking it out closes, is
    below `LARGE_SHARE`, it is weakly causal.
    """
    sufficiency = _together([r for r in rows if r.test == "sufficiency" and r.readout in COUNTING])
    necessity = _together([r for r in rows if r.test == "necessity" and r.operation == "mean_ablate"])
    share = _size(rows)
    verdict: Verdict = "cannot tell"
    if sufficiency == "supported" and necessity == "supported":
        verdict = "causal" if share is None or share >= LARGE_SHARE else "weakly causal"
    elif "not supported" in (sufficiency, necessity):
        verdict = "not causal"
    words = {
        "supported": "{}",
        "not supported": "not {}",
        "cannot tell": "{}: cannot tell",
        "": "{}: cannot tell",
    }
    reason = ", ".join(words[v].format(name) for name, v in (("sufficient", sufficiency), ("necessary", necessity)))
    if share is not None and verdict in ("causal", "weakly causal"):
        reason += f"; {share:.0%} of the classes' distance"
    return CausalVerdict(verdict, sufficiency, necessity, reason, share)


def _size(rows: Sequence[CausalEffect]) -> float | None:
    """The smaller of what adding moves and what taking out closes, as shares, each on its best readout that counts."""
    sizes = []
    for test, operation in (("sufficiency", "add"), ("necessity", "mean_ablate")):
        shares = [
            r.share.value
            for r in rows
            if (r.test, r.operation) == (test, operation) and r.readout in COUNTING and r.share is not None
        ]
        if not shares:
            return None
        sizes.append(max(shares))
    return min(sizes)


def _together(rows: Sequence[CausalEffect]) -> RowVerdict:
    said = [r.verdict for r in rows if not r.note.startswith("the readout does not tell")]
    if said and all(v == "supported" for v in said):
        return "supported"
    if "not supported" in said and "supported" not in said:
        return "not supported"
    return "cannot tell"
