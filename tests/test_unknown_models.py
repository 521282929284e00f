"""Models the package has never seen, as a file or a folder: the whole command, with and without a chat template."""

import json

import pytest
from gguf_files import tiny_llama_hf, write_gguf
from test_command_line import write_pairs
from tiny_models import tiny_tokenizer

from empathy_geometry.command_line.main import main


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("chat", [True, False], ids=["chat", "plain"])
@pytest.mark.parametrize("kind", ["gguf", "folder"])
def test_bandwidth_runs_and_a_broken_model_beside_it_ends_nothing(tmp_path, capsys, kind, chat):
    hf, tokenizer = tiny_llama_hf(), tiny_tokenizer(chat=chat)
    if kind == "gguf":
        pytest.importorskip("gguf")
        model = write_gguf(tmp_path / "unseen.gguf", hf, tokenizer)
    else:
        model = tmp_path / "unseen"
        hf.save_pretrained(model)
        tokenizer.save_pretrained(model)
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(100))
    texts = write_pairs(tmp_path / "mine.jsonl")
    command = ["bandwidth", "--models", str(broken), str(model), "--texts", str(texts), "--quick", "--quiet"]
    code = main([*command, "--layer", "1", "--position", "mean", "--output", str(tmp_path / "out")])
    told = capsys.readouterr()
    assert code == 4, told.err
    assert "broken.gguf: " in told.err
    (found,) = [json.loads(path.read_text()) for path in (tmp_path / "out").rglob("bandwidth.json")]
    assert found["provenance"]["kind"] == "measured"
    assert found["provenance"]["model"]["name"].endswith(model.name)
    assert [path.parent.name for path in (tmp_path / "out").rglob("report.html")], list((tmp_path / "out").rglob("*"))
