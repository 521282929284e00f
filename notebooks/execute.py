"""Runs notebooks and keeps their outputs: python notebooks/execute.py notebooks/*.ipynb."""

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def executed(path: Path) -> nbformat.NotebookNode:
    """The notebook with fresh outputs; raises `nbclient.exceptions.CellExecutionError` where a cell fails."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=600,
        startup_timeout=300,
        iopub_timeout=60,  # after 4 seconds, the default, outputs of a busy machine are dropped without an error
        record_timing=False,
        coalesce_streams=True,
    )
    # Small matrices on two threads of a busy machine can take a hundred times longer than on one.
    return client.execute(cwd=str(path.parent), env={"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", **os.environ})


def main() -> None:
    """Rewrite each notebook."""
    for path in map(Path, sys.argv[1:]):
        notebook = executed(path)
        # The version of the kernel that happened to run it is nobody's business.
        notebook.metadata.pop("language_info", None)
        for cell in (c for c in notebook.cells if c.cell_type == "code"):
            # Progress bars and notices of this machine.
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
        nbformat.write(notebook, path)
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
