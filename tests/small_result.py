"""A small but real bandwidth result, measured once for all tests that look at files: tiny model, few texts."""

import copy
import json
from dataclasses import asdict
from functools import cache
from typing import Any

import numpy as np
from tiny_models import tiny_bridge

import empathy_geometry as eg
from empathy_geometry.foundation.checked_json import dump_checked
from empathy_geometry.foundation.json_codec import unpack
from empathy_geometry.foundation.result_file import FORMAT_VERSION

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)> | *bold* `code` $x$ &amp; \"q\""
"""A text that breaks whatever forgets to escape it."""


@cache
def small_bandwidth() -> eg.results.Bandwidth:
    """Measured on the tiny model; takes seconds."""

    def subset(texts: eg.LabeledTexts, per_context: int) -> eg.LabeledTexts:
        names = np.unique(texts.contexts)
        kept = [g for c in names for g in np.unique(texts.groups[texts.contexts == c])[:per_context]]
        return texts.where(group=kept)

    return eg.measure_bandwidth(
        tiny_bridge("llama", n_ctx=1024),
        subset(eg.datasets.empathy_pairs(), 5),
        control=subset(eg.datasets.formality_pairs(), 3),
        design=eg.BandwidthDesign(
            search=eg.SearchDesign(n_prompts=4, max_new_tokens=5, units="residual_norm"), n_permutations=19
        ),
        progress=False,
    )


def small_json() -> dict[str, Any]:
    """What its JSON file holds; a fresh copy, free to change."""
    content: dict[str, Any] = json.loads(_text())
    return content


def readable_json() -> dict[str, Any]:
    """The same with texts that can be told apart (the tiny model writes noise), one of them hostile."""
    content = copy.deepcopy(small_json())
    for role in ("concept", "control"):
        sweep = content[role]["sweep"]
        sweep["prompts"] = [f"Prompt {p} of the {role}" for p in range(len(sweep["prompts"]))]
        sweep["texts"] = [
            [f"{role} prompt {p} at {alpha:.4f}" for p in range(len(sweep["prompts"]))] for alpha in sweep["alphas"]
        ]
    content["concept"]["sweep"]["texts"][-1][0] = HOSTILE
    content["concept"]["sweep"]["prompts"][1] = HOSTILE
    return content


def signed(content: dict[str, Any]) -> str:
    """The text of a result file, with a checksum that fits."""
    head = {"version": {"format": FORMAT_VERSION, "empathy_geometry": "test"}}
    return dump_checked(head | content)


def with_tables(content: dict[str, Any]) -> dict[str, Any]:
    """The content of a bandwidth's file with the tables that belong to it."""
    return content | {"tables": [asdict(table) for table in unpack(eg.results.Bandwidth, content).tables()]}


@cache
def _text() -> str:
    return json.dumps(small_bandwidth().to_dict())
