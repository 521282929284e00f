"""What `causal_effects` found: one row per test, one verdict per direction, every number with its controls."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from empathy_geometry.causal.dose_response import DoseResponse
from empathy_geometry.causal.specificity import SpecificityMatrix
from empathy_geometry.foundation._types import FloatArray, Layer
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.provenance import Provenance
from empathy_geometry.foundation.result import Result
from empathy_geometry.foundation.result_file import title
from empathy_geometry.foundation.table import Table

if TYPE_CHECKING:
    import pandas as pd

Test = Literal["sufficiency", "necessity", "damage", "prompt baseline"]
Readout = Literal["marker tokens", "later layers", "written text", "neutral text"]
RowVerdict = Literal["supported", "not supported", "cannot tell", ""]
Verdict = Literal["causal", "weakly causal", "not causal", "cannot tell"]

_UNITS = (
    "effects in standard deviations within classes (damage: nats per token); intervals over scenarios or prompts; "
    "share: of the distance between the classes, unedited"
)


@dataclass(frozen=True, eq=False)
class CausalEffect:
    """One test of one direction on one readout.

    Attributes:
        direction: Whose.
        test: "sufficiency" (adding it moves the readout), "necessity" (without it the classes come closer),
            "damage" (to text that has nothing to do with it), or "prompt baseline" (an instruction instead).
        readout: "marker tokens" (logit difference), "later layers" (probes), "written text" (what the model wrote, read
            by the unedited model) or "neutral text" (nats per token).
        operation: "add", "mean_ablate" (the projection set to the negative class's mean), "ablate" (directional
            ablation: to nought) or "instruction".
        effect: In standard deviations of the readout within classes, unedited (nats per token for damage); interval
            over scenarios. For necessity, how much closer the classes come.
        controls: The same effect of each control direction, by kind: "isotropic", "shuffled labels", and the user's
            control concepts by name.
        pvalue: Share of controls that reach the effect, (b + 1) / (m + 1), the larger one of the kinds "isotropic" and
            "shuffled labels"; None where controls were not run.
        before: AUROC of the readout between the classes, unedited (necessity only).
        after: The same under the edit (necessity only).
        verdict: "supported", "not supported" or "cannot tell", by `verdicts.judge`; "" where nothing is claimed.
        note: What a reader must know about this row.
        share: The effect as a share of the distance between the classes on the same readout, unedited (which is taken
            as known); None where the readout does not tell them apart.
    """

    direction: str
    test: Test
    readout: Readout
    operation: str
    effect: Estimate
    controls: Mapping[str, FloatArray]
    pvalue: float | None
    before: Estimate | None
    after: Estimate | None
    verdict: RowVerdict
    note: str = ""
    share: Estimate | None = None

    def cells(self) -> dict[str, str]:
        """The row as it is shown."""
        auroc = (
            "" if self.before is None or self.after is None else f"{self.before.value:.2f} -> {self.after.value:.2f}"
        )
        return {
            "direction": self.direction,
            "test": f"{self.test}, {self.readout}, {self.operation}",
            "effect": str(self.effect),
            "controls: median [5 %, 95 %]": "; ".join(f"{kind} {_spread(v)}" for kind, v in self.controls.items()),
            "p": "" if self.pvalue is None else f"{self.pvalue:.3f}",
            "share": "" if self.share is None else f"{self.share.value:.0%}",
            "AUROC": auroc,
            "verdict": self.verdict,
        }


@dataclass(frozen=True)
class CausalVerdict:
    """What the rows say about one direction together.

    Attributes:
        verdict: "causal" needs sufficiency and necessity, and a share of half the classes' distance; with less it is
            "weakly causal". See `verdicts.combine`.
        sufficiency: Of all its sufficiency rows that count.
        necessity: Of all its necessity rows that count.
        reason: In words.
        share: Of the classes' distance: the smaller of what adding the direction moves and what taking it out closes.
    """

    verdict: Verdict
    sufficiency: RowVerdict
    necessity: RowVerdict
    reason: str
    share: float | None = None


@dataclass(frozen=True, eq=False)
class CausalEffects(Result):
    """Result of `causal_effects`.

    Attributes:
        rows: Every test.
        verdicts: One per direction.
        doses: Dose-response of each direction on its own target, by direction and readout.
        specificity: Direction by target, by readout; empty with one direction.
        readouts: AUROC of each readout between the classes on held-out, unedited texts, by direction and readout: a
            readout that cannot tell the classes apart cannot show an effect.
        markers: Positive and negative marker tokens of each direction.
        texts: What the model wrote, by edit ("unedited", a direction, a control, "prompt: ..."), row by row of
            `prompts`.
        prompts: What it answered.
        layer: Where the stream was edited (after this block).
        readout_layers: Where the probes read; all are later.
        alphas: Doses, in `units`; effects are those of the largest.
        units: Unit of alpha.
        lengths: Activation units that were added at the largest alpha, by direction.
        notes: What a reader must know about this run.
        provenance: Where every number came from.
    """

    rows: tuple[CausalEffect, ...]
    verdicts: Mapping[str, CausalVerdict]
    doses: Mapping[str, Mapping[str, DoseResponse]]
    specificity: Mapping[str, SpecificityMatrix]
    readouts: Mapping[str, Mapping[str, Estimate]]
    markers: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]
    texts: Mapping[str, tuple[str, ...]]
    prompts: tuple[str, ...]
    layer: Layer
    readout_layers: tuple[int, ...]
    alphas: tuple[float, ...]
    units: str
    lengths: Mapping[str, float]
    notes: tuple[str, ...]
    provenance: Provenance

    def of(self, direction: str) -> tuple[CausalEffect, ...]:
        """The rows of one direction.

        Raises:
            ValueError: there is no such direction.
        """
        if direction not in self.verdicts:
            raise ValueError(f"direction must be one of {sorted(self.verdicts)}, got {direction!r}")
        return tuple(row for row in self.rows if row.direction == direction)

    def tables(self) -> tuple[Table, ...]:
        """Verdicts, all tests, dose-response, specificity and marker tokens."""
        model = self.provenance.model.get("name", "?")
        lengths = ", ".join(f"{n} {v:.3g}" for n, v in self.lengths.items())
        heading = title(
            f"Causal effects in {model}, stream edited after block {self.layer}, probes at "
            f"{', '.join(map(str, self.readout_layers))}, dose {max(self.alphas):g} {self.units} ({lengths} activation "
            f"units)",
            self.provenance.kind,
        )
        verdicts = [{"direction": name, **vars(v)} for name, v in self.verdicts.items()]
        doses = [
            {
                "direction": name,
                "readout": readout,
                "AUROC unedited": self.readouts[name][readout],
                "slope": dose.slope,
                "Spearman": dose.spearman,
                "the other way": f"{dose.opposed:.0%}",
            }
            for name, by_readout in self.doses.items()
            for readout, dose in by_readout.items()
        ]
        markers = [
            {
                "direction": name,
                **{s: " ".join(w.strip() for w in side[:8]) for s, side in zip("+-", sides, strict=True)},
            }
            for name, sides in self.markers.items()
        ]
        found = [
            Table.of(heading, verdicts, notes=[f"note: {note}" for note in self.notes]),
            Table.of("Tests", [row.cells() for row in self.rows], notes=[_UNITS]),
            Table.of("Dose-response", doses),
            *(replace(m.tables()[0], title=f"Specificity on {readout}") for readout, m in self.specificity.items()),
            Table.of("Marker tokens", markers),
        ]
        return tuple(table for table in found if table.rows)

    def json_content(self) -> dict[str, Any]:
        """Every field."""
        return {"study": "causal_effects"} | super().json_content()

    def to_frame(self) -> "pd.DataFrame":
        """One row per test, as a pandas DataFrame (pandas must be installed)."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "direction": row.direction,
                    "test": row.test,
                    "readout": row.readout,
                    "operation": row.operation,
                    "effect": row.effect.value,
                    "low": row.effect.low,
                    "high": row.effect.high,
                    **{f"control: {kind}": float(np.median(values)) for kind, values in row.controls.items()},
                    "share": None if row.share is None else row.share.value,
                    "pvalue": row.pvalue,
                    "auroc_before": None if row.before is None else row.before.value,
                    "auroc_after": None if row.after is None else row.after.value,
                    "verdict": row.verdict,
                }
                for row in self.rows
            ]
        )


def _spread(values: np.ndarray) -> str:
    if len(values) == 1:
        return f"{values[0]:.3f}"
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
    return f"{middle:.3f} [{low:.3f}, {high:.3f}]"
