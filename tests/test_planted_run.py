"""The dry run recovers what was planted, says PLANTED everywhere, and would notice an analysis that is wrong."""

import json

import pytest

import empathy_geometry as eg
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.studies import planted_checks
from empathy_geometry.studies.planted_checks import PARTS, Check
from empathy_geometry.studies.planted_study import planted_run

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def run():
    return planted_run(progress=False)


def test_everything_that_was_planted_is_recovered(run):
    assert {c.part for c in run.checks} == {
        "dimensionality",
        "steering",
        "bandwidth",
        "detection",
        "transfer",
        "causal",
        "SAE",
    }
    assert [c.quantity for c in run.checks if not c.inside] == []
    assert run.n_inside == len(run.checks)


def test_it_cannot_be_taken_for_a_measurement(run, tmp_path):
    assert run.provenance.kind == "planted"
    assert str(run).startswith("PLANTED DATA, NOT A MEASUREMENT")
    folder = run.save(tmp_path)
    assert {p.name for p in folder.iterdir()} == {
        "PLANTED_planted.json",
        *(f"PLANTED_report.{s}" for s in ("md", "html", "pdf")),
    }
    saved = json.loads((folder / "PLANTED_planted.json").read_text())
    assert saved["provenance"]["kind"] == "planted"
    assert len(saved["checks"]) == len(run.checks)
    assert (folder / "PLANTED_report.md").read_text().startswith("# PLANTED")


def test_a_wrong_analysis_would_be_noticed(monkeypatch):
    """The naive participation ratio is too small; taken for the corrected one it must miss the truth."""
    right = planted_checks.dimensionality_of_activations

    def naive(*arguments, **options):
        found = right(*arguments, **options)
        return type(found)(**{**vars(found), "participation_ratio": found.k90})

    monkeypatch.setattr(planted_checks, "dimensionality_of_activations", naive)
    checks = planted_run(parts={"dimensionality": PARTS["dimensionality"]}, progress=False).checks
    assert [c.inside for c in checks] == [False, True]


def test_other_seeds_miss_no_more_than_chance_allows():
    """Five intervals a seed: with 95 % each, more than 5 of 40 would be suspicious."""
    cheap = {name: PARTS[name] for name in ("dimensionality", "detection")}
    checks = [c for seed in range(1, 9) for c in planted_run(parts=cheap, seed=seed, progress=False).checks]
    assert len(checks) == 40
    assert sum(not c.inside for c in checks) <= 5


def test_inside_is_decided_by_the_interval_or_the_statement():
    assert Check("p", "q", 1.0, Estimate(2.0, 0.5, 3.0)).inside
    assert not Check("p", "q", 1.0, Estimate(2.0, 1.5, 3.0)).inside
    assert not Check("p", "q", 1.0, Estimate(1.0)).inside
    assert Check("p", "q", 9.0, Estimate(2.0, 1.5, 3.0, censored="right")).inside
    assert Check("p", "q", None, "causal", "causal").inside
    assert not Check("p", "q", None, "causal", "not causal").inside


def test_a_seed_gives_the_same_table_twice():
    cheap = {"detection": PARTS["detection"]}
    assert str(planted_run(parts=cheap, seed=3, progress=False)) == str(
        planted_run(parts=cheap, seed=3, progress=False)
    )
    assert isinstance(eg.studies.planted_run(parts=cheap, progress=False), eg.results.PlantedRun)
