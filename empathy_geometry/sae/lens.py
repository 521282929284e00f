"""SAELens, imported when it is needed: it is an extra, and its import takes seconds."""

import importlib
import warnings
from typing import Any


def sae_lens(module: str = "sae_lens") -> Any:
    """A module of SAELens.

    Raises:
        ImportError: SAELens is not installed; names the extra.

    Example:
        >>> sae_lens("math").sqrt(4.0)  # any module; SAELens itself by default
        2.0
    """
    try:
        with warnings.catch_warnings():
            # Its dependencies warn about each other; nothing of it concerns whoever calls this library.
            warnings.simplefilter("ignore")
            return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"sparse autoencoders need SAELens ({error}); install the extra: pip install 'empathy-geometry[sae]'. "
            f"SAELens needs transformer-lens < 4"
        ) from error
