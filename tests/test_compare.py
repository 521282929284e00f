"""Comparisons: known ratios are recovered, pairing helps where scenarios are shared, planted and measured never mix."""

import json
from dataclasses import replace

import numpy as np
import pytest
from tiny_models import tiny_bridge

import empathy_geometry as eg
from empathy_geometry.foundation.provenance import Provenance
from empathy_geometry.foundation.result_file import one_kind, read_result
from empathy_geometry.models.random_weights import randomise_weights
from empathy_geometry.studies.bandwidth import measure_bandwidth
from empathy_geometry.studies.compare import compare
from empathy_geometry.studies.planted_study import planted_bandwidth

N_BLOCKS, PER_BLOCK = 30, 2


def synthetic(
    model: str = "m",
    *,
    d: float = 10.0,
    r: float = 4.0,
    strength: float = 1.0,
    scenarios: np.ndarray | None = None,
    noise: np.ndarray | None = None,
    own: float = 0.01,
    kind: str = "measured",
    seed: int = 0,
    prefix: str = "s",
) -> dict:
    """What a bandwidth result's JSON holds, as far as comparisons read it, with a known truth."""
    rng = np.random.default_rng(seed)
    noise = np.zeros(N_BLOCKS) if noise is None else noise
    blocks = [[f"{prefix}{b}-{i}" for i in range(PER_BLOCK)] for b in range(N_BLOCKS)]
    names = sorted(n for b in blocks for n in b)
    groups = np.repeat(np.arange(len(names)), 2)
    positive = np.tile([True, False], len(names))
    shared = np.random.default_rng(99).normal(size=len(groups))
    scores = strength * positive + shared + 0.2 * rng.normal(size=len(groups))
    factors = {
        "name": "felt - plain",
        "dimensionality": {"participation_ratio": {"value": d}},
        "range_positive": {"value": r, "censored": None},
        "bandwidth": {"value": d * r},
        "sweep": {"units": "class_gap"},
        "replicates": {
            "blocks": blocks,
            "dimensionality": (d * np.exp(noise + own * rng.normal(size=N_BLOCKS))).tolist(),
            "steering_range": (r * np.exp(own * rng.normal(size=N_BLOCKS))).tolist(),
        },
    }
    return {
        "study": "bandwidth",
        "provenance": {"kind": kind, "model": {"name": model}, "texts": {"set": prefix}, "created": "now"},
        "concept": factors,
        "control": None,
        "scenarios": names,
        "evaluation": {
            "scores": scores.tolist(),
            "labels": np.where(positive, "felt", "plain").tolist(),
            "classes": ["plain", "felt"],
            "groups": groups.tolist(),
            "best_baseline": "length",
            "baseline_scores": {"length": shared.tolist()},
            "variance_inflation": 1.0,
        },
    }


def contrast(comparison, quantity):
    (found,) = [c for c in comparison.contrasts if c.quantity == quantity]
    return found


def test_a_known_ratio_is_recovered_and_no_difference_is_none():
    result = compare({"a": synthetic("a", d=20.0, seed=1), "b": synthetic("b", d=10.0, seed=2)})
    assert result._repr_html_().count("<tr>") == 2 + len(result.contrasts) + len(result.results)
    dimensions, reach = contrast(result, "dimensionality"), contrast(result, "steering range +")
    assert float(dimensions.effect) == pytest.approx(2.0)
    assert dimensions.effect.low < 2 < dimensions.effect.high
    assert dimensions.pvalue_holm < 0.001
    assert float(reach.effect) == pytest.approx(1.0)
    assert reach.pvalue > 0.5
    assert contrast(result, "bandwidth").effect.value == pytest.approx(2.0)
    assert dimensions.relation == "models"
    assert dimensions.n_shared == N_BLOCKS * PER_BLOCK


def test_pairing_cancels_what_the_scenarios_share():
    noise = 0.2 * np.random.default_rng(5).normal(size=N_BLOCKS)
    a = synthetic("a", d=11.0, noise=noise, seed=1)
    paired = contrast(compare({"a": a, "b": synthetic("b", noise=noise, seed=2)}), "dimensionality")
    apart = contrast(compare({"a": a, "b": synthetic("b", noise=noise, seed=2, prefix="t")}), "dimensionality")
    assert (paired.n_shared, apart.n_shared) == (N_BLOCKS * PER_BLOCK, 0)
    assert np.log(paired.effect.high / paired.effect.low) < 0.3 * np.log(apart.effect.high / apart.effect.low)
    assert apart.relation == "other"


def test_scores_are_compared_on_shared_scenarios():
    result = compare({"a": synthetic("a", strength=2.0, seed=1), "b": synthetic("b", strength=0.5, seed=2)})
    auroc = contrast(result, "AUROC")
    expected = [
        float(eg.auroc(r["evaluation"]["scores"], np.tile([1, 0], 60)))
        for r in (synthetic("a", strength=2.0, seed=1), synthetic("b", strength=0.5, seed=2))
    ]
    assert float(auroc.effect) == pytest.approx(expected[0] - expected[1])
    assert auroc.effect.low > 0
    # The baseline is the same for both, so the excess differs by as much.
    assert float(contrast(result, "excess over the best text-only baseline").effect) == pytest.approx(
        auroc.effect.value
    )
    assert contrast(result, "d'").effect.value > 1


def test_null_pvalues_are_not_too_small():
    pvalues = [
        contrast(compare({"a": synthetic(seed=2 * i), "b": synthetic("n", seed=2 * i + 1)}), "AUROC").pvalue
        for i in range(60)
    ]
    assert np.mean(np.array(pvalues) < 0.05) <= 0.15


def test_many_comparisons_are_corrected_together():
    result = compare({n: synthetic(n, d=10 + i, seed=i) for i, n in enumerate("abcd")})
    tested = [c for c in result.contrasts if c.pvalue is not None]
    assert len(tested) == 6 * 6
    assert all(c.pvalue_holm >= c.pvalue for c in tested)
    assert min(c.pvalue_holm for c in tested) == pytest.approx(min(c.pvalue for c in tested) * len(tested))


def test_relations_are_named():
    def relation(a, b, **options):
        return contrast(compare({"x": synthetic(a), "y": synthetic(b, **options)}), "bandwidth").relation

    assert relation("smol-instruct", "smol") == "base and instruct"
    assert relation("smol", "smol (random weights, seed 0)") == "trained and random weights"
    assert relation("smol", "other") == "models"
    assert relation("smol", "smol", prefix="t") == "concepts"


def test_censored_and_unbounded_values_are_not_compared_as_if_they_were_known():
    a, b = synthetic("a", seed=1), synthetic("b", seed=2)
    a["concept"]["range_positive"]["censored"] = "right"
    assert contrast(compare({"a": a, "b": b}), "bandwidth").effect.censored == "right"
    b["concept"]["range_positive"]["censored"] = "right"
    assert contrast(compare({"a": a, "b": b}), "bandwidth").effect is None
    b["concept"]["replicates"]["dimensionality"][3] = None
    unbounded = contrast(compare({"a": a, "b": b}), "dimensionality")
    assert unbounded.effect is None
    assert "not finite" in unbounded.note


def test_planted_and_measured_are_refused_and_so_is_anything_else(tmp_path):
    with pytest.raises(ValueError, match="planted and measured results do not go into one"):
        compare({"a": synthetic("a"), "b": synthetic("b", kind="planted")})
    with pytest.raises(ValueError, match="at least two results"):
        compare({"a": synthetic("a")})
    other = synthetic("b")
    other["concept"]["sweep"]["units"] = "residual_norm"
    with pytest.raises(ValueError, match="one unit"):
        compare({"a": synthetic("a"), "b": other})
    with pytest.raises(ValueError, match="study 'tripartite'"):
        compare([synthetic("a") | {"study": "tripartite"}, synthetic("b")])
    with pytest.raises(FileNotFoundError, match="there is no"):
        compare([tmp_path / "nowhere", tmp_path])
    with pytest.raises(ValueError, match=r"holds no bandwidth\.json"):
        compare([tmp_path, tmp_path])
    (tmp_path / "bandwidth.json").write_text('{"study": "bandwidth"')
    with pytest.raises(ValueError, match="not complete JSON"):
        read_result(tmp_path / "bandwidth.json")
    (tmp_path / "bandwidth.json").write_text('{"study": "bandwidth", "provenance": {"kind": "guessed"}}')
    with pytest.raises(ValueError, match="whether it is "):
        read_result(tmp_path / "bandwidth.json", unsigned=True)
    with pytest.raises(ValueError, match=r"bandwidth\.json has no checksum"):
        compare([tmp_path, synthetic("b")])
    (tmp_path / "bandwidth.json").write_text(json.dumps(synthetic("a")))
    assert len(compare([tmp_path, synthetic("b")], unsigned=True).results) == 2
    with pytest.raises(ValueError, match="is damaged or was changed"):
        compare({"a": synthetic("a") | {"sha256": "0" * 64}, "b": synthetic("b")})
    old = synthetic("a")
    del old["concept"]["replicates"]
    with pytest.raises(ValueError, match="measure it again"):
        compare({"a": old, "b": synthetic("b")})


def test_planted_comparisons_say_so(tmp_path):
    result = compare({n: synthetic(n, kind="planted", seed=i) for i, n in enumerate("ab")})
    assert str(result).startswith("PLANTED")
    folder = result.save(tmp_path)
    assert json.loads((folder / "PLANTED_compare.json").read_text())["provenance"]["kind"] == "planted"
    assert (folder / "PLANTED_report.md").read_text().startswith("# PLANTED")


def test_real_results_of_a_model_and_its_random_weights_compare_from_their_folders(tmp_path):
    texts, control = (
        t.where(group=np.unique(t.groups)[:n])
        for t, n in ((eg.datasets.humor_pairs(), 16), (eg.datasets.formality_pairs(), 12))
    )
    trained = tiny_bridge("llama", n_ctx=1024)
    for model in (trained, randomise_weights(trained, 0)):
        result = measure_bandwidth(
            model,
            texts,
            control=control,
            layer=1,
            design=eg.BandwidthDesign(
                layers=[1],
                search=eg.SearchDesign(n_prompts=4, max_new_tokens=4, units="residual_norm"),
                n_permutations=9,
                n_random=0,
            ),
            progress=False,
        )
        result.save(tmp_path / str(model.cfg.model_name))
        kept = replace(result, provenance=Provenance("measured"))
    assert one_kind({"x": kept.to_dict()}) == "measured"
    comparison = compare([tmp_path])
    relations = {c.relation for c in comparison.contrasts}
    assert relations == {"trained and random weights", "concept and its control"}
    paired = [c for c in comparison.contrasts if c.relation == "trained and random weights"]
    assert {c.n_shared for c in paired} == {16}
    saved = read_result(comparison.save(tmp_path / "out") / "compare.json")
    assert len(saved["contrasts"]) == len(comparison.contrasts)
    assert any(r["random_weights"] for r in saved["results"].values())


def in_both_units(model: str, *, r: float, norms: float, seed: int) -> dict:
    found = synthetic(model, r=r, seed=seed)
    found["concept"]["range_in_norms"] = {"value": norms}
    return found


@pytest.mark.parametrize(("norms", "winner"), [((2.0, 1.0), True), ((1.0, 4.3), False)])
def test_no_result_wins_in_one_unit_and_loses_in_the_other(norms, winner):
    """Class gaps of two layers are different rulers; a range is larger where residual norms agree."""
    a, b = (
        in_both_units(n, r=r, norms=x, seed=i) for i, (n, r, x) in enumerate(zip("ab", (8.0, 3.4), norms, strict=True))
    )
    result = compare({"a": a, "b": b})
    for quantity in ("steering range +", "bandwidth"):
        found = contrast(result, quantity)
        assert found.in_norms == pytest.approx(norms[0] / norms[1])
        assert (found.pvalue is not None) == winner
        assert ("no winner" in found.note) == (not winner)
    assert contrast(result, "dimensionality").in_norms is None


def test_the_table_shows_where_each_was_measured_and_what_holds_for_all_rows():
    a, b = synthetic("a", d=20.0, seed=0), synthetic("b", seed=1)
    a["provenance"] |= {"model": {"name": "a", "n_layers": 30, "d_model": 576}, "settings": {"quick": True}}
    a["layer"] = 19
    result = compare({"a": a, "b": b})
    compared = result.tables()[1].rows
    assert any("layer 19 of 30, d_model 576, template not recorded, QUICK RUN" in row for row in compared)
    assert any("layer not recorded, template not recorded" in row for row in compared)
    assert "0.0000" not in str(result)
    assert "< 0.0001" in str(result)
    for c in result.contrasts:
        if c.pvalue is not None:
            assert c.corrected.low < c.effect.low
            assert c.corrected.high > c.effect.high
            assert (c.corrected.low > 1 or c.corrected.high < 1) or c.scale == "difference" or c.pvalue_holm > 0.01


def test_scores_at_the_ceiling_get_no_interval_of_no_width():
    a, b = (synthetic(n, strength=40.0, seed=i) for i, n in enumerate("ab"))
    at_ceiling = contrast(compare({"a": a, "b": b}), "AUROC")
    assert (at_ceiling.effect.value, at_ceiling.effect.low, at_ceiling.pvalue) == (0.0, None, None)
    assert "no interval" in at_ceiling.note


def test_two_planted_models_that_differ_in_their_basis_only_do_not_differ():
    found = {f"seed {s}": planted_bandwidth(seed=0, model_seed=s, n_scenarios=16, progress=False) for s in (0, 1)}
    result = compare(found, controls=False)
    assert str(result).startswith("PLANTED")
    assert {c.relation for c in result.contrasts} == {"models"}
    assert {c.n_shared for c in result.contrasts} == {16}
    dimensions = contrast(result, "dimensionality")
    assert dimensions.pvalue_holm > 0.05
    assert dimensions.effect.low < 1 < dimensions.effect.high
