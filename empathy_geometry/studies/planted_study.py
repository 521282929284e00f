"""The whole analysis on data with a known truth: what was planted, what was found, and whether the interval has it."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from tqdm.auto import tqdm

from empathy_geometry.foundation.provenance import Provenance
from empathy_geometry.foundation.result_file import title
from empathy_geometry.foundation.table import Table
from empathy_geometry.reports.study import Study
from empathy_geometry.steering.search import SearchDesign
from empathy_geometry.studies.bandwidth import Bandwidth, measure_bandwidth
from empathy_geometry.studies.bandwidth_design import BandwidthDesign
from empathy_geometry.studies.planted_checks import PARTS, Check


@dataclass(frozen=True, eq=False)
class PlantedRun(Study):
    """Result of `planted_run`. Never a measurement.

    Attributes:
        checks: What was planted and what was found, one a line.
        provenance: Of kind "planted".
    """

    checks: tuple[Check, ...]
    provenance: Provenance

    @property
    def n_inside(self) -> int:
        """How many truths were recovered."""
        return sum(c.inside for c in self.checks)

    @property
    def study(self) -> str:
        """Name of the study; its file is called after it."""
        return "planted"

    def tables(self) -> tuple[Table, ...]:
        """Part, quantity, truth, what was found with its interval, whether it holds the truth."""
        rows = [
            {
                "part": c.part,
                "quantity": c.quantity,
                "planted truth": c.truth_shown,
                "recovered": c.recovered_shown,
                "inside?": "yes" if c.inside else "NO",
            }
            for c in self.checks
        ]
        intervals = sum(c.truth is not None for c in self.checks)
        note = (
            f"{self.n_inside} of {len(self.checks)} recovered; of {intervals} 95 % intervals about "
            f"{0.05 * intervals:.1f} miss their truth by chance"
        )
        return (Table.of(title("What was planted and what was found", "planted"), rows, notes=[note]),)

    def json_content(self) -> dict[str, Any]:
        """Every field, and whether each truth was recovered."""
        checks = [asdict(c) | {"inside": c.inside} for c in self.checks]
        return super().json_content() | {"checks": checks, "n_inside": self.n_inside}


def planted_run(
    *,
    parts: Mapping[str, Callable[[int], list[Check]]] = MappingProxyType(PARTS),
    seed: int = 0,
    progress: bool = True,
) -> PlantedRun:
    """Push data with a known truth through the functions that the studies are made of.

    Dimensionality (a spectrum), steering range (a transformer whose text breaks at a known alpha), bandwidth (both),
    detection (a known d', shuffled labels), transfer (one direction for all contexts, or one for each), causal tests (a
    direction that drives the model, one that can only be read), SAE agreement (a known dictionary).

    Args:
        parts: Which to run, by name.
        seed: Of everything that is drawn.
        progress: Show a bar (never when the output is not a terminal).

    Example:
        >>> print(planted_run())  # doctest: +SKIP
    """
    checks: list[Check] = []
    bar = tqdm(parts.items(), desc="planted", unit="part", disable=None if progress else True)
    for name, part in bar:
        bar.set_postfix_str(name)
        checks += part(seed)
    return PlantedRun(
        tuple(checks), Provenance("planted", model={"name": "planted"}, seed=seed, settings={"parts": list(parts)})
    )


def planted_bandwidth(
    *, seed: int = 0, model_seed: int | None = None, n_scenarios: int = 40, progress: bool = True
) -> Bandwidth:
    """`measure_bandwidth` as it is on the planted transformer and its texts, for a result that reports can be tried on.

    Args:
        seed: Of texts and study.
        model_seed: Of the model's basis and noise; None takes `seed`.
        n_scenarios: How many.
        progress: Show bars.
    """
    from empathy_geometry.planted.texts import planted_texts
    from empathy_geometry.planted.transformer import planted_model

    model, _ = planted_model(seed=seed if model_seed is None else model_seed)
    texts = planted_texts(n_scenarios, seed=seed)
    return measure_bandwidth(
        model,
        texts.where(label=["first", "neutral"]),
        control=texts.where(label=["second", "neutral"]),
        design=BandwidthDesign("first", "neutral", search=SearchDesign(max_new_tokens=12), n_permutations=199),
        seed=seed,
        progress=progress,
    )
