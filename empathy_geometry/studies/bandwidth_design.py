"""What a bandwidth is measured of, with which probe and which search."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from empathy_geometry.foundation._types import Layer
from empathy_geometry.foundation.settings import Settings, check_count
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.steering.search import SearchDesign


@dataclass(frozen=True)
class ProfileDesign(Settings):
    """Settings of `depth_profile`.

    Attributes:
        positive: The concept's class; None takes the class that comes first in the texts.
        negative: The neutral class; None takes the other one.
        probe: None is `Probe("logistic")`.
        search: Unit of alpha, threshold, prompts (neutral messages from held-out scenarios) and length of the steered
            texts.

    Raises:
        TypeError: a name that is no setting, or a probe or search of another kind.

    Example:
        >>> ProfileDesign(positive="warm").search.n_prompts
        4
    """

    positive: str | None = None
    negative: str | None = None
    probe: Probe | None = None
    search: SearchDesign = SearchDesign(n_prompts=4, max_new_tokens=16)  # noqa: RUF009 - immutable

    def __post_init__(self) -> None:
        _check(self)

    def record(self) -> dict[str, Any]:
        """Probe and search, as a result records them."""
        return _record(self)


@dataclass(frozen=True)
class BandwidthDesign(Settings):
    """Settings of `measure_bandwidth`.

    Attributes:
        positive: The concept's class; None takes the class that comes first in the texts.
        negative: The neutral class; None takes the other one.
        layers: Layers that compete.
        probe: None is `Probe("logistic")`.
        search: Unit of alpha, threshold, prompts (neutral messages from held-out scenarios spread over the contexts)
            and length of the steered texts.
        n_permutations: Of the permutation test.
        n_random: Random directions of each kind.

    Raises:
        TypeError: a name that is no setting, a probe or search of another kind, or a count that is no whole number.
        ValueError: too small a count.

    Example:
        >>> BandwidthDesign(search=SearchDesign(n_prompts=4), n_permutations=99).search.n_prompts
        4
    """

    positive: str | None = None
    negative: str | None = None
    layers: Literal["all"] | Sequence[Layer] = "all"
    probe: Probe | None = None
    search: SearchDesign = SearchDesign()  # noqa: RUF009 - immutable
    n_permutations: int = 500
    n_random: int = 1

    def __post_init__(self) -> None:
        _check(self)
        check_count(self.n_permutations, "n_permutations", 1)
        check_count(self.n_random, "n_random", 0)

    def record(self) -> dict[str, Any]:
        """Probe, search and counts, as a result records them."""
        return {
            **_record(self),
            "n_permutations": self.n_permutations,
            "n_random": self.n_random,
            "layers": self.layers if self.layers == "all" else list(self.layers),
        }


def _check(design: ProfileDesign | BandwidthDesign) -> None:
    if not isinstance(design.search, SearchDesign):
        got = type(design.search).__name__
        raise TypeError(f"search must be a SearchDesign, got {got}; try search=SearchDesign(n_prompts=4)")
    if not isinstance(design.probe, Probe | None):
        raise TypeError(f"probe must be a Probe or None, got {type(design.probe).__name__}")


def _record(design: ProfileDesign | BandwidthDesign) -> dict[str, Any]:
    probe = Probe("logistic") if design.probe is None else design.probe
    return {"probe": " ".join(str(probe).split()), **design.search.to_dict()}
