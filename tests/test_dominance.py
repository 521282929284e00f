"""A scenario that carries a second moment is named: in a warning and in the result."""

import numpy as np
import pytest
import torch

import empathy_geometry as eg
from empathy_geometry.activations.dominance import dominant_scenarios
from empathy_geometry.dimensionality import dimensionality, dimensionality_of_activations

NAMES = np.array([f"s{i:02d}" for i in range(30)])


def _activations(scale: float) -> eg.Activations:
    """Thirty pairs, the difference of s07 longer by a factor."""
    draw = torch.Generator().manual_seed(0)
    base = torch.randn(30, 1, 40, generator=draw)
    shift = 3 + torch.randn(30, 1, 40, generator=draw)
    shift[7] *= scale
    values = torch.stack([base, base + shift], dim=1).reshape(60, 1, 40)
    return eg.Activations(values, (0,), ["plain", "warm"] * 30, np.repeat(NAMES, 2))


def test_shares_by_hand() -> None:
    squares = np.ones(30)
    squares[3] = 29 / 3
    assert dominant_scenarios(squares, NAMES) == {"s03": pytest.approx(0.25)}
    squares[3] = 7.2
    assert dominant_scenarios(squares, NAMES) == {}
    # Of four scenarios, one with twice an equal share is nothing unusual.
    assert dominant_scenarios(np.array([3.0, 1, 1, 1]), NAMES[:4]) == {}
    assert dominant_scenarios(np.zeros(3), NAMES[:3]) == {}


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_dimensionality_names_it(scale: float) -> None:
    acts = _activations(scale)
    if scale == 1:
        found = dimensionality_of_activations(acts, positive="warm", negative="plain", layer=0, null=None)
        assert found.dominant == {}
        assert "carried by" not in str(found)
        return
    with pytest.warns(
        eg.activations.DominantScenarioWarning, match=r"the dimensionality is carried by .*'s07' \(9\d%\)"
    ):
        found = dimensionality_of_activations(acts, positive="warm", negative="plain", layer=0, null=None)
    assert list(found.dominant) == ["s07"]
    assert "'s07'" in str(found)
    assert "s07" in found.to_dict()["dominant"]


def test_rows_without_names_are_numbered() -> None:
    acts = _activations(30.0)
    differences, _ = eg.activations.paired_differences(
        acts.layer(0), acts.labels, acts.groups, positive="warm", negative="plain"
    )
    with pytest.warns(eg.activations.DominantScenarioWarning, match="'7'"):
        dimensionality(differences)


@pytest.mark.parametrize("method", ["mean_difference", "pairs", "lda"])
def test_directions_name_it(method, tmp_path) -> None:
    fit = eg.ConceptDirection.from_activations
    assert fit(_activations(1.0), positive="warm", negative="plain", layer=0, method=method).quality.dominant == {}
    with pytest.warns(eg.activations.DominantScenarioWarning, match="the direction is carried by .*'s07'"):
        found = fit(_activations(30.0), positive="warm", negative="plain", layer=0, method=method)
    assert list(found.quality.dominant) == ["s07"]
    loaded = eg.ConceptDirection.load(found.save(tmp_path / "d.safetensors"))
    assert loaded.quality.dominant == found.quality.dominant


def test_subspaces_name_it() -> None:
    with pytest.warns(eg.activations.DominantScenarioWarning, match="the subspace is carried by .*'s07'"):
        eg.Subspace.from_activations(_activations(30.0), positive="warm", negative="plain", layer=0)
