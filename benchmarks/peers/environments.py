"""One environment for each peer, since their requirements exclude one another; pinned, made once, never shared.

    python benchmarks/peers/environments.py            # all of them, into .venv-peers/
    python benchmarks/peers/environments.py repeng     # one

A peer that does not install is reported with pip's last line, and the others go on.
"""

import argparse
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".venv-peers"
TORCH = "torch==2.13.0"
GGUF_READER = ("gguf==0.19.0", "safetensors", "accelerate")


@dataclass(frozen=True)
class Peer:
    """What to install.

    Attributes:
        requirements: Pinned, resolved by pip.
        without_dependencies: Packages whose declared dependencies cannot or need not be met, and why.
        why: For the report.
    """

    requirements: tuple[str, ...]
    without_dependencies: tuple[str, ...] = ()
    why: str = ""


PEERS: dict[str, Peer] = {
    "steering-vectors": Peer(("steering-vectors==0.12.2", "transformers==4.57.6", *GGUF_READER)),
    "repeng": Peer(("repeng==0.4.0", "numpy==1.26.4", "transformers==4.57.6", *GGUF_READER)),
    "steerkit": Peer(("steerkit==0.3.0", "transformer-lens==3.9.0", "transformers==5.23.0", *GGUF_READER)),
    "probelab-py": Peer(
        (
            "transformer-lens==3.9.0",
            "transformers==5.23.0",
            "pandas",
            "plotly",
            "matplotlib",
            "scikit-learn",
            "ipywidgets",
            "anthropic==2.14.0",
        ),
        ("probelab-py==0.1.0",),
        "declares torchvision and jupyter, which its probes do not import",
    ),
    "probekit": Peer(("probekit==0.4.0", "transformer-lens==3.9.0", "transformers==5.23.0", "sae-lens==6.54.12")),
    "repsteer": Peer(("repsteer==0.2.4", "transformers==5.23.0", *GGUF_READER)),
    "transformerlens-4": Peer(
        ("transformer-lens==4.3.0", "transformerlens-fdr==0.1.0", "transformers==5.23.0", "scikit-learn", *GGUF_READER)
    ),
    "sae-probes": Peer(("sae-probes==0.4.2", "transformer-lens==3.9.0", "transformers==5.23.0", "sae-lens==6.54.12")),
}


def python_of(name: str) -> Path:
    """The interpreter of a peer's environment, whether it exists or not."""
    return FOLDER / name / "bin" / "python"


def install(name: str) -> str | None:
    """Make the environment of a peer if it is not there; None, or why it failed."""
    peer, home = PEERS[name], FOLDER / name
    stamp = home / "ready"
    wanted = "\n".join([*peer.requirements, *peer.without_dependencies])
    if stamp.exists() and stamp.read_text() == wanted:
        return None
    venv.create(home, with_pip=True, clear=True)
    pip = [str(python_of(name)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    steps = [[*pip, TORCH], [*pip, TORCH, *peer.requirements]]
    if peer.without_dependencies:
        steps.append([*pip, "--no-deps", *peer.without_dependencies])
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True)
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines()
            return next((line for line in lines if line.startswith("ERROR")), lines[-1] if lines else "pip failed")
    stamp.write_text(wanted)
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", nargs="*", metavar="PEER", help=f"default: all of {', '.join(PEERS)}")
    chosen = parser.parse_args().peers or list(PEERS)
    unknown = sorted(set(chosen) - set(PEERS))
    if unknown:
        sys.exit(f"unknown peers {unknown}; there are {list(PEERS)}")
    for name in chosen:
        print(f"{name:<20} {install(name) or 'ready'}", flush=True)


if __name__ == "__main__":
    main()
