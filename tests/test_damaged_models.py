"""Files of models that were damaged on the way: the model loads, or an error names it."""

from pathlib import Path

import pytest
from gguf_files import tiny_llama_hf, write_gguf
from mutants import mutant
from tiny_models import tiny_tokenizer

import empathy_geometry as eg
from empathy_geometry.models.model_files import naming_files

pytestmark = pytest.mark.filterwarnings("ignore")


def check(place: Path, n: int, seed: int) -> tuple[int, int]:
    """Damage each file of a folder and a GGUF file in turn; how many models were loaded and how many refused."""
    hf, tokenizer = tiny_llama_hf(), tiny_tokenizer(chat=True)
    folder = place / "unseen"
    hf.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    files = [(path, folder) for path in sorted(folder.iterdir())]
    if pytest.importorskip("gguf"):
        single = write_gguf(place / "unseen.gguf", hf, tokenizer)
        files.append((single, single))
    loaded = refused = 0
    for i in range(n):
        path, model = files[i % len(files)]
        sound = path.read_bytes()
        how, damaged = mutant(sound, seed + i)
        path.write_bytes(damaged)
        try:
            said = error_of(str(model))
        except Exception as error:
            raise AssertionError(f"{how} of {path.name} (seed {seed + i}): {type(error).__name__}: {error}") from error
        finally:
            path.write_bytes(sound)
        assert said is None or str(model) in said, f"{how} of {path.name} (seed {seed + i}): {said}"
        loaded, refused = loaded + (said is None), refused + (said is not None)
    return loaded, refused


def error_of(model: str) -> str | None:
    try:
        eg.load_model(model)
    except (ValueError, FileNotFoundError) as error:
        return str(error)
    return None


def test_a_damaged_model_loads_or_is_named(tmp_path):
    loaded, refused = check(tmp_path, 35, seed=0)
    assert loaded > 3
    assert refused > 5


@pytest.mark.slow
def test_a_thousand_damaged_models_load_or_are_named(tmp_path):
    assert sum(check(tmp_path, 1000, seed=5000)) == 1000


def test_half_a_download_says_so(tmp_path):
    tiny_llama_hf().save_pretrained(tmp_path / "half")
    tiny_tokenizer().save_pretrained(tmp_path / "half")
    weights = tmp_path / "half" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=r"cannot load .*half \(SafetensorError.*are its files whole"):
        eg.load_model(str(tmp_path / "half"))


def test_panics_of_rust_are_named_and_what_is_no_fault_of_the_files_is_let_through(tmp_path):
    class PanicException(BaseException):
        pass

    with (
        pytest.raises(ValueError, match=r"cannot load there \(PanicException: out of range\); look"),
        naming_files("there", "look"),
    ):
        raise PanicException("out of range")
    for passing in (KeyboardInterrupt, MemoryError, ModuleNotFoundError):
        with pytest.raises(passing), naming_files("there", "look"):
            raise passing
