"""Results that nobody signed (made or changed by hand) may hold anything: they are shown, or refused by name."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mutants import change_json
from test_load_result import every_result

import empathy_geometry as eg
from empathy_geometry.foundation.result_file import PLANTED, naming, write_result


def check(place: Path, n: int, seed: int) -> tuple[int, int]:
    """Change results of every kind here and there, load and report each; how many were taken, how many refused."""
    taken = refused = 0
    for number, result in enumerate(every_result()):
        mark = f"{PLANTED}_" if result.provenance.kind == "planted" else ""
        path = write_result(place / str(number) / f"{mark}{result.study}.json", result)
        content = json.loads(path.read_text())
        del content["sha256"]
        sound = json.dumps(content).encode()
        # A report of a bandwidth draws fourteen figures.
        for i in range(n if len(sound) < 50_000 else n // 4):
            rng = np.random.default_rng((seed, number, i))
            path.write_bytes(change_json(change_json(sound, rng), rng))
            for reader in (lambda p: str(eg.load_result(p, unsigned=True)), reported):
                said = error_of(reader, path)
                assert said is None or path.name in said, f"{path.name} (seed {seed, number, i}): {said}"
                taken, refused = taken + (said is None), refused + (said is not None)
    return taken, refused


def error_of(reader: Callable[[Path], object], path: Path) -> str | None:
    try:
        reader(path)
    except ValueError as error:
        return str(error)
    return None


def reported(path: Path) -> None:
    eg.report(path.parent, formats=["md", "html"], unsigned=True)


def test_what_was_changed_by_hand_is_shown_or_refused_by_name(tmp_path):
    taken, refused = check(tmp_path, 8, seed=0)
    assert taken > 10
    assert refused > 10


@pytest.mark.slow
def test_two_thousand_changes_by_hand(tmp_path):
    check(tmp_path, 250, seed=1)


def test_tables_and_provenance_of_any_shape_are_named(tmp_path):
    path = write_result(tmp_path / "depth_profile.json", every_result()[3])
    whole = json.loads(path.read_text())
    del whole["sha256"]
    for changed in ({"tables": [7]}, {"tables": 1.5}, {"provenance": whole["provenance"] | {"model": []}}):
        path.write_text(json.dumps(whole | changed))
        for reader in (lambda p: eg.load_result(p, unsigned=True), reported):
            with pytest.raises(ValueError, match=r"depth_profile\.json does not hold a"):
                reader(path)


def test_an_error_is_named_once_and_what_is_no_fault_of_the_file_is_let_through():
    with pytest.raises(ValueError, match=r"^a\.json is cut$"), naming("a.json"):
        raise ValueError("a.json is cut")
    with pytest.raises(KeyboardInterrupt), naming("a.json"):
        raise KeyboardInterrupt
