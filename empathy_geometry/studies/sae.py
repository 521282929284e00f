"""Agreement of a concept's subspace with sparse-autoencoder features: announced, not built yet."""

from typing import Any, NoReturn


def sae_agreement(*arguments: Any) -> NoReturn:
    """Not built yet; refuses instead of returning a number that was not measured.

    Raises:
        NotImplementedError: always.
    """
    raise NotImplementedError(
        "SAE agreement is not built yet. Leave the step out (measure_bandwidth(..., sae=None), the default); the other "
        "five steps do not depend on it"
    )
