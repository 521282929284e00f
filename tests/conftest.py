"""Models that many test files share."""

import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hypothesis
import jaxtyping
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # so that `from tiny_models import ...` works in every test folder

import tiny_models

# The default run tries the same examples everywhere: what passed here passes there. A search for new ones is a run of
# its own: HYPOTHESIS_PROFILE=search pytest tests/property
hypothesis.settings.register_profile(
    "same_everywhere",
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],  # a busy machine is no fault of a test
)
hypothesis.settings.register_profile("search", derandomize=False, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same_everywhere"))


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """A module's tests on one thread: tiny matrices gain nothing from two, and lose much on a busy machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def sae_lens_installed() -> None:
    """Skips where SAELens is missing: it needs transformer-lens < 4."""
    if importlib.util.find_spec("sae_lens") is None:
        pytest.skip("needs SAELens")


@pytest.fixture(scope="session")
def tiny_llama() -> Any:
    """A small random TransformerBridge of Llama type."""
    return tiny_models.tiny_model("bridge_llama")


@pytest.fixture(scope="session")
def tiny_gpt2() -> Any:
    """A small random TransformerBridge of GPT-2 type."""
    return tiny_models.tiny_model("bridge_gpt2")


@pytest.fixture(scope="session")
def tiny_hooked() -> Any:
    """A small random HookedTransformer."""
    if not tiny_models.has_hooked_transformer():
        pytest.skip("TransformerLens 4 has no HookedTransformer")
    return tiny_models.tiny_model("hooked_transformer")


@pytest.fixture(scope="session", params=tiny_models.KINDS)
def tiny_model(request: pytest.FixtureRequest) -> Any:
    """Each kind of small random model in turn."""
    return tiny_models.tiny_model(request.param)


@pytest.fixture(scope="session")
def embedded() -> Any:
    """The embedded model as TransformerBridge; loading takes seconds, so it is shared: leave it as you found it."""
    import empathy_geometry as eg

    return eg.load_model()


@pytest.fixture(scope="session")
def embedded_hooked() -> Any:
    """The embedded model as HookedTransformer (TransformerLens 3)."""
    if not tiny_models.has_hooked_transformer():
        pytest.skip("TransformerLens 4 has no HookedTransformer")
    import empathy_geometry as eg

    return eg.load_model(hooked_transformer=True)


@contextmanager
def _unchecked() -> Iterator[None]:
    """Annotations are not compared with what is given, see `make test-shapes`."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)


@pytest.fixture
def annotations_unchecked() -> Iterator[None]:
    """For a test that gives something wrong on purpose, but outside `pytest.raises`."""
    with _unchecked():
        yield


_raises = pytest.raises


@contextmanager
def _raises_unchecked(*args: Any, **kwargs: Any) -> Iterator[Any]:
    with _raises(*args, **kwargs) as found, _unchecked():
        yield found


# What is given in `pytest.raises` is wrong on purpose, and such a test is about what the library itself says: there,
# the annotations that `make test-shapes` compares are left alone.
pytest.raises = _raises_unchecked  # type: ignore[assignment]
