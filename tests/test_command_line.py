"""The terminal: every subcommand through `main`, on a small model in a folder, so that the real load path runs."""

import json
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import tiny_tokenizer

import empathy_geometry as eg
from empathy_geometry.command_line import main
from empathy_geometry.command_line.bandwidth_command import ask
from empathy_geometry.command_line.concepts import CONCEPTS
from empathy_geometry.command_line.inputs import fewer_scenarios, one_against_rest, read_texts
from empathy_geometry.command_line.model_names import MODELS_FOLDER, expand_models, folder_name
from empathy_geometry.command_line.parser import build_parser
from empathy_geometry.command_line.run_record import RunRecord
from empathy_geometry.foundation.checked_json import dump_checked
from empathy_geometry.foundation.durable_file import write_text
from empathy_geometry.foundation.provenance import Provenance
from empathy_geometry.studies.planted_checks import PARTS
from empathy_geometry.studies.planted_study import planted_run

pytestmark = pytest.mark.usefixtures("one_thread")

WORDS = (
    "rain",
    "lamp",
    "door",
    "tree",
    "road",
    "cup",
    "wall",
    "coat",
    "boat",
    "hill",
    "stone",
    "glass",
    "fork",
    "sail",
)


@pytest.fixture(scope="module", autouse=True)
def quicker():
    """--quick is made for real models; here it may be quicker still."""
    smaller = {"search": eg.SearchDesign(n_prompts=3, max_new_tokens=4), "n_permutations": 9}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("empathy_geometry.command_line.bandwidth_command._QUICK", smaller)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model as transformers saves one."""
    from transformers import LlamaConfig, LlamaForCausalLM

    path = tmp_path_factory.mktemp("models") / "tiny"
    tokenizer = tiny_tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(tokenizer),
                hidden_size=16,
                intermediate_size=32,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=2,
                max_position_embeddings=512,
                initializer_range=0.3,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=257,
            )
        ).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def write_pairs(path: Path, classes=("warm", "plain"), n=14) -> Path:
    """One JSON object a line; the classes differ in one word and some noise."""
    rng = np.random.default_rng(0)
    marks = {"warm": "oh dear oh dear", "plain": "it is a fact", "curt": "no no no", "odd": "zq zq zq"}
    lines = [
        json.dumps(
            {"id": f"s{i}", "text": f"{WORDS[i]} {marks[c]} {rng.choice(WORDS)}", "label": c, "context": "ab"[i % 2]}
        )
        for i in range(n)
        for c in classes
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def measured(folder, tmp_path_factory):
    """One finished run: the model and its random-weights control, with a control concept."""
    place = tmp_path_factory.mktemp("run")
    texts = write_pairs(place / "mine.jsonl")
    control = write_pairs(place / "control.jsonl", classes=("curt", "odd"))
    command = ["bandwidth", "--models", str(folder), "--texts", str(texts), "--control", str(control), "--quick"]
    command += ["--random-weights", "--output", str(place / "out"), "--quiet", "--layer", "1", "--position", "mean"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code = main(command)
    return place / "out", command, code


def test_a_run_leaves_results_of_the_model_and_its_control(measured):
    out, _, code = measured
    assert code == 0
    results = {p.parent.name: json.loads(p.read_text()) for p in out.rglob("bandwidth.json")}
    assert set(results) == {"tiny", "tiny-random-weights-seed-0"}
    for result in results.values():
        assert result["provenance"]["kind"] == "measured"
        assert result["provenance"]["settings"]["quick"] is True
        assert (result["layer"], result["layer_choice"]) == (1, "given")
        assert result["concept"]["name"] == "warm - plain"
    assert "random weights" in results["tiny-random-weights-seed-0"]["provenance"]["model"]["name"]


def test_the_same_command_keeps_what_is_there_and_another_is_refused(measured, capsys, monkeypatch):
    out, command, _ = measured
    before = {p: p.stat().st_mtime_ns for p in out.rglob("bandwidth.json")}
    monkeypatch.setattr("empathy_geometry.command_line.models_in_turn.load_model", pytest.fail)
    assert main([a for a in command if a != "--quiet"]) == 0
    told = capsys.readouterr()
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert told.out.count("Bandwidth of warm - plain") == 2
    assert "kept from an earlier run" in told.err
    assert "kept" not in told.out
    assert main([a for a in command if a != "--random-weights"] + ["--seed", "1"]) == 2
    told = capsys.readouterr()
    assert "holds another run (other seed" in told.err
    assert told.out == ""


def test_compare_and_report_read_the_results(measured, capsys):
    out, _, _ = measured
    assert main(["compare", "--input", str(out), "--output", str(out / "compared"), "--quiet"]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    saved = json.loads((out / "compared" / "compare.json").read_text())
    assert "trained and random weights" in {c["relation"] for c in saved["contrasts"]}
    assert any(r["random_weights"] for r in saved["results"].values())
    assert main(["report", "--input", str(out), "--output", str(out / "rep"), "--format", "md", "--quiet"]) == 0
    text = (out / "rep" / "report.md").read_text()
    assert "warm - plain" in text
    assert "random weights" in text


def test_planted_and_measured_results_are_refused_together(measured, tmp_path, capsys):
    out, _, _ = measured
    result = json.loads(next(out.rglob("bandwidth.json")).read_text())
    result["provenance"]["kind"] = "planted"
    del result["sha256"]
    (tmp_path / "PLANTED_bandwidth.json").write_text(dump_checked(result))
    for command in ("report", "compare"):
        assert main([command, "--input", str(out), str(tmp_path), "--output", str(tmp_path / "o"), "--quiet"]) == 2
        told = capsys.readouterr()
        assert "planted and measured results do not go into one" in told.err
        assert len(told.err.strip().splitlines()) == 1


def test_an_interrupted_run_goes_on_from_the_activations(folder, tmp_path, capsys, monkeypatch):
    texts = write_pairs(tmp_path / "mine.jsonl")
    command = ["bandwidth", "--models", str(folder), "--texts", str(texts), "--no-control", "--quick"]
    command += ["--no-random-directions", "--output", str(tmp_path / "out"), "--layer", "1", "--position", "mean"]
    command += ["--depth-profile"]

    def stop(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("empathy_geometry.studies.bandwidth.permutation_test", stop)
        assert main(command) == 130
    told = capsys.readouterr()
    assert "interrupted; what was finished is kept. To go on: python -m empathy_geometry bandwidth" in told.err
    shards = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*.safetensors")}
    assert shards
    assert not list((tmp_path / "out").rglob("bandwidth.json"))
    assert main(command) == 0
    assert {p: p.stat().st_mtime_ns for p in shards} == shards
    result = json.loads(next((tmp_path / "out").rglob("bandwidth.json")).read_text())
    assert result["control"] is None
    assert result["random_directions"] == {}
    profile = json.loads(next((tmp_path / "out").rglob("depth_profile.json")).read_text())
    assert [p["layer"] for p in profile["points"]] == [0, 1]
    printed = capsys.readouterr().out
    assert "Bandwidth of warm - plain" in printed
    assert "over depth" in printed


def test_more_than_two_classes_are_each_measured_against_the_rest(folder, tmp_path, capsys):
    texts = write_pairs(tmp_path / "three.jsonl", classes=("warm", "plain", "curt"))
    command = ["bandwidth", "--models", str(folder), "--texts", str(texts), "--no-control", "--quick", "--quiet"]
    command += ["--no-random-directions", "--output", str(tmp_path / "out"), "--layer", "1", "--position", "mean"]
    assert main(command) == 0
    names = {json.loads(p.read_text())["concept"]["name"] for p in (tmp_path / "out").rglob("bandwidth.json")}
    assert names == {"warm - not warm", "plain - not plain", "curt - not curt"}
    assert main(["compare", "--input", str(tmp_path / "out"), "--output", str(tmp_path / "out"), "--quiet"]) == 0
    assert "concepts" in capsys.readouterr().out


def test_triplets_in_the_reference_layout_go_into_the_study_as_they_are(folder, tmp_path, capsys, monkeypatch):
    triplets = [
        {
            "id": f"t{i}",
            "scenario": f"The {w} broke.",
            "cognitive": "I see.",
            "affective": "Oh!",
            "instrumental": "Fix it.",
        }
        for i, w in enumerate(WORDS)
    ]
    (tmp_path / "my.json").write_text(json.dumps({"triplets": triplets}))
    asked = {}

    class Result:
        """What the study would give; the real one takes a minute, see the slow test below."""

        provenance = Provenance("measured", model={"name": "tiny"})

        def save(self, folder):
            (folder / "tripartite.json").write_text("{}")

        def __str__(self):
            return "the table"

    def study(model, texts, **options):
        asked.update(options, texts=texts, layers=model.cfg.n_layers)
        return Result()

    monkeypatch.setattr("empathy_geometry.command_line.tripartite_command.concept_study", study)
    monkeypatch.setattr("empathy_geometry.command_line.tripartite_command.replace", lambda result, **_: result)
    command = ["tripartite", "--texts", str(tmp_path / "my.json"), "--output", str(tmp_path / "out")]
    command += ["--models", str(folder), "--no-causal", "--layer", "1"]
    assert main(command) == 0
    assert asked["texts"].texts[0] == "The rain broke.\n\nResponse: I see."
    assert (asked["layers"], asked["layer"], asked["design"].without) == (2, 1, ["causal"])
    assert asked["folder"] == tmp_path / "out" / "tiny" / "tripartite" / "kept"
    asked.clear()
    assert main(command) == 0
    assert asked == {}
    assert capsys.readouterr().out.count("the table") == 2


@pytest.mark.parametrize("classes", [("warm", "plain"), ("warm", "plain", "curt", "odd")])
def test_texts_of_any_classes_go_through_the_study_by_one_command(classes, folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("empathy_geometry.studies.tripartite.agreement._SHUFFLES", 5)  # of twenty, for time
    monkeypatch.setattr("empathy_geometry.command_line.tripartite_command._QUICK_PERMUTATIONS", 19)
    texts = write_pairs(tmp_path / "mine.jsonl", classes=classes)
    out = tmp_path / "out"
    command = ["tripartite", "--texts", str(texts), "--output", str(out), "--quick", "--models", str(folder), "--quiet"]
    assert main(command) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"Concept study of {', '.join(classes)} in ")
    assert re.search(r"Left out\n  section +left out because\n  emotion +it asks of empathy", told)
    saved = json.loads((out / "tiny" / "concept_study" / "concept_study.json").read_text())
    assert (saved["study"], saved["provenance"]["settings"]["quick"]) == ("concept_study", True)
    names = {s["name"] for s in saved["sections"]}
    assert {"formality", "length", "quartiles", "emergence", "clusters", "agreement", "cosines"} < names
    assert {"shuffled_labels", "random_weights"} < names
    # The classes differ in a word, so that whatever can be read is no more than that.
    told_apart = [f["verdict"] for f in saved["table"] if f["key"].startswith("classification")]
    assert len(told_apart) == (1 if len(classes) == 2 else 7)
    assert "supported" not in told_apart
    report = ["report", "--input", str(out), "--output", str(tmp_path / "rep"), "--format", "md", "--quiet"]
    assert main(report) == 0
    text = (tmp_path / "rep" / "report.md").read_text()
    assert f"Concept study of {', '.join(classes)}" in text
    assert "Tripartite" not in text


def test_some_classes_of_a_packaged_concept_can_be_named(folder, tmp_path, monkeypatch):
    asked = {}

    def study(model, texts, **options):
        asked.update(options, classes_there=texts.classes)
        raise ValueError("seen enough")

    monkeypatch.setattr("empathy_geometry.command_line.tripartite_command.concept_study", study)
    command = ["tripartite", "--concept", "emotion", "--classes", "joy", "calm", "--output", str(tmp_path / "o")]
    assert main([*command, "--models", str(folder), "--quiet"]) == 2
    assert list(asked["classes"]) == ["joy", "calm"]
    assert len(asked["classes_there"]) == 5
    assert asked["folder"] == tmp_path / "o" / "tiny" / "concept_study" / "kept"
    # Bandwidth of two of five classes is theirs, not that of each against the rest.
    arguments = build_parser().parse_args(["bandwidth", "--concept", "emotion", "--classes", "joy", "calm"])
    questions, _ = ask(arguments)
    assert [(q.positive, q.negative) for q in questions] == [("joy", "calm")]


@pytest.mark.slow
def test_tripartite_runs_on_a_users_triplets_by_one_command(folder, tmp_path, capsys):
    some = eg.datasets.empathy_triplets()
    some = some.where(group=list(dict.fromkeys(some.groups.tolist()))[:14])
    triplets = [
        {"id": g, "scenario": "x", **{t.label: t.text for t in some.where(group=g) if t.label != "neutral"}}
        for g in np.unique(some.groups)
    ]
    (tmp_path / "my.json").write_text(json.dumps({"triplets": triplets}))
    command = ["tripartite", "--texts", str(tmp_path / "my.json"), "--output", str(tmp_path / "out"), "--quick"]
    assert main([*command, "--models", str(folder), "--no-random-weights", "--quiet"]) == 0
    assert "supported" in capsys.readouterr().out
    saved = json.loads(next((tmp_path / "out").rglob("tripartite.json")).read_text())
    assert saved["provenance"]["settings"]["quick"] is True


def test_a_dry_run_lies_apart_from_measurements(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("empathy_geometry.command_line.planted_command.planted_run", _one_part)
    assert main(["bandwidth", "--planted", "--quick", "--quiet"]) == 0
    told = capsys.readouterr()
    assert told.out.count("PLANTED DATA, NOT A MEASUREMENT") == 2
    assert not Path("results").exists()
    files = [p.name for p in Path("PLANTED_results").rglob("*") if p.is_file()]
    assert "PLANTED_bandwidth.json" in files
    assert all(name.startswith("PLANTED_") for name in files)
    assert (
        main(["report", "--input", "PLANTED_results", "--output", "PLANTED_report", "--format", "md", "--quiet"]) == 0
    )
    assert Path("PLANTED_report/PLANTED_report.md").read_text().startswith("# PLANTED")


def test_a_dry_run_of_other_classes_is_of_those_classes(tmp_path, monkeypatch, capsys):
    asked = {}

    def planted(**options):
        asked.update(options)
        raise ValueError("seen enough")

    monkeypatch.setattr("empathy_geometry.command_line.tripartite_command.planted_tripartite", planted)
    command = ["tripartite", "--planted", "--concept", "humor", "--output", str(tmp_path)]
    assert main(command) == 2
    assert sorted(asked["classes"]) == ["humorous", "plain"]
    assert asked["folder"] == tmp_path / "PLANTED_concept_study" / "kept"
    assert main(["tripartite", "--planted", "--output", str(tmp_path)]) == 2
    assert asked["classes"] == ("cognitive", "affective", "instrumental")
    assert asked["folder"] == tmp_path / "PLANTED_tripartite" / "kept"


def _one_part(**options):
    return planted_run(parts={"dimensionality": PARTS["dimensionality"]}, **options)


def test_one_failing_model_does_not_end_the_others(measured, folder, capsys):
    _, command, _ = measured
    place = command.index("--models") + 1
    assert main([*command[:place], str(folder), str(folder.parent), *command[place + 1 :]]) == 4
    told = capsys.readouterr()
    assert "folder without config.json" in told.err
    assert "Bandwidth of" in told.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["bandwidth", "--texts", "nowhere.json"], "there is no file nowhere.json"),
        (["bandwidth", "--control", "nothing"], "is no packaged concept"),
        (["bandwidth", "--control", "empathy_triplets"], "a control concept has two classes"),
        (["bandwidth", "--concept", "nothing"], "invalid choice"),
        (["bandwidth", "--layer", "deep"], "must be 'nested', 'embed' or an index"),
        (["bandwidth", "--models", "no/such-model", "--concept", "humor", "--quick"], "cannot load model"),
        (["tripartite", "--concept", "nothing"], "invalid choice"),
        (["tripartite", "--concept", "humor", "--classes", "humorous", "sad"], "has no 'sad'; it has ['humorous',"),
        (["bandwidth", "--concept", "emotion", "--classes", "joy", "sad"], "has no 'sad'; it has ['anger', 'calm',"),
        (["human-truth"], "--rated"),
        (["human-truth", "--rated", "nowhere"], "get it from https"),
        (["compare"], "say what to compare"),
        (["compare", "--input", "nowhere"], "there is no nowhere"),
        (["report", "--input", "nowhere"], "there is no nowhere"),
        ([], "required"),
        (["nonsense"], "invalid choice"),
    ],
)
def test_bad_input_ends_with_two_and_says_what_to_change(arguments, says, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert says in told.err
    assert "Traceback" not in told.err
    assert told.out == ""


def test_texts_that_cannot_be_measured_are_named_before_a_model_is_loaded(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("empathy_geometry.command_line.models_in_turn.load_model", pytest.fail)
    few = write_pairs(tmp_path / "few.jsonl", n=5)
    assert main(["bandwidth", "--texts", str(few), "--output", str(tmp_path / "o")]) == 2
    assert "at least 12 scenarios" in capsys.readouterr().err
    broken = tmp_path / "broken.json"
    broken.write_text('{"items": [')
    assert main(["bandwidth", "--texts", str(broken), "--output", str(tmp_path / "o")]) == 2
    assert "not complete JSON" in capsys.readouterr().err
    three = write_pairs(tmp_path / "three.jsonl", classes=("warm", "plain", "curt"))
    assert main(["tripartite", "--texts", str(few), "--output", str(tmp_path / "o")]) == 2
    assert "needs at least 12 scenarios, got 5" in capsys.readouterr().err
    assert main(["bandwidth", "--texts", str(three), "--positive", "hot", "--output", str(tmp_path / "o")]) == 2
    assert "is no class of three" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["bandwidth", "tripartite", "human-truth", "compare", "report"])
def test_help_has_examples_layout_and_exit_codes(command, capsys):
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"python -m empathy_geometry {command}" in text
    assert "exit codes" in text
    assert "--output" in text
    if command not in ("report", "human-truth"):
        assert '"id": scenario' in text


def test_the_module_runs_as_a_program():
    done = subprocess.run(
        [sys.executable, "-m", "empathy_geometry", "--help"], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0
    assert all(name in done.stdout for name in ("bandwidth", "tripartite", "compare", "report", "--planted"))


def test_all_is_what_is_here(folder, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("empathy_geometry.command_line.model_names._cached", list)
    monkeypatch.delenv(MODELS_FOLDER, raising=False)
    assert expand_models(["all"]) == ["smollm2-135m-instruct"]
    monkeypatch.setenv(MODELS_FOLDER, str(folder.parent))
    assert expand_models(["x", "all", "x"]) == ["x", "smollm2-135m-instruct", str(folder)]
    monkeypatch.setenv(MODELS_FOLDER, str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="is no folder"):
        expand_models(["all"])


def test_folders_are_told_apart():
    assert folder_name("org/a") != folder_name("org2/a")
    assert folder_name("../models/a") == "a"
    assert "/" not in folder_name("a/b c(d)")


def test_restart_throws_away_only_what_a_run_wrote(tmp_path):
    place = tmp_path / "a"
    record = RunRecord(place, {"seed": 0})
    with record.keeping_count():
        write_text(place / "bandwidth.md", "table")
        write_text(place / "kept" / "steps" / "one.json", "{}")
        write_text(place / "figures" / "one.png", "")
    neighbour = RunRecord(place / "tripartite", {"study": "tripartite"})
    with neighbour.keeping_count():
        write_text(place / "tripartite" / "tripartite.md", "table")
    for mine in ("my_notes.txt", "kept/notes.txt", "figures/one.svg"):
        (place / mine).write_text("mine")
    record.finish("table")
    assert RunRecord(place, {"seed": 0}).table == "table"
    again = RunRecord(place, {"seed": 1}, restart=True)
    assert again.table is None
    left = {p.relative_to(place).as_posix() for p in place.rglob("*") if p.is_file()}
    assert left == {
        "run.json",
        "my_notes.txt",
        "kept/notes.txt",
        "figures/one.svg",
        "tripartite/run.json",
        "tripartite/tripartite.md",
    }
    assert not (place / "kept" / "steps").exists()


def test_restart_follows_no_link_out_of_the_folder(tmp_path):
    place = tmp_path / "a"
    record = RunRecord(place, {})
    with record.keeping_count():
        write_text(place / "figures" / "one.png", "")
    (place / "figures").rename(tmp_path / "elsewhere")
    (place / "figures").symlink_to(tmp_path / "elsewhere")
    RunRecord(place, {}, restart=True)
    assert (tmp_path / "elsewhere" / "one.png").exists()


@pytest.mark.parametrize("foreign", ["{", '{"someone": "else"}', "[]"])
def test_a_record_that_is_not_ours_is_left_alone(tmp_path, foreign):
    (tmp_path / "run.json").write_text(foreign)
    for restart in (False, True):
        with pytest.raises(ValueError, match=r"run\.json is damaged or half-written"):
            RunRecord(tmp_path, {"seed": 1}, restart=restart)
    assert (tmp_path / "run.json").read_text() == foreign


def test_a_finished_run_whose_result_was_changed_since_is_not_taken_as_done(measured, tmp_path):
    out, command, _ = measured
    shutil.copytree(out, tmp_path / "out")
    again = [
        *command[: command.index("--output") + 1],
        str(tmp_path / "out"),
        *command[command.index("--output") + 2 :],
    ]
    assert main(again) == 0
    path = tmp_path / "out" / "tiny" / "bandwidth.json"
    path.write_text(path.read_text().replace("0.9", "0.8", 1))
    assert main(again) != 0
    path.unlink()
    assert main(again) != 0


def test_every_packaged_concept_can_be_named_and_split():
    for make in CONCEPTS.values():
        assert len(getattr(eg.datasets, make)().classes) >= 2
    rest = one_against_rest(eg.datasets.empathy_triplets(), "affective")
    assert set(rest.classes) == {"affective", "not affective"}
    few = fewer_scenarios(eg.datasets.empathy_pairs(), 10)
    assert len(np.unique(few.groups)) == 10
    assert len(np.unique(few.contexts)) == 5


def test_wide_files_are_read_by_their_suffix(tmp_path):
    (tmp_path / "a.csv").write_text("id,warm,plain\n1,oh,so\n2,ah,well\n")
    assert read_texts(str(tmp_path / "a.csv"), ["warm", "plain"]).labels.tolist() == ["warm", "plain"] * 2
    (tmp_path / "a.tsv").write_text("id\twarm\tplain\n1\toh\tso\n")
    assert len(read_texts(str(tmp_path / "a.tsv"), ["warm", "plain"])) == 2
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(ValueError, match="must end in"):
        read_texts(str(tmp_path / "a.txt"))


@pytest.mark.parametrize("arguments", [["--help"], ["bandwidth", "--help"], ["--version"], ["no-such-command"]])
def test_help_and_version_do_not_wait_for_torch(arguments):
    code = (
        "import sys\n"
        "sys.argv[0] = '/bin/empathy-geometry'\n"
        "from empathy_geometry.command_line.main import main\n"
        f"code = main({arguments})\n"
        "heavy = {'torch', 'numpy', 'sklearn', 'pandas', 'transformers'} & set(sys.modules)\n"
        "print(code, sorted(heavy))\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.endswith("2 []\n" if arguments == ["no-such-command"] else "0 []\n")
    if arguments == ["--version"]:
        assert ran.stdout.startswith(f"empathy_geometry {eg.__version__}\n")
    else:
        assert "usage: empathy-geometry" in ran.stdout + ran.stderr
        assert "python -m" not in ran.stdout + ran.stderr


def test_the_installed_script_is_the_module():
    scripts = Path(eg.__file__).parents[1] / "pyproject.toml"
    assert '\nempathy-geometry = "empathy_geometry.command_line.main:main"\n' in scripts.read_text()
    ran = subprocess.run([sys.executable, "-m", "empathy_geometry", "--version"], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, f"empathy_geometry {eg.__version__}\n")
