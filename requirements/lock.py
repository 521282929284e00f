"""Resolve main.in for every supported Python and write one pinned file with markers where versions differ.

python requirements/lock.py main.in main.txt python3.10 python3.11 python3.12 python3.13
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

# Builds of torch bring their own, exactly pinned by torch itself; the CPU build has none of them.
LEFT_TO_TORCH = ("nvidia-", "triton", "cuda-")


def resolve(python: str, requirements: Path) -> tuple[str, dict[str, str]]:
    """Version of `python` and the packages that pip would install for it."""
    with tempfile.TemporaryDirectory() as folder:
        venv, report = Path(folder) / "venv", Path(folder) / "report.json"
        subprocess.run([python, "-m", "venv", venv], check=True)
        pip = [venv / "bin" / "python", "-m", "pip"]
        subprocess.run([*pip, "install", "-q", "--upgrade", "pip"], check=False)
        subprocess.run(
            [*pip, "install", "-q", "--dry-run", "--ignore-installed", "--report", report, "-r", requirements],
            check=True,
        )
        found = json.loads(report.read_text())
    version = ".".join(found["environment"]["python_version"].split(".")[:2])
    packages = {i["metadata"]["name"].lower().replace("_", "-"): i["metadata"]["version"] for i in found["install"]}
    return version, {n: v.split("+")[0] for n, v in packages.items() if not n.startswith(LEFT_TO_TORCH)}


def main() -> None:
    """Write the merged file."""
    source, target, *pythons = sys.argv[1:]
    folder = Path(__file__).parent
    resolved = dict(resolve(python, folder / source) for python in pythons)
    lines = [f"# Made from {source} by lock.py for Python {', '.join(sorted(resolved))}."]
    for name in sorted(set().union(*resolved.values())):
        by_version: dict[str, list[str]] = {}
        for python, packages in sorted(resolved.items()):
            if name in packages:
                by_version.setdefault(packages[name], []).append(python)
        for version, supported in by_version.items():
            everywhere = len(supported) == len(resolved)
            marker = "" if everywhere else "; " + " or ".join(f'python_version == "{p}"' for p in supported)
            lines.append(f"{name}=={version}{marker}")
    (folder / target).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
