"""Where an SAE reads: its hook name as this library's layer and site."""

import re
from typing import TypeAlias, cast

from empathy_geometry.foundation._types import Layer
from empathy_geometry.models.hooked_model import SITES, Site

Place: TypeAlias = tuple[Layer, Site]
"""Layer and site."""

# TransformerBridge calls the stream before and after a block hook_in and hook_out.
_ALIASES = {"in": "resid_pre", "out": "resid_post"}


def place_of_hook(hook_name: str | None) -> Place | None:
    """Layer and site of a hook name; None for one that is not known here.

    What enters a block is what left the one before: resid_pre of block i is layer i - 1 at resid_post, and of block 0
    the layer "embed".

    Example:
        >>> place_of_hook("blocks.8.hook_resid_pre"), place_of_hook("blocks.0.hook_in"), place_of_hook("embed")
        ((7, 'resid_post'), ('embed', 'resid_post'), None)
    """
    found = re.fullmatch(r"blocks\.(\d+)\.hook_(\w+)", hook_name or "")
    if found is None:
        return None
    site = _ALIASES.get(found[2], found[2])
    return same_place(int(found[1]), site) if site in SITES else None


def same_place(layer: Layer, site: str) -> Place:
    """One name for places that hold the same vectors.

    Example:
        >>> same_place(3, "resid_pre") == same_place(2, "resid_post")
        True
    """
    if layer == "embed":
        return "embed", "resid_post"
    if site == "resid_pre":
        return (int(layer) - 1 if int(layer) else "embed"), "resid_post"
    return layer, cast(Site, site)


def hook_of_place(layer: Layer, site: str) -> str:
    """The TransformerLens name of a place.

    Example:
        >>> hook_of_place(17, "resid_post")
        'blocks.17.hook_resid_post'
    """
    return "blocks.0.hook_resid_pre" if layer == "embed" else f"blocks.{layer}.hook_{site}"
