"""Runs what the documentation shows: every example on the embedded model, every pitfall; keeps outputs and figures.

    python docs/make_outputs.py              # everything; about ten minutes on two cores
    python docs/make_outputs.py which_layer  # one example (or pitfall) only

Writes docs/outputs/NAME.txt and docs/figures/NAME.png. Pages include these files, so a page shows what its command
printed and nothing else.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).parent
EXAMPLES = DOCS.parent / "examples"
STUDIES = {"measure_bandwidth", "tripartite"}  # minutes each; their pages say how they were made


def run_example(name: str) -> None:
    """Keep the standard output and the figure of one example."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "results"
        command = [sys.executable, EXAMPLES / f"{name}.py", "--output", output]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{name} failed:\n{done.stderr}")
        shown = done.stdout.strip().replace(f"{output}/", "results/")
        (DOCS / "outputs" / f"{name}.txt").write_text(shown + "\n", encoding="utf-8")
        for figure in output.glob("*.png"):
            shutil.copy(figure, DOCS / "figures" / figure.name)


def run_pitfall(name: str) -> None:
    """Keep the table and the figure of one pitfall on planted data."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from empathy_geometry import pitfalls

    demo = getattr(pitfalls, name)()
    (DOCS / "outputs" / f"{name}.txt").write_text(f"{demo}\n", encoding="utf-8")
    demo.plot().figure.savefig(DOCS / "figures" / f"{name}.png", dpi=110)
    plt.close("all")


def main() -> None:
    """Run what is asked for, or everything."""
    from empathy_geometry import pitfalls

    examples = sorted(p.stem for p in EXAMPLES.glob("*.py") if p.stem not in STUDIES)
    demos = sorted(name for name in pitfalls.__all__ if name.islower())
    chosen = sys.argv[1:] or [*examples, *demos]
    unknown = sorted(set(chosen) - set(examples) - set(demos))
    if unknown:
        sys.exit(f"no example or pitfall {', '.join(unknown)}; there are {', '.join([*examples, *demos])}")
    (DOCS / "outputs").mkdir(exist_ok=True)
    for name in chosen:
        print(name, flush=True)
        (run_example if name in examples else run_pitfall)(name)


if __name__ == "__main__":
    main()
