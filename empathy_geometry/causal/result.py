"""What `causal_effects` found: one row per test, one verdict per direction, every number with its controls."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from empathy_geometry.causal.dose_response import DoseResponse
from empathy_geometry.causal.specificity import SpecificityMatrix
from empathy_geometry.foundation._types import FloatArray, Layer
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.html_table import html_table
from empathy_geometry.foundation.json_codec import to_json
from empathy_geometry.foundation.provenance import Provenance
from empathy_geometry.foundation.terminal import printable

if TYPE_CHECKING:
    import pandas as pd

Test = Literal["sufficiency", "necessity", "damage", "prompt baseline"]
Readout = Literal["marker tokens", "later layers", "written text", "neutral text"]
RowVerdict = Literal["supported", "not supported", "cannot tell", ""]
Verdict = Literal["causal", "not causal", "cannot tell"]


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

    def to_dict(self) -> dict[str, Any]:
        """Every field, ready for JSON."""
        return {
            "direction": self.direction,
            "test": self.test,
            "readout": self.readout,
            "operation": self.operation,
            "effect": self.effect.to_dict(),
            "controls": {kind: np.asarray(values).tolist() for kind, values in self.controls.items()},
            "pvalue": self.pvalue,
            "before": None if self.before is None else self.before.to_dict(),
            "after": None if self.after is None else self.after.to_dict(),
            "verdict": self.verdict,
            "note": self.note,
        }


@dataclass(frozen=True)
class CausalVerdict:
    """What the rows say about one direction together.

    Attributes:
        verdict: "causal" needs sufficiency and necessity; see `verdicts.combine`.
        sufficiency: Of all its sufficiency rows that count.
        necessity: Of all its necessity rows that count.
        reason: In words.
    """

    verdict: Verdict
    sufficiency: RowVerdict
    necessity: RowVerdict
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Every field, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class CausalEffects:
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

    @printable
    def __str__(self) -> str:
        from empathy_geometry.causal.tables import effects_table

        return effects_table(self)

    @printable
    def __repr__(self) -> str:
        verdicts = ", ".join(f"{name}: {v.verdict}" for name, v in self.verdicts.items())
        return f"CausalEffects({verdicts}; layer {self.layer}, {len(self.rows)} tests)"

    def _repr_html_(self) -> str:
        rows = [{"direction": name, **v.to_dict()} for name, v in self.verdicts.items()]
        return html_table(f"Causal effects, edited after layer {self.layer}", rows, notes=self.notes)

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        described: dict[str, Any] = to_json(
            {
                "study": "causal_effects",
                "provenance": self.provenance.to_dict(),
                "verdicts": {name: v.to_dict() for name, v in self.verdicts.items()},
                "rows": [row.to_dict() for row in self.rows],
                "doses": {d: {r: dose.to_dict() for r, dose in by.items()} for d, by in self.doses.items()},
                "specificity": {readout: m.to_dict() for readout, m in self.specificity.items()},
                "readouts": {d: {r: e.to_dict() for r, e in by.items()} for d, by in self.readouts.items()},
                "markers": {d: [list(side) for side in sides] for d, sides in self.markers.items()},
                "texts": {name: list(written) for name, written in self.texts.items()},
                "prompts": list(self.prompts),
                "layer": self.layer,
                "readout_layers": list(self.readout_layers),
                "alphas": list(self.alphas),
                "units": self.units,
                "lengths": dict(self.lengths),
                "notes": list(self.notes),
            }
        )
        return described

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
                    "pvalue": row.pvalue,
                    "auroc_before": None if row.before is None else row.before.value,
                    "auroc_after": None if row.after is None else row.after.value,
                    "verdict": row.verdict,
                }
                for row in self.rows
            ]
        )
