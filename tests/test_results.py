"""What every result does alike: one line as repr, one table in print, notebook, file and page, JSON that comes back."""

import importlib
import json
import pkgutil
from dataclasses import replace
from inspect import isabstract
from pathlib import Path

import numpy as np
import pytest
import torch
from small_result import small_bandwidth
from test_pitfalls import QUICK
from test_ratings import ratings_of
from test_table import Cells
from tiny_models import tiny_bridge

import empathy_geometry as eg
from empathy_geometry.causal.dose_response import dose_response
from empathy_geometry.causal.result import CausalEffect, CausalEffects, CausalVerdict
from empathy_geometry.causal.specificity import specificity_matrix
from empathy_geometry.dimensionality.rarefaction import rarefaction
from empathy_geometry.evaluation.control_task import selectivity
from empathy_geometry.evaluation.nulls import NullTest
from empathy_geometry.evaluation.online_coding import description_length
from empathy_geometry.foundation.provenance import Provenance
from empathy_geometry.foundation.result import Result
from empathy_geometry.foundation.result_file import write_result
from empathy_geometry.foundation.table import WIDTH
from empathy_geometry.geometry.regression_probe import RegressionProbe
from empathy_geometry.planted.dictionary import planted_dictionary
from empathy_geometry.reports.study import Study
from empathy_geometry.sae.training_report import TrainingReport
from empathy_geometry.steering.card import Replay, SteeringCard
from empathy_geometry.studies.depth_profile import DepthProfile, LayerBandwidth
from empathy_geometry.studies.finding import Finding
from empathy_geometry.studies.frozen_readings import HumanTruth
from empathy_geometry.studies.label_meanings import LabelMeanings
from empathy_geometry.studies.labelled_worth import LabelledWorth
from empathy_geometry.studies.planted_checks import Check
from empathy_geometry.studies.planted_study import PlantedRun
from empathy_geometry.studies.rated_levels import LevelTruth
from empathy_geometry.studies.tripartite.result import Tripartite
from empathy_geometry.studies.tripartite.section import Section

ORIGIN = Provenance("measured", model={"name": "m \x1b[31m" + "long " * 40}, texts={"t": "0"}, seed=3)
E = eg.Estimate(2.0, 1.0, 3.0)


def _data():
    """Rows of two classes in groups."""
    rng = np.random.default_rng(0)
    y = np.tile(["a", "b"], 24)
    x = rng.normal(size=(48, 6)) + (y == "b")[:, None]
    return x, y, np.repeat(np.arange(24), 2).astype(str)


def _evaluation():
    x, y, groups = _data()
    probe = eg.Probe("lda")
    yield eg.evaluation.residualise(x, y == "b", np.arange(48.0)[:, None], groups=groups)
    yield eg.evaluation.erasure(x, y == "b", np.arange(48) % 4 < 2, groups=groups)
    yield description_length(probe, x, y, groups=groups, seed=0)
    yield selectivity(probe, x, y, groups=groups, types=np.arange(48) % 6, n_controls=3, seed=0)
    yield eg.cross_validate(RegressionProbe(), x, x[:, 0], groups=groups)
    layers = np.stack([x, x[::-1]], axis=1)
    yield eg.layer_profile(probe, layers, y, groups=groups)
    yield eg.plan_scenarios(2.0, sizes=[6, 8], n_features=4, n_simulations=10)
    yield NullTest(0.5, 0.04, np.array([0.1, 0.2]), "within")
    yield rarefaction(x, n_draws=3)
    yield eg.similarity.principal_angles(torch.eye(8)[:2], torch.eye(8)[1:3], n_draws=9)
    yield eg.similarity.random_cosine(rows=x, n_draws=99)
    yield eg.similarity.disattenuated_cosine(x[1::2], x[1::2] + 1, groups_a=groups[1::2], groups_b=groups[1::2])
    yield eg.audit_texts(eg.datasets.humor_pairs().where(group=["humor-01", "humor-02", "humor-03"]))
    yield ratings_of([[1, 2, 3], [2, 2, 5]])


def _steering():
    model = tiny_bridge("llama", n_ctx=1024)
    sweep = small_bandwidth().concept.sweep
    yield eg.steering.crossings(sweep)
    yield eg.steering.calibrate_threshold(
        model, ["a b", "c d", "e f"], n_reseeds=2, max_new_tokens=4, chat=False, shuffle="tokens"
    )
    yield eg.token_scores(model, ["one two", "three"], torch.ones(16), layer=1)
    how = {"alpha": 1.0, "units": "raw", "operation": "add", "layers": [1], "positions": "all", "target": None}
    yield SteeringCard("a - b", "0" * 64, "v", how, {"1": 1.0}, {}, {}, {}, ("p",), ("t " * 60,), ((1, 2),), ("u",))
    yield Replay(False, ("torch: 1 then, 2 now",), ("p",), (1,), ("t",), ("u " * 60,))
    effects = np.random.default_rng(0).normal(size=(2, 2, 6))
    matrix, dose = specificity_matrix(effects, ("x", "y"), seed=0), dose_response([0.0, 1.0], [[0.0, 0.0], [1.0, 2.0]])
    yield from (matrix, dose)
    row = CausalEffect("x", "sufficiency", "marker tokens", "add", E, {"isotropic": np.arange(3.0)}, 0.1, E, E, "")
    yield CausalEffects(
        (row,),
        {"x": CausalVerdict("causal", "supported", "supported", "both")},
        {"x": {"marker tokens": dose}},
        {"marker tokens": matrix},
        {"x": {"marker tokens": E}},
        {"x": (("warm",), ("plain",))},
        {"unedited": ("text",)},
        ("prompt",),
        1,
        (2,),
        (0.0, 1.0),
        "class_gap",
        {"x": 2.0},
        ("a note",),
        ORIGIN,
    )


def _sae():
    planted = planted_dictionary(n_groups=20)
    found = eg.sae_agreement(
        planted.sae,
        planted.activations,
        other=planted.sae,
        design=eg.AgreementDesign(n_draws=19, rank=2, n_splits=3),
    )
    yield found
    yield from (found.agreement, found.probing, found.quality, found.stability, found.reference)
    yield TrainingReport(3, 100, 1, 0, 200, 0.9, None, 4.0, 2, 1.5, ORIGIN, ("0",))


def _studies():
    bandwidth = small_bandwidth()
    yield bandwidth
    yield from (bandwidth.concept, bandwidth.evaluation, bandwidth.permutation, bandwidth.transfer)
    yield from (bandwidth.concept.dimensionality, bandwidth.concept.sweep)
    yield eg.compare({"a" * 60: bandwidth, "b": replace(bandwidth, provenance=ORIGIN)})
    finding = Finding(
        "a", "claim " * 40, ours=eg.Estimate(0.5, 0.2, float("inf")), verdict="supported", rule="rule " * 60
    )
    section = Section("length", "title", (finding,), {"x": bandwidth.transfer})
    yield Tripartite((section,), 3, "nested", ORIGIN, ("warm", "plain"), {"causal": "no model"})
    points = (LayerBandwidth("embed", E, None, None, None, None, None, "why"), LayerBandwidth(2, E, E, E, E, E, E))
    yield DepthProfile("warm - plain", points, "class_gap", ORIGIN)
    yield PlantedRun((Check("p", "q", 2.0, E), Check("p", "q", None, "w", "w")), replace(ORIGIN, kind="planted"))
    by = {"target": E}
    worth = LabelledWorth((20, 50), (0.6, 0.7), 0.65, 10)
    levels = (LevelTruth("target", 1.0, 5, E, E, E, E, E, worth), LevelTruth("target", 2.0, 5, E, E, E))
    yield HumanTruth(
        {"target": "warmth"}, {"target": "0" * 64}, by, by, by, by, {"target": by}, 9, 3, "rated", ORIGIN, levels
    )
    yield LabelMeanings({"warmth": {"warm": E, "plain": E}}, 9, {"warm": 4, "plain": 5})
    yield eg.results.SavedResult("", {"study": "x", "provenance": {"kind": "measured"}, "e": E.to_dict()})


@pytest.fixture(scope="module")
def results() -> list[Result]:
    demonstrations = [getattr(eg.pitfalls, name)(**options) for name, options in QUICK.items()]
    return [*_evaluation(), *_steering(), *_sae(), *_studies(), *demonstrations]


def _classes(base: type) -> set[type]:
    return {base} | {c for sub in base.__subclasses__() for c in _classes(sub)}


def test_every_class_of_results_is_here(results):
    for module in pkgutil.walk_packages(eg.__path__, "empathy_geometry."):
        importlib.import_module(module.name)
    expected = {c for c in _classes(Result) if c.__module__.startswith("empathy_geometry.") and not isabstract(c)}
    assert expected - {Result, Study} == {type(r) for r in results}


def test_repr_is_one_line_that_names_the_class(results):
    for result in results:
        assert repr(result).startswith(f"{type(result).__name__}("), type(result)
        assert "\n" not in repr(result)
        assert "\x1b" not in repr(result)
        assert len(repr(result)) <= 200


def test_print_shows_every_table_in_lines_that_fit(results):
    for result in results:
        assert result.tables(), type(result)
        lines = str(result).split("\n")
        assert "\x1b" not in str(result)
        assert max(map(len, lines)) <= WIDTH, (type(result), max(lines, key=len))
        if not isinstance(result, eg.results.TokenScores):  # shows the texts themselves, in both
            assert str(result) == "\n\n".join(table.text() for table in result.tables())


def test_notebooks_show_the_cells_of_the_same_tables(results):
    for result in results:
        if isinstance(result, eg.results.TokenScores):
            continue
        shown = Cells(result._repr_html_()).rows
        expected = [list(row) for table in result.tables() if table.rows for row in (table.columns, *table.rows)]
        assert shown == expected, type(result)


def test_json_says_its_type_and_is_finite(results):
    for result in results:
        content = json.loads(json.dumps(result.to_dict(), allow_nan=False))
        assert content == result.to_dict(), type(result)
        if not isinstance(result, eg.results.SavedResult):
            assert content["type"] == type(result).__name__
        assert len(result.to_frame()) >= 1


def test_what_is_saved_comes_back_with_its_tables(results, tmp_path: Path):
    saved = [r for r in results if "study" in r.to_dict() and not isinstance(r, eg.results.SavedResult)]
    assert {type(r).__name__ for r in saved} >= {
        "Bandwidth",
        "Tripartite",
        "Comparison",
        "CausalEffects",
        "SaeAgreement",
    }
    for i, result in enumerate(saved):
        path = write_result(tmp_path / f"{i}.json", result)
        content = json.loads(path.read_text())
        assert [t["rows"] for t in content["tables"]] == [[list(row) for row in t.rows] for t in result.tables()]
        assert content["version"]["format"] == 1
        back = eg.load_result(path)
        assert type(back) is type(result), type(result)
        assert back.to_dict() == result.to_dict()
        assert str(back) == str(result)
