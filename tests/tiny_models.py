"""Small random models of every supported type, and their tokenizer: built in memory, no download, milliseconds.

`from tiny_models import tiny_model` works in every test file (tests/conftest.py puts this folder on the path); the
fixtures `tiny_llama`, `tiny_gpt2`, `tiny_hooked` and `tiny_model` (each of the three in turn) are there too.
"""

import warnings
from functools import cache
from typing import Any, Literal

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

Kind = Literal["bridge_llama", "bridge_gpt2", "hooked_transformer"]

N_LAYERS, D_MODEL, N_CTX = 3, 16, 128

SPECIAL = ("<|im_start|>", "<|im_end|>", "<s>", "<pad>")

# As SmolLM2's: a system turn by default, ChatML marks, BOS not among them.
CHAT_TEMPLATE = (
    "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}<|im_start|>system\nBe kind.<|im_end|>\n"
    "{% endif %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def has_hooked_transformer() -> bool:
    """Whether this TransformerLens still has HookedTransformer (version 3)."""
    try:
        from transformer_lens import HookedTransformer  # noqa: F401
    except ImportError:
        return False
    return True


KINDS: tuple[Kind, ...] = ("bridge_llama", "bridge_gpt2")
if has_hooked_transformer():
    KINDS += ("hooked_transformer",)


def tiny_tokenizer(
    *, bos: str | None = "<|im_start|>", pad: str | None = "<|im_end|>", chat: bool = True
) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer: any text is tokenised, and a few merges straddle a prompt's end.

    As in SmolLM2, BOS also opens each chat turn, and the padding token is the end token.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("Ċ", "Ċ"), ("a", "b"), ("ab", "c"), ("Ġ", "I"), ("e", "r")]
    vocabulary = [*alphabet, *("".join(m) for m in merges)]
    tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(vocabulary)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=bos,
        eos_token="<|im_end|>",
        pad_token=pad,
        additional_special_tokens=[s for s in SPECIAL if s not in (bos, pad, "<|im_end|>")],
        chat_template=CHAT_TEMPLATE if chat else None,
        model_max_length=N_CTX,
    )
    # TransformerLens reloads a tokenizer by name to switch BOS on, unless it says that it is on.
    fast.init_kwargs |= {"name_or_path": "tiny", "add_bos_token": True}
    return fast


def tiny_bridge(
    kind: Literal["llama", "gpt2"] = "llama",
    *,
    n_layers: int = N_LAYERS,
    d_model: int = D_MODEL,
    n_ctx: int = N_CTX,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    tokenizer: Any = None,
) -> Any:
    """A TransformerBridge around a small random Hugging Face model."""
    from transformer_lens.model_bridge import TransformerBridge

    tokenizer = tiny_tokenizer() if tokenizer is None else tokenizer
    # transformers and torch both draw from the global generator; leave it as it was.
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        shared = {"vocab_size": len(tokenizer), "bos_token_id": tokenizer.bos_token_id, "eos_token_id": 257}
        if kind == "llama":
            hf: Any = LlamaForCausalLM(
                LlamaConfig(
                    hidden_size=d_model,
                    intermediate_size=2 * d_model,
                    num_hidden_layers=n_layers,
                    num_attention_heads=4,
                    num_key_value_heads=2,
                    max_position_embeddings=n_ctx,
                    attn_implementation="eager",
                    initializer_range=0.3,
                    **shared,
                )
            )
        else:
            hf = GPT2LMHeadModel(
                GPT2Config(
                    n_embd=d_model,
                    n_layer=n_layers,
                    n_head=4,
                    n_positions=n_ctx,
                    attn_implementation="eager",
                    initializer_range=0.3,
                    **shared,
                )
            )
        model = TransformerBridge.boot_transformers(
            f"tiny-{kind}", hf_model=hf.to(dtype).eval(), tokenizer=tokenizer, device="cpu", dtype=dtype
        )
    return _frozen(model)


def tiny_hooked_transformer(
    *,
    n_layers: int = N_LAYERS,
    d_model: int = D_MODEL,
    n_ctx: int = N_CTX,
    seed: int = 0,
    tokenizer: Any = None,
    window: int | None = None,
) -> Any:
    """A small random HookedTransformer (TransformerLens 3 only).

    With a window, the attention of every other layer is local.
    """
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    tokenizer = tiny_tokenizer() if tokenizer is None else tokenizer
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = HookedTransformer(
            HookedTransformerConfig(
                model_name="tiny-hooked",
                n_layers=n_layers,
                d_model=d_model,
                n_heads=4,
                d_head=d_model // 4,
                d_mlp=2 * d_model,
                n_ctx=n_ctx,
                d_vocab=len(tokenizer),
                act_fn="silu",
                gated_mlp=True,
                normalization_type="RMS",
                positional_embedding_type="rotary",
                rotary_dim=d_model // 4,
                final_rms=True,
                initializer_range=0.3,
                device="cpu",
                seed=seed,
                use_local_attn=window is not None,
                window_size=window,
                attn_types=None if window is None else (["local", "global"] * n_layers)[:n_layers],
            ),
            tokenizer=tokenizer,
        )
    return _frozen(model)


@cache
def tiny_model(kind: Kind = "bridge_llama") -> Any:
    """One shared model of each kind; leave it as you found it, or build one of your own with the functions above."""
    if kind == "hooked_transformer":
        return tiny_hooked_transformer()
    return tiny_bridge("llama" if kind == "bridge_llama" else "gpt2")


def _frozen(model: Any) -> Any:
    model.eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return model
