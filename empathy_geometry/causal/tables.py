"""`CausalEffects` as text."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from empathy_geometry.causal.result import CausalEffect, CausalEffects

_HEAD = ("direction", "test", "readout", "operation", "effect", "controls: median [5 %, 95 %]", "p", "AUROC", "verdict")


def effects_table(result: "CausalEffects") -> str:
    """Verdicts, all rows, dose-response, specificity and notes."""
    model = result.provenance.model.get("name", "?")
    planted = "PLANTED: " if result.provenance.kind == "planted" else ""
    dose = f"{max(result.alphas):g} {result.units}"
    lines = [
        f"{planted}Causal effects in {model}: stream edited after block {result.layer}, probes at "
        f"{', '.join(map(str, result.readout_layers))}, dose {dose} "
        f"({', '.join(f'{n} {v:.3g}' for n, v in result.lengths.items())} activation units)",
        "",
        *(f"  {name}: {v.verdict.upper()} ({v.reason})" for name, v in result.verdicts.items()),
        "",
        *(f"  {line}" for line in _aligned([_HEAD, *map(_cells, result.rows)])),
        "",
        "  effects in standard deviations within classes (damage: nats per token); intervals over scenarios or prompts",
    ]
    for name, by_readout in result.doses.items():
        for readout, dose_response in by_readout.items():
            auroc = result.readouts[name][readout]
            lines.append(f"  dose-response of {name} on {readout} (AUROC unedited {auroc}): {dose_response}")
    for readout, matrix in result.specificity.items():
        lines += ["", f"  specificity on {readout} (rows: direction, columns: target)", *_indented(str(matrix))]
    for name, (up, down) in result.markers.items():
        lines.append(
            f"  markers of {name}: + {' '.join(w.strip() for w in up[:8])}; - {' '.join(w.strip() for w in down[:8])}"
        )
    return "\n".join([*lines, *(f"  note: {note}" for note in result.notes)])


def _cells(row: "CausalEffect") -> tuple[str, ...]:
    auroc = "" if row.before is None or row.after is None else f"{row.before.value:.2f} -> {row.after.value:.2f}"
    return (
        row.direction,
        row.test,
        row.readout,
        row.operation,
        str(row.effect),
        "; ".join(f"{kind} {_spread(values)}" for kind, values in row.controls.items()),
        "" if row.pvalue is None else f"{row.pvalue:.3f}",
        auroc,
        row.verdict,
    )


def _spread(values: np.ndarray) -> str:
    if len(values) == 1:
        return f"{values[0]:.3f}"
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
    return f"{middle:.3f} [{low:.3f}, {high:.3f}]"


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def _indented(text: str) -> list[str]:
    return [f"  {line}" for line in text.split("\n")]
