"""The table to read first: what was asked, what came out, what it is compared with, and the verdict with its rule."""

from collections.abc import Iterator, Mapping
from typing import Any

from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.plots.reading import read_estimate
from empathy_geometry.reports.cells import cell, table_of
from empathy_geometry.reports.document import Table
from empathy_geometry.reports.generic_tables import generic_tables

SUPPORTED, NOT, UNKNOWN = "supported", "not supported", "cannot tell"

_ALPHA = 0.05


def headline_tables(content: Mapping[str, Any]) -> tuple[Table, ...]:
    """A study's own table and verdicts where it has them; else what its fields say.

    Claims (dictionaries with "claim" and "verdict", in "table" or anywhere below) come first. "table" may also be
    {"columns": [...], "rows": [[...]]}. Of a study that nobody foresaw, every field that can be a table becomes one.
    """
    own = content.get("table")
    if isinstance(own, Mapping) and {"columns", "rows"} <= set(own):
        rows = tuple(tuple(cell(c) for c in row) for row in own["rows"])
        found = [Table("Results", tuple(map(str, own["columns"])), rows)]
        return (*found, *generic_tables({k: v for k, v in content.items() if k != "table"}))
    claims = list(_findings(own)) or list(_findings(content))
    if claims:
        return (_claims_table(claims),)
    if {"concept", "control", "random_directions"} <= set(content):
        found = [bandwidth_table(content)]
        return (*found, *generic_tables({"verdicts": content["verdicts"]})) if content.get("verdicts") else tuple(found)
    return generic_tables(content)


def verdict_rules(content: Mapping[str, Any]) -> tuple[str, ...]:
    """How the claims of a study became verdicts, each rule once, with the first claim that it judges."""
    rules = {f["rule"]: f["claim"] for f in reversed(list(_findings(content))) if f.get("rule")}
    return tuple(f'Verdict on "{claim}" and its like: {rule}.' for rule, claim in reversed(rules.items()))


def _claims_table(claims: list[Mapping[str, Any]]) -> Table:
    rows = []
    for claim in claims:
        ours = claim.get("ours")
        shown = "not defined" if ours is None else cell(ours)
        rest = {
            k: v for k, v in claim.items() if k not in ("claim", "key", "quantity", "ours", "rule", "verdict", "note")
        }
        measured = {"measured": f"{claim.get('quantity', '')} {shown}".strip()} if "ours" in claim else {}
        rows.append(
            {"claim": claim["claim"], **measured, "verdict": claim["verdict"], **rest, "note": claim.get("note")}
        )
    return table_of("Claims", rows)


def bandwidth_table(content: Mapping[str, Any]) -> Table:
    """Questions that a bandwidth result answers, with verdicts by fixed rules."""
    concept, control = content["concept"], content["control"]
    units = concept["sweep"]["units"].replace("_", " ") + "s"
    rows: list[tuple[str, str, str, str, str]] = []
    rows += _detection_rows(content)
    rows += [
        ("More dimensions than the control?", *_beside(concept, control, "dimensionality", judged=True)),
        (
            f"Range towards the concept ({units}): larger than the control's?",
            *_beside(concept, control, "range_positive", judged=True),
        ),
        *_random_rows(content, units),
        (f"Range away from the concept ({units})", *_beside(concept, control, "range_negative")),
        ("Range towards the concept (mean residual norms)", *_beside(concept, control, "range_in_norms")),
        (
            f"Bandwidth (dimensions x {units}): larger than the control's?",
            *_beside(concept, control, "bandwidth", judged=True),
        ),
    ]
    if concept.get("bits"):
        bits = concept["bits"]
        verdict = (SUPPORTED if bits["pvalue"] <= _ALPHA else UNKNOWN, f"p <= {_ALPHA}, alphas permuted within prompts")
        beside_bits = f"at most {bits['ceiling']:.3f}; 95 % point of the null {bits['null_95']:.3f}"
        rows.append(("Bits of alpha that can be read off the text", str(read_estimate(bits)), beside_bits, *verdict))
    if content.get("transfer"):
        ratio = read_estimate(content["transfer"]["ratio"])
        verdict = _threshold(ratio, 0.5, "above 1/2: more than half of the excess over chance holds elsewhere")
        rows.append(("Does it hold in other contexts? (transfer ratio)", str(ratio), "1 = as well as within", *verdict))
    columns = ("question", "concept", "beside it", "verdict", "rule: supported if")
    return Table("Results", columns, tuple(rows))


def _detection_rows(content: Mapping[str, Any]) -> list[tuple[str, str, str, str, str]]:
    e, test = content["evaluation"], content["permutation"]
    null = test["null_distribution"]
    chance = f"shuffled labels: mean {sum(null) / len(null):.3f}; p = {test['pvalue']:.4f}"
    verdict = SUPPORTED if test["pvalue"] <= _ALPHA else UNKNOWN
    over = f"p <= {_ALPHA}, largest of {len(test['layers'])} layers"
    rows = [("Can it be read? (AUROC, held out)", cell(e["auroc"]), chance, verdict, over)]
    if e.get("d_prime") is not None:
        rows.append(("d', held out", cell(e["d_prime"]), "0 = not at all", "", ""))
    if e.get("excess") is not None and e.get("best_baseline") is not None:
        base = f"best text-only baseline ({e['best_baseline']}) {cell(e['baselines'][e['best_baseline']])}"
        found = _threshold(read_estimate(e["excess"]), 0.0, "above 0")
        rows.append(("More than the words give? (AUROC above the baseline)", cell(e["excess"]), base, *found))
    return rows


def _random_rows(content: Mapping[str, Any], units: str) -> list[tuple[str, str, str, str, str]]:
    randoms = {name: read_estimate(e) for name, e in content["random_directions"].items()}
    if not randoms:
        return []
    own = read_estimate(content["concept"]["range_positive"])
    texts = "; ".join(f"{name}: {e}" for name, e in randoms.items())
    verdict = _above(own, list(randoms.values()), "the interval lies above those of all random directions")
    return [(f"Range towards the concept ({units}): larger than random directions'?", str(own), texts, *verdict)]


def _beside(
    concept: Mapping[str, Any], control: Mapping[str, Any] | None, quantity: str, *, judged: bool = False
) -> tuple[str, str, str, str]:
    """Value, control's value, and where it is judged, whether the concept's is larger."""

    def of(factors: Mapping[str, Any]) -> Estimate:
        found = factors["dimensionality"]["participation_ratio"] if quantity == "dimensionality" else factors[quantity]
        return read_estimate(found)

    own = of(concept)
    if control is None:
        return str(own), "no control", "", ""
    other = of(control)
    verdict = _above(own, [other], "the interval lies above the control's") if judged else ("", "")
    return str(own), f"{control['name']}: {other}", *verdict


def _threshold(e: Estimate, threshold: float, rule: str) -> tuple[str, str]:
    low, high = _ends(e)
    rule = f"the interval lies {rule}"
    return (SUPPORTED if low > threshold else NOT if high <= threshold else UNKNOWN), rule


def _above(e: Estimate, others: list[Estimate], rule: str) -> tuple[str, str]:
    if not others:
        return "", ""
    low, high = _ends(e)
    tops, bottoms = [_ends(o)[1] for o in others], [_ends(o)[0] for o in others]
    # A bound that was not reached cannot show that the other is smaller.
    if low > max(tops) and all(o.censored != "right" for o in others):
        return SUPPORTED, rule
    if high < max(bottoms) and e.censored != "right":
        return NOT, rule
    return UNKNOWN, rule


def _ends(e: Estimate) -> tuple[float, float]:
    if e.low is None or e.high is None:
        return float("-inf"), float("inf")
    return e.low, e.high


def _findings(value: object) -> Iterator[Mapping[str, Any]]:
    """Every claim with its verdict, wherever it lies."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _findings(item)
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, Mapping) and {"claim", "verdict"} <= set(item):
                yield item
            else:
                yield from _findings(item)
