"""The mutation benchmark really puts faults in, and takes them out again."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from empathy_geometry.dimensionality.ranks import components_for, entropy_rank

ROOT = Path(__file__).parents[1]
RANKS = ROOT / "empathy_geometry" / "dimensionality" / "ranks.py"


@pytest.fixture(scope="module")
def mutation():
    spec = importlib.util.spec_from_file_location("mutation", ROOT / "benchmarks" / "mutation.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_fault_reaches_those_who_imported_the_function_and_goes_again(mutation):
    assert entropy_rank(np.ones(7)) == pytest.approx(7)
    fault = next(
        m for m in mutation.mutants(RANKS) if (m.function, m.text) == ("entropy_rank", "mean") and "log" in m.within
    )
    try:
        mutation.put_in(RANKS, fault.source())
        assert entropy_rank(np.ones(7)) == pytest.approx(7 ** (1 / 7))
        halved = [m for m in mutation.mutants(RANKS) if (m.function, m.text) == ("components_for", "0.45")]
        mutation.put_in(RANKS, halved[0].source())
        assert components_for(np.ones(100)) == 45
    finally:
        mutation.put_in(RANKS, RANKS.read_bytes())
    assert entropy_rank(np.ones(7)) == pytest.approx(7)
    assert components_for(np.ones(100)) == 90


def test_every_fault_is_a_program_of_its_own_name_and_none_is_in_a_message(mutation):
    whole = RANKS.read_bytes()
    faults = mutation.mutants(RANKS)
    assert len({m.name for m in faults}) == len(faults) > 20
    for m in faults:
        compile(m.source(), "ranks.py", "exec")
        assert m.source() != whole
    assert not any("try 0.9" in m.was for m in faults)


def test_the_tests_of_a_module_are_found(mutation):
    assert [f.name for f in mutation.tests_of(RANKS)][:1] != []
    assert "test_clustered.py" in [f.name for f in mutation.tests_of(ROOT / "empathy_geometry/evaluation/clustered.py")]
    with pytest.raises(SystemExit, match="no package"):
        mutation.modules_of("no_such_package")
