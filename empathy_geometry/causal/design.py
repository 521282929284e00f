"""How `causal_effects` tests: doses, readouts, controls and numbers of texts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from empathy_geometry.foundation._validation import check_choice
from empathy_geometry.foundation.settings import Settings, check_count
from empathy_geometry.geometry.direction_units import UNITS, Units
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.models.chat_template import template_day
from empathy_geometry.steering.sweep_design import NEUTRAL_TEXTS

_FEWEST_CONTROLS = 20
_PARTS_OF_THE_NORM = (-0.1, -0.05, 0.05, 0.1)


@dataclass(frozen=True)
class CausalDesign(Settings):
    """Settings of the causal tests.

    Attributes:
        alphas: Doses, at least one above zero; effects are those of the largest. None adds and takes away a twentieth
            and a tenth of the mean residual norm, one length for all directions.
        units: Of the alphas, as in `SteeringHook`: None is each direction's own class gap where it has one, else "raw".
            "residual_norm" is the mean norm of the readout texts at the layer.
        readout_layers: Where probes read; None takes four after the edited one.
        probe: Kind of probe; None is `Probe("logistic")`. "lda" reads well and is a poor witness: it leans on
            directions that hardly vary in natural text, which any edit moves (it fails on the planted transformer).
        n_markers: Marker tokens to choose on each side, for directions that were given none.
        n_random: Random directions, at least 20.
        n_shuffled: Directions of shuffled labels; 0 for none, otherwise at least 20.
        n_scenarios: Test scenarios on which edits run.
        n_prompts: Prompts to take from held-out scenarios; 0 writes no text.
        prompts: User messages that the model answers; None takes `n_prompts` from held-out scenarios.
        markers: Marker words for and against, by direction, single tokens; chosen from the data for the others.
        prompt_baselines: Instructions to compare with, by direction; the others are asked for "a POSITIVE way".
        max_new_tokens: Length of the written texts.
        date: The day that a chat template writes, as in `generate`.
        neutral_texts: Text on which edits should do no damage.

    Raises:
        TypeError: a name that is no setting, or a count that is no whole number.
        ValueError: a setting with which no test could be made.

    Example:
        >>> CausalDesign(n_prompts=0, n_scenarios=6).n_random
        20
    """

    alphas: Sequence[float] | None = None
    units: Units | None = None
    readout_layers: Sequence[int] | None = None
    probe: Probe | None = None
    n_markers: int = 20
    n_random: int = 20
    n_shuffled: int = 20
    n_scenarios: int = 8
    n_prompts: int = 6
    prompts: Sequence[str] | None = None
    markers: Mapping[str, tuple[Sequence[str], Sequence[str]]] = field(default_factory=dict)
    prompt_baselines: Mapping[str, str] = field(default_factory=dict)
    max_new_tokens: int = 24
    date: str | None = None
    neutral_texts: Sequence[str] = NEUTRAL_TEXTS

    def __post_init__(self) -> None:
        check_choice(self.units, "units", (None, *UNITS))
        if self.alphas is None and self.units not in (None, "residual_norm"):
            raise ValueError(
                f"units={self.units!r} needs alphas=...; the doses of alphas=None are of the residual norm"
            )
        if not isinstance(self.probe, Probe | None):
            raise TypeError(f"probe must be a Probe or None, got {type(self.probe).__name__}")
        doses = self.doses
        if not doses or not np.isfinite(doses).all() or doses[-1] <= 0:
            raise ValueError(f"alphas must be finite and one of them above zero, got {list(self.alphas or ())}")
        for name, least in (("n_markers", 1), ("n_random", 0), ("n_shuffled", 0), ("n_prompts", 0)):
            check_count(getattr(self, name), name, least)
        check_count(self.max_new_tokens, "max_new_tokens", 1)
        template_day(self.date)
        if self.prompts is not None and (isinstance(self.prompts, str) or len(self.prompts) < 2):
            raise ValueError(
                "prompts must be two strings at least, so that there is an interval over them; try four or more"
            )
        check_count(self.n_scenarios, "n_scenarios", 4)
        if self.n_random < _FEWEST_CONTROLS or 0 < self.n_shuffled < _FEWEST_CONTROLS:
            raise ValueError(
                f"n_random must be at least {_FEWEST_CONTROLS}, n_shuffled too or 0, got {self.n_random} and "
                f"{self.n_shuffled}: with fewer controls no p can reach 0.05"
            )
        if self.n_prompts == 1:
            raise ValueError("n_prompts must be 0 or at least 2, so that there is an interval over them, got 1")
        if isinstance(self.neutral_texts, str) or len(self.neutral_texts) < 2:
            raise ValueError("neutral_texts must be two texts at least, so that there is an interval over them")

    def check_directions(self, names: Iterable[str]) -> None:
        """Raise ValueError where markers or prompt baselines are of other directions than these."""
        known = sorted(names)
        for what in ("markers", "prompt_baselines"):
            unknown = sorted(set(getattr(self, what)) - set(known))
            if unknown:
                raise ValueError(f"{what} names {unknown}, the directions are {known}")

    @property
    def doses(self) -> tuple[float, ...]:
        """The alphas other than 0, each once, ascending."""
        given = _PARTS_OF_THE_NORM if self.alphas is None else self.alphas
        return tuple(sorted({float(a) for a in given if a != 0}))

    @property
    def dose_units(self) -> Units | None:
        """The unit of the doses; None where each direction's own counts."""
        return "residual_norm" if self.alphas is None else self.units
