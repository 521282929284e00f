"""A small real transformer with known answers: what drives it, what can only be read, and where its text breaks.

It is a Llama of four blocks with 160 dimensions whose weights are written, not trained. Every token's embedding has a
long constant part, so that the RMS norm divides by nearly the same number everywhere, and its own unit vector, from
which the unembedding reads which word comes next. Then:

- Class words carry evidence for "first" or "second". The attention of block 0 averages it over the text and writes it
  along the driving direction of the concept, and for "first" also, just as strongly, along a second direction.
- The MLP of block 2 copies the driving directions to features that the unembedding turns into odds of marker words.
  The second direction of "first" is read by nothing: it is as good a probe direction, and drives nothing.
- The breaking direction carries nothing, but the unembedding has it in the row of one word, which follows itself. Added
  with alpha, the greedy text becomes that word for ever as soon as alpha * BREAK exceeds the logit of the chain's next
  word. Both are divided by the same norm, so the crossing is exact.
- Small random MLPs in blocks 1 and 3 write noise into dimensions that the unembedding does not read.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from empathy_geometry.foundation._types import FloatArray
from empathy_geometry.geometry.directions import ConceptDirection
from empathy_geometry.models.hooked_model import HookedModel
from empathy_geometry.models.identity import model_identity
from empathy_geometry.planted.vocabulary import (
    CHAIN_LENGTH,
    CONCEPTS,
    N_CHAINS,
    NEUTRAL,
    Vocabulary,
    planted_tokenizer,
    planted_vocabulary,
)

NAME = "planted-transformer"
LAYER = 1
"""Directions live in the stream after this block; what they drive is computed after it."""

N_LAYERS, D_MODEL, N_HEADS = 4, 160, 4
CONSTANT, TOKEN, EVIDENCE, BREAK = 30.0, 3.0, 6.0, 3.0
_CHAIN_LOGITS = (8.0, 10.0, 12.0, 14.0)
_SPREAD, _COPY, _MARKER = 6.0, 0.08, 2.0
_N_NOISE = 16


@dataclass(frozen=True, eq=False)
class PlantedTruth:
    """What was installed.

    Attributes:
        layer: Where the directions live.
        directions: "drives" (first against neutral), "read_only" (the same classes, as readable), "drives_second"
            (second against neutral) and "breaks".
        causal: Which of the first three the model uses.
        markers: Words that each concept makes likelier and less likely.
        auroc: Of the projection on "drives" or "read_only" between first and neutral texts.
        crossings: Alpha (activation units) at which "breaks" ends the text of a prompt, by chain.
        vocabulary: The words.
    """

    layer: int
    directions: dict[str, ConceptDirection]
    causal: dict[str, bool]
    markers: dict[str, tuple[tuple[str, ...], tuple[str, ...]]]
    auroc: float
    crossings: tuple[float, ...]
    vocabulary: Vocabulary

    def crossing_of(self, prompts: Sequence[str]) -> FloatArray:
        """The exact alpha at which the text that follows each prompt breaks, [n_prompts].

        Raises:
            ValueError: a prompt does not end in a word of a chain.
        """
        return np.array([self.crossings[_chain_of(self.vocabulary, prompt)] for prompt in prompts])


def planted_model(*, seed: int = 0) -> tuple[Any, PlantedTruth]:
    """The model as a TransformerBridge, and the truth about it.

    Its configuration says `planted`, so that results know that they are not measured on a real model.

    Args:
        seed: Of the basis in which everything is written, and of the noise.

    Example:
        >>> model, truth = planted_model()
        >>> truth.causal
        {'drives': True, 'read_only': False, 'drives_second': True}
    """
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer, vocabulary = planted_tokenizer(), planted_vocabulary()
    # transformers draws initial weights from the global generator; leave it as it was.
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        hf = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(tokenizer),
                hidden_size=D_MODEL,
                intermediate_size=D_MODEL,
                num_hidden_layers=N_LAYERS,
                num_attention_heads=N_HEADS,
                num_key_value_heads=N_HEADS,
                max_position_embeddings=512,
                attn_implementation="eager",
                tie_word_embeddings=False,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
            )
        ).eval()
        basis = _write_weights(hf, tokenizer, vocabulary, seed)
        model: Any = TransformerBridge.boot_transformers(
            NAME, hf_model=hf, tokenizer=tokenizer, device="cpu", dtype=torch.float32
        )
    model.eval()
    model.cfg.planted = True
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return model, _truth(model, basis, vocabulary)


@dataclass(frozen=True, eq=False)
class _Basis:
    """Orthonormal rows by job, each [d_model]."""

    constant: Tensor
    evidence: dict[str, Tensor]
    drives: dict[str, Tensor]
    read_only: Tensor
    features: dict[str, Tensor]
    breaks: Tensor
    noise: Float[Tensor, "k d_model"]
    tokens: Float[Tensor, "vocabulary d_model"]


def _basis(n_tokens: int, seed: int) -> _Basis:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.linalg.qr(torch.randn(D_MODEL, D_MODEL, generator=generator, dtype=torch.float64)).Q.T.float()
    n_named = 3 + 3 * len(CONCEPTS)
    if n_named + _N_NOISE + n_tokens > D_MODEL:
        raise ValueError(f"{n_tokens} tokens do not fit {D_MODEL} dimensions")
    named = iter(rows[:n_named])
    return _Basis(
        next(named),
        {c: next(named) for c in CONCEPTS},
        {c: next(named) for c in CONCEPTS},
        next(named),
        {c: next(named) for c in CONCEPTS},
        next(named),
        rows[n_named : n_named + _N_NOISE],
        rows[n_named + _N_NOISE : n_named + _N_NOISE + n_tokens],
    )


def _write_weights(hf: Any, tokenizer: Any, vocabulary: Vocabulary, seed: int) -> _Basis:
    basis = _basis(len(tokenizer), seed)
    ids = tokenizer.get_vocab()
    with torch.no_grad():
        for name, parameter in hf.named_parameters():
            if "norm" not in name:
                parameter.zero_()
        _write_embedding(hf, basis, vocabulary, ids)
        _write_unembedding(hf, basis, vocabulary, ids)
        _write_attention(hf.model.layers[0].self_attn, basis)
        _write_copy(hf.model.layers[2].mlp, basis)
        generator = torch.Generator().manual_seed(seed + 1)
        for block in (1, 3):
            _write_noise(hf.model.layers[block].mlp, basis, generator)
    return basis


def _write_embedding(hf: Any, basis: _Basis, vocabulary: Vocabulary, ids: dict[str, int]) -> None:
    weight = hf.model.embed_tokens.weight
    weight[:] = CONSTANT * basis.constant + TOKEN * basis.tokens
    for concept in CONCEPTS:
        for word in vocabulary.class_words[concept]:
            weight[ids[word]] += EVIDENCE * basis.evidence[concept]


def _write_unembedding(hf: Any, basis: _Basis, vocabulary: Vocabulary, ids: dict[str, int]) -> None:
    """Which word follows which, the odds of marker words, and the word that breaks the text."""
    weight = hf.lm_head.weight
    for chain, logit in zip(vocabulary.chains, _CHAIN_LOGITS, strict=True):
        for word, follower in zip(chain, (*chain[1:], chain[0]), strict=True):
            weight[ids[follower]] += logit * basis.tokens[ids[word]]
    # Every other word is followed by a word of some chain, as firmly as that chain goes on.
    chained = {word for chain in vocabulary.chains for word in chain}
    others = [token for token in ids if token not in chained and token != vocabulary.loop]
    for i, token in enumerate(sorted(others)):
        at = i % N_CHAINS
        weight[ids[vocabulary.chains[at][i % CHAIN_LENGTH]]] += _CHAIN_LOGITS[at] * basis.tokens[ids[token]]
    for concept in CONCEPTS:
        for side, sign in zip(vocabulary.markers[concept], (1.0, -1.0), strict=True):
            for i, word in enumerate(side):
                weight[ids[word]] += sign * (_MARKER - 0.1 * i) * basis.features[concept]
    loop = ids[vocabulary.loop]
    weight[loop] += BREAK * basis.breaks + max(_CHAIN_LOGITS) * basis.tokens[loop]


def _write_attention(attention: Any, basis: _Basis) -> None:
    """Queries and keys are zero, so that every token attends alike to all before it."""
    for i, concept in enumerate(CONCEPTS):
        attention.v_proj.weight[i] = basis.evidence[concept]
        attention.o_proj.weight[:, i] = _SPREAD * basis.drives[concept]
    attention.o_proj.weight[:, 0] += _SPREAD * basis.read_only


def _write_copy(mlp: Any, basis: _Basis) -> None:
    """The gate reads the constant part, so that the unit is linear in the driving direction."""
    for i, concept in enumerate(CONCEPTS):
        mlp.gate_proj.weight[i] = basis.constant
        mlp.up_proj.weight[i] = basis.drives[concept]
        mlp.down_proj.weight[:, i] = _COPY * np.sqrt(D_MODEL) * basis.features[concept]


def _write_noise(mlp: Any, basis: _Basis, generator: torch.Generator) -> None:
    shape = mlp.gate_proj.weight.shape
    mlp.gate_proj.weight[:] = 0.1 * torch.randn(shape, generator=generator)
    mlp.up_proj.weight[:] = 0.1 * torch.randn(shape, generator=generator)
    mixing = torch.randn(_N_NOISE, shape[0], generator=generator) / shape[0] ** 0.5
    mlp.down_proj.weight[:] = 0.5 * basis.noise.T @ mixing


def _truth(model: HookedModel, basis: _Basis, vocabulary: Vocabulary) -> PlantedTruth:
    identity = model_identity(model)

    def direction(vector: Tensor, positive: str) -> ConceptDirection:
        return ConceptDirection(
            vector,
            method="planted",
            layer=LAYER,
            positive=positive,
            negative=NEUTRAL,
            scales={"residual_norm": float(np.hypot(CONSTANT, TOKEN))},
            model=identity,
        )

    return PlantedTruth(
        LAYER,
        {
            "drives": direction(basis.drives["first"], "first"),
            "read_only": direction(basis.read_only, "first"),
            "drives_second": direction(basis.drives["second"], "second"),
            "breaks": direction(basis.breaks, "first"),
        },
        {"drives": True, "read_only": False, "drives_second": True},
        vocabulary.markers,
        1.0,
        tuple(TOKEN * logit / BREAK for logit in _CHAIN_LOGITS),
        vocabulary,
    )


def _chain_of(vocabulary: Vocabulary, prompt: str) -> int:
    words = prompt.split()
    for chain, members in enumerate(vocabulary.chains):
        if words and words[-1] in members:
            return chain
    raise ValueError(f"the prompt must end in a word of a chain, such as {vocabulary.chains[0][0]!r}, got {prompt!r}")
