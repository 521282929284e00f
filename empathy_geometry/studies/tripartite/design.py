"""Which sections a study of concepts runs, and how."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from empathy_geometry.causal.design import CausalDesign
from empathy_geometry.foundation.settings import Settings, check_count

_FEWEST_PERMUTATIONS = 19


@dataclass(frozen=True)
class ConceptDesign(Settings):
    """Settings of `concept_study` and `tripartite`.

    Attributes:
        sections: Names of sections to run, or "all" that the texts allow; the first, "classification", is always there.
        without: Names of sections to leave out, such as "causal", by far the longest, or "random_weights", which
            extracts once more.
        n_permutations: Of each permutation test, at least 19.
        causal: How the causal section tests, and on which prompts, with which markers and prompt baselines.

    Raises:
        TypeError: a name that is no setting, names of sections as one string, or `causal` that is no `CausalDesign`.
        ValueError: too few permutations for p to reach 0.05.

    Example:
        >>> ConceptDesign(without=["causal"]).n_permutations
        500
    """

    sections: Literal["all"] | Sequence[str] = "all"
    without: Sequence[str] = ()
    n_permutations: int = 500
    causal: CausalDesign = CausalDesign()  # noqa: RUF009 - immutable

    def __post_init__(self) -> None:
        if isinstance(self.without, str):
            raise TypeError(f"without must be a list of sections, got {self.without!r}; try [{self.without!r}]")
        if not isinstance(self.causal, CausalDesign):
            raise TypeError(f"causal must be a CausalDesign, got {type(self.causal).__name__}")
        check_count(self.n_permutations, "n_permutations", 1)
        if self.n_permutations < _FEWEST_PERMUTATIONS:
            raise ValueError(
                f"n_permutations must be at least {_FEWEST_PERMUTATIONS}, so that p can reach 0.05, got "
                f"{self.n_permutations!r}"
            )
