"""Rows of several extractions as one set, where they are of one model and were read alike."""

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import torch
from torch import Tensor

from empathy_geometry.foundation.provenance import Provenance
from empathy_geometry.models.identity import identity_differences
from empathy_geometry.texts.targets import joined_targets
from empathy_geometry.texts.token_ids import TokenIds

# Settings that decide what a vector is; the others say how it was computed.
_DECIDING = ("outlier_tokens", "outlier_factor", "prepend_bos", "chat_template")


def joined_fields(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The fields of one `Activations` with the rows of all parts, from the fields of each; see `Activations.concat`.

    Raises:
        ValueError: parts differ in layers, site, position, width, settings or model.
    """
    first = parts[0]
    for number, part in enumerate(parts[1:], 1):
        for name, ours, theirs in (
            ("layers", list(first["layers"]), list(part["layers"])),
            ("site", first["site"], part["site"]),
            ("position", first["position"], part["position"]),
            ("shape of a row", list(first["values"].shape[1:]), list(part["values"].shape[1:])),
        ):
            if ours != theirs:
                raise ValueError(
                    f"parts must be read alike: {name} is {ours!r} in part 0 and {theirs!r} in part {number}"
                )
        _check_origin(first["provenance"], part["provenance"], number)
    texts = [p["texts"] for p in parts if p["texts"] is not None]
    tokens = [p["token_ids"] for p in parts if p["token_ids"] is not None]
    return {
        "values": torch.cat([p["values"] for p in parts]),
        "layers": first["layers"],
        "labels": np.concatenate([p["labels"] for p in parts]),
        "groups": np.concatenate([p["groups"] for p in parts]),
        "position": first["position"],
        "site": first["site"],
        "texts": reduce(add, texts) if len(texts) == len(parts) else None,
        "token_embeddings": _joined([p["token_embeddings"] for p in parts]),
        "left_out": _joined([p["left_out"] for p in parts]),
        "targets": joined_targets([p["targets"] for p in parts]),
        "token_ids": TokenIds.joined(tokens) if len(tokens) == len(parts) else None,
        "provenance": _origin([p["provenance"] for p in parts]),
    }


def _joined(tensors: Sequence[Tensor | None]) -> Tensor | None:
    known = [t for t in tensors if t is not None]
    return torch.cat(known) if len(known) == len(tensors) else None


def _check_origin(ours: Provenance | None, theirs: Provenance | None, number: int) -> None:
    if (ours is None) != (theirs is None):
        raise ValueError(
            f"of parts 0 and {number} only one says where it came from; if they are of one model, say so with "
            f"dataclasses.replace(part, provenance=None)"
        )
    if ours is None or theirs is None:
        return
    if ours.kind != theirs.kind:
        raise ValueError(f"part 0 is {ours.kind} and part {number} {theirs.kind}; keep them apart")
    differing = identity_differences(ours.model, theirs.model)
    if differing:
        raise ValueError(f"parts 0 and {number} come from different models ({'; '.join(differing)})")
    for name in _DECIDING:
        if ours.settings.get(name) != theirs.settings.get(name):
            raise ValueError(
                f"parts must be read alike: {name} is {ours.settings.get(name)!r} in part 0 and "
                f"{theirs.settings.get(name)!r} in part {number}"
            )


def _origin(known: Sequence[Provenance | None]) -> Provenance | None:
    origins = [p for p in known if p is not None]
    if not origins:
        return None
    first = origins[0]
    texts: dict[str, str] = {}
    for origin in origins:
        for name, sha in origin.texts.items():
            # Two sets of one name (both halves of a set, say) are told apart by their hashes.
            texts[name if texts.get(name, sha) == sha else f"{name} ({sha[:8]})"] = sha
    counts = [origin.settings.get("tokens_left_out") for origin in origins]
    settings: Mapping[str, Any] = {**first.settings, "concatenated": len(origins)}
    if all(isinstance(count, int) for count in counts):
        settings = {**settings, "tokens_left_out": sum(count for count in counts if isinstance(count, int))}
    return Provenance(
        first.kind, model=first.model, texts=texts, seed=first.seed, settings=settings, versions=first.versions
    )
