"""The same architecture without what it learned: a control that shows what texts and tokenizer alone give away."""

import copy
import warnings
from pathlib import Path
from typing import Any

import torch

from empathy_geometry.foundation._validation import as_generator
from empathy_geometry.models.hooked_model import HookedModel, is_bridge
from empathy_geometry.models.loading import check_model, load_model
from empathy_geometry.models.names import EMBEDDED_NAME

RANDOM_WEIGHTS = "random weights, seed"
"""Part of the name of every such model, so that no result of one can pass for a result of the trained model."""


def randomise_weights(model: HookedModel | str | Path = EMBEDDED_NAME, seed: int = 0) -> Any:
    """A model of the same architecture, tokenizer, device and dtype, freshly initialised as its configuration says.

    What a probe reads in it comes from the words alone (a random network keeps much of them), so a concept that is
    read as well here as in the trained model was not learned.

    Args:
        model: A name or folder for `load_model`, or a hooked model, which is left as it is.
        seed: Of the initialisation. The global random state is left as it was.

    Returns:
        A hooked model of the same class whose `cfg.model_name` ends in "(random weights, seed 0)", in evaluation mode,
        without gradients.

    Raises:
        FileNotFoundError: no model of this name here.
        TypeError: not a hooked model, or a seed that is not an int.

    Source: Zhang & Bowman (2018), "Language modeling teaches you more than translation does", for the control.

    Example:
        >>> control = randomise_weights("smollm2-135m-instruct", seed=0)  # doctest: +SKIP
        >>> control.cfg.model_name  # doctest: +SKIP
        'smollm2-135m-instruct (random weights, seed 0)'
    """
    as_generator(seed)
    trained = load_model(model) if isinstance(model, str | Path) else model
    check_model(trained)
    name = f"{trained.cfg.model_name} ({RANDOM_WEIGHTS} {seed})"
    devices = [torch.device(trained.cfg.device)] if torch.device(trained.cfg.device).type == "cuda" else []
    with torch.random.fork_rng(devices=devices), warnings.catch_warnings():
        # Whoever passes a HookedTransformer knows that it is deprecated.
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        fresh = _fresh_bridge(trained, name) if is_bridge(trained) else _fresh_hooked_transformer(trained, name)
    if getattr(trained.cfg, "planted", False) is True:  # with other weights it is no real model either
        fresh.cfg.planted = True
    fresh.eval()
    for parameter in fresh.parameters():
        parameter.requires_grad_(False)
    return fresh


def is_random_weights(identity: object) -> bool:
    """Whether a model's identity (as in a provenance), or its name, says that its weights are random.

    Example:
        >>> is_random_weights({"name": "tiny (random weights, seed 3)"}), is_random_weights("tiny")
        (True, False)
    """
    name = identity.get("name", "") if isinstance(identity, dict) else identity
    return f"({RANDOM_WEIGHTS} " in str(name)


def _fresh_bridge(trained: Any, name: str) -> Any:
    from transformer_lens.model_bridge import TransformerBridge

    original = trained.original_model
    dtype = next(iter(trained.parameters())).dtype
    config = copy.deepcopy(original.config)
    # TransformerBridge hooks into eager attention, and the class is that of the trained model.
    config._attn_implementation = "eager"
    hf_model = type(original)(config).to(dtype).to(torch.device(trained.cfg.device)).eval()
    return TransformerBridge.boot_transformers(
        name, hf_model=hf_model, tokenizer=trained.tokenizer, device=trained.cfg.device, dtype=dtype
    )


def _fresh_hooked_transformer(trained: Any, name: str) -> Any:
    from transformer_lens import HookedTransformer

    config = copy.deepcopy(trained.cfg)
    config.model_name = name
    config.init_weights = True
    config.seed = None  # else it would seed every generator of the process
    if config.initializer_range <= 0:
        config.initializer_range = 0.8 / float(config.d_model) ** 0.5  # TransformerLens's own default
    return HookedTransformer(config, tokenizer=trained.tokenizer)
