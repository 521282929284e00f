"""Writes docs/peers.md and docs/figures/peers.png from results.json and features.json.

python benchmarks/peers/render.py
"""

import json
import statistics
import sys
from pathlib import Path
from typing import Any

from plan import FACTS, TASKS

HERE = Path(__file__).resolve().parent
DOCS = HERE.parents[1] / "docs"
MARK = {"yes": "yes", "no": "-", "partly": "partly"}
HEAD = """# Side by side with the peers

What the nearest libraries do, beside what this one does: the same work, timed together, and the same traps. Everything
on this page was written by `python benchmarks/peers/render.py` from what `python benchmarks/peers/run.py` measured and
from `benchmarks/peers/features.json`; the words about losses are kept in `benchmarks/peers/notes.json`.
"""
METHOD = """## How it was measured

- Each peer runs in its own environment (`benchmarks/peers/environments.py` has the pins; their requirements exclude one
  another), in a process of its own; ours runs in another. Both load the same model folder, texts, rows and steering
  vector.
- For each comparison both sides prepare, warm up once, and run alternately in rotating order. A ratio is the median of
  the paired ratios, with its range. Above 1, ours took less.
- Processor time on one thread: other jobs ran on the machine. float32. Hugging Face models run with PyTorch's fused
  attention, their default; TransformerBridge asks for eager attention, and ours switches to the fused one by itself
  where nobody reads attention patterns (a default, not an option set here). Batches of eight
  texts where extraction is compared, the texts sorted by length beforehand so that padding costs nobody.
- "Same work" is the first line of ours in each comparison. Other lines are our defaults or functions that do more; the
  last column says what.
- Memory is the highest resident memory of the process while its warm-up ran. Our process holds the embedded model as
  TransformerBridge, and after the steerkit comparisons also as HookedTransformer: compare the growth (in brackets).
- What is reported under "honesty" is what was called and what it returned. Where a library does not choose a layer, the
  table says that the user did.
"""


def main() -> None:
    results = json.loads((HERE / "results.json").read_text(encoding="utf-8"))
    features = json.loads((HERE / "features.json").read_text(encoding="utf-8"))
    notes = json.loads((HERE / "notes.json").read_text(encoding="utf-8"))
    parts = [
        HEAD,
        where(results),
        METHOD,
        summary(results),
        timings(results, notes),
        losses(results, notes),
        honesty(results, notes),
        failures(results),
        feature_table(features),
    ]
    (DOCS / "peers.md").write_text("\n".join(part.rstrip() + "\n" for part in parts if part), encoding="utf-8")
    figure(results, DOCS / "figures" / "peers.png")
    print(f"wrote {DOCS / 'peers.md'}", file=sys.stderr)


def where(results: dict[str, Any]) -> str:
    """Machine, versions, date, command."""
    machine, options, inputs = results["machine"], results["options"], results["inputs"]
    commands = [*results.get("earlier", []), results]
    lines = [
        f"{results['date']}; {machine['processor']}, {machine['cores']} cores, {machine['system']}. "
        f"{options['repeats']} paired runs, {options['threads']} thread, {options['dtype']}, model {inputs['model']}, "
        f"{inputs['texts']} texts.",
        "",
        *(f"- `{run['command']}`: {run['minutes']:.1f} minutes" for run in commands),
        "",
        "| environment | versions |",
        "| --- | --- |",
        *(
            f"| {name} | {', '.join(f'{package} {version}' for package, version in found.items())} |"
            for name, found in results["versions"].items()
        ),
    ]
    return "\n".join(lines)


def summary(results: dict[str, Any]) -> str:
    """How many of the same-work comparisons we win."""
    firsts = [(record, record["sides"][1]["times_faster"]) for record in results["comparisons"]]
    won = sum(ratio["median"] > 1 for _, ratio in firsts)
    clear = sum(ratio["low"] > 1 for _, ratio in firsts)
    return (
        f"## In short\n\n{won} of {len(firsts)} same-work comparisons take less time with ours by the median, {clear} "
        "in every single paired run. Those that do not are listed [below](#where-we-are-not-first) with the reason.\n\n"
        "![Times faster, median and range of paired runs](figures/peers.png)\n"
    )


def timings(results: dict[str, Any], notes: dict[str, Any]) -> str:
    """One table a task."""
    lines = ["## Same work"]
    for task, title in TASKS.items():
        records = [r for r in results["comparisons"] if r["task"] == task]
        if not records:
            continue
        lines += [
            "",
            f"### {task}. {title[0].upper()}{title[1:]}",
            "",
            "| work | side | seconds | times faster | peak MiB (growth) | agreement | more |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
        for record in records:
            for i, side in enumerate(record["sides"]):
                ratio = side.get("times_faster")
                cells = [
                    f"{record['peer']}: {record['what']}" if i == 0 else "",
                    side["label"],
                    seconds(statistics.median(side["cpu_s"])),
                    f"{number(ratio['median'])} ({number(ratio['low'])}-{number(ratio['high'])})" if ratio else "1",
                    f"{side['peak_mib']:.0f} (+{max(0.0, side['extra_mib']):.0f})",
                    "; ".join(f"{name} {value:.2g}" for name, value in side.get("agreement", {}).items()),
                    record["note"] if i == 0 else side["more"],
                ]
                lines.append("| " + " | ".join(cells) + " |")
        if task in notes.get("tasks", {}):
            lines += ["", notes["tasks"][task]]
    return "\n".join(lines)


def losses(results: dict[str, Any], notes: dict[str, Any]) -> str:
    """Every same-work comparison whose median is below 1, with why and what next."""
    lines = ["## Where we are not first", ""]
    rows = []
    for record in results["comparisons"]:
        for i, side in enumerate(record["sides"][1:]):
            ratio = side["times_faster"]["median"]
            if ratio >= 1:
                continue
            reason = next(
                (n for n in notes["losses"] if n["peer"] in (record["peer"], "*") and n["task"] == record["task"]
                 and n["label"] in (side["label"], "*")),
                None,
            )  # fmt: skip
            rows.append(
                [
                    f"{record['task']}, {record['peer']}: {record['what']}",
                    side["label"] + ("" if i == 0 else f" ({side['more']})" if side["more"] else ""),
                    f"{1 / ratio:.2g} times slower",
                    reason["why"] if reason else "not explained yet",
                    reason["next"] if reason else "",
                ]
            )
    if not rows:
        return "\n".join([*lines, "Nowhere in this run."])
    lines += ["| work | ours | by | why | next step |", "| --- | --- | --- | --- | --- |"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def honesty(results: dict[str, Any], notes: dict[str, Any]) -> str:
    """One table for each of g to k."""
    lines = ["## Honesty"]
    for task, (_, title) in FACTS.items():
        facts = [f for f in results["facts"] if f["task"] == task]
        if not facts:
            continue
        lines += ["", f"### {task}. {title}", ""]
        if task in ("g", "i"):
            lines += ["| library | called | reported | mean (range) |", "| --- | --- | --- | --- |"]
            for f in facts:
                values = f.get("values") or []
                shown = (
                    f"{statistics.mean(values):.2f} ({min(values):.2f} to {max(values):.2f}), {len(values)} seeds"
                    if values
                    else ""
                )
                lines.append(row(f, [code(f), f.get("reported", ""), shown]))
        elif task == "h":
            lines += ["| library | called | cosine to the gradient | |", "| --- | --- | --- | --- |"]
            lines += [row(f, [code(f), f"{f.get('cosine', float('nan')):.3f}", f.get("note", "")]) for f in facts]
        elif task == "j":
            lines += ["| library | called | what | found |", "| --- | --- | --- | --- |"]
            for f in facts:
                if "error" in f:
                    lines.append(row(f, ["", "", ""]))
                first = True
                for name, value in f.items():
                    if name in ("task", "peer", "called", "error"):
                        continue
                    shown = (
                        str(value)
                        if isinstance(value, bool)
                        else f"{value:.1e}"
                        if "activations" in name
                        else f"{value:.0%}"
                    )
                    lines.append(
                        f"| {f['peer'] if first else ''} | {f['called'] if first else ''} | {name} | {shown} |"
                    )
                    first = False
        else:
            lines += ["| library | called | reported | text-only baseline |", "| --- | --- | --- | --- |"]
            lines += [
                row(f, [code(f), f.get("reported", ""), "yes" if f.get("text_baseline") else "no"]) for f in facts
            ]
        if task in notes.get("facts", {}):
            lines += ["", notes["facts"][task]]
    return "\n".join(lines)


def row(fact: dict[str, Any], cells: list[str]) -> str:
    """A line of a table, or the error in its place."""
    if "error" in fact:
        cells = [f"failed: {fact['error']}", *([""] * (len(cells) - 1))]
    return "| " + " | ".join([fact["peer"], *cells]) + " |"


def code(fact: dict[str, Any]) -> str:
    """What was called."""
    return str(fact.get("called", ""))


def failures(results: dict[str, Any]) -> str:
    """What did not install or run."""
    if not results["failed"]:
        return "## Failed\n\nNothing: every peer installed and ran."
    lines = ["## Failed", "", "| peer | what | last line |", "| --- | --- | --- |"]
    for f in results["failed"]:
        message = f["error"].replace("|", "/")
        lines.append(f"| {f['peer']} | {f.get('what', 'everything')} | {message} |")
    return "\n".join(lines)


def feature_table(features: dict[str, Any]) -> str:
    """Peers as columns, two tables so that the page stays readable; then notes."""
    peers = features["peers"]
    lines = [
        "## What each has",
        "",
        f"Checked in the sources on {features['checked']}; each cell's file is in `benchmarks/peers/features.json`. "
        '"-" means that it was not found in the version named.',
    ]
    names = [n for n in peers if n != "empathy_geometry"]
    for group in (names[:5], names[5:]):
        shown = ["empathy_geometry", *group]
        lines += [
            "",
            "| | " + " | ".join(f"{n} {peers[n]['version']}" for n in shown) + " |",
            "| --- |" + " --- |" * len(shown),
            *(
                f"| {title} | " + " | ".join(MARK[peers[n]["cells"][key]["has"]] for n in shown) + " |"
                for key, title in features["features"].items()
            ),
        ]
    lines += ["", "Notes (file in brackets):", ""]
    for name, peer in peers.items():
        said = [
            f"{features['features'][key].lower()}: {cell['note']} ({cell['source']})"
            for key, cell in peer["cells"].items()
            if cell["note"] and cell["has"] != "no"
        ]
        if said:
            lines.append(f"- **{name}**: " + "; ".join(said) + ".")
    return "\n".join(lines)


def seconds(value: float) -> str:
    """Three digits."""
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def number(value: float) -> str:
    """Two or three digits."""
    return f"{value:.0f}" if value >= 100 else f"{value:.2g}" if value >= 10 else f"{value:.2f}"


def figure(results: dict[str, Any], path: Path) -> None:
    """Paired ratios on a logarithmic axis, one row a comparison; right of 1, ours took less."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = sorted(results["comparisons"], key=lambda r: (r["task"], r["peer"]))[::-1]
    if not rows:
        return
    colours = dict(zip(TASKS, ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"), strict=True))
    _, axes = plt.subplots(figsize=(9, 0.27 * len(rows) + 1.2), layout="constrained")
    for y, record in enumerate(rows):
        ratio = record["sides"][1]["times_faster"]
        axes.plot([ratio["low"], ratio["high"]], [y, y], color=colours[record["task"]], linewidth=2)
        axes.plot(ratio["median"], y, "o", color=colours[record["task"]], markersize=5)
    axes.axvline(1, color="0.4", linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(range(len(rows)), [f"{r['task']}  {r['peer']}: {r['sides'][0]['label']}" for r in rows], fontsize=7)
    axes.set_xlabel(
        "processor time of the peer / ours, same work (median and range of paired runs); right of 1: ours took less"
    )
    axes.xaxis.label.set_fontsize(8)
    axes.margins(y=0.01)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color="0.9")
    path.parent.mkdir(exist_ok=True)
    plt.savefig(path, dpi=130)
    plt.close()


if __name__ == "__main__":
    main()
