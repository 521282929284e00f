"""How many files a reader passes through who follows one call: files entered, and returns to a file already left.

Each function counts once, when it is first called, in the order in which a run calls them; consecutive functions of one
file are one stay. A step back to a file that the walk had left before is a return.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import empathy_geometry as eg
from empathy_geometry.foundation.result_file import write_result
from empathy_geometry.planted.dictionary import planted_dictionary

PACKAGE = Path(eg.__file__).parent


def stays(call: Callable[[], Any], below: str = "") -> list[str]:
    """Files of the package in the order in which the functions that a call runs are first entered."""
    seen: set[Any] = set()
    order: list[str] = []

    def entered(frame: Any, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code not in seen and code.co_filename.startswith(str(PACKAGE)):
            seen.add(code)
            # Comprehensions and lambdas are lines of the function that they stand in; class bodies run on import.
            if code.co_name.startswith("<") or code.co_name[0].isupper():
                return
            name = str(Path(code.co_filename).relative_to(PACKAGE))
            if name.startswith(below) and (not order or order[-1] != name):
                order.append(name)

    sys.setprofile(entered)
    try:
        call()
    finally:
        sys.setprofile(None)
    return order


def returns(order: list[str]) -> int:
    """Steps to a file that was left before."""
    return len(order) - len(set(order))


def saved_bandwidth() -> Path:
    """A folder with the result of the planted model, to report on."""
    from empathy_geometry.studies.planted_study import planted_bandwidth

    folder = Path(tempfile.mkdtemp())
    write_result(folder / "PLANTED_bandwidth.json", planted_bandwidth(n_scenarios=16, progress=False))
    return folder


def main() -> None:
    """Print both walks, over the whole package and within the package that the call is of."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="a folder of results to report on; none measures the planted model")
    folder = parser.parse_args().folder or saved_bandwidth()
    planted = planted_dictionary(n_groups=30)
    # Asked for once, so that what is imported is no part of the walk.
    report, sae_agreement = eg.report, eg.sae_agreement
    walks = {
        "report(folder)": (lambda: report(folder), "reports"),
        "sae_agreement(sae, activations)": (
            lambda: sae_agreement(
                planted.sae, planted.activations, other=planted.sae, design=eg.AgreementDesign(n_draws=19, rank=3)
            ),
            "sae",
        ),
    }
    for name, (call, package) in walks.items():
        for below in ("", package):
            order = stays(call, below)
            where = f"in {below}/" if below else "in all"
            print(f"{name}, {where}: {len(set(order))} files, {returns(order)} returns")


if __name__ == "__main__":
    main()
