"""Readers of public sets, on small files of our own in the same layout."""

import csv
import json
import zipfile
from pathlib import Path

import pytest

import empathy_geometry as eg
from empathy_geometry.datasets import public

POSTS = ["My bus never came.", "My bus never came.", "I failed the test."]
REPLIES = ["Oh no, I am sorry.", "When was it due?", "I failed mine too; was it hard?"]
LEVELS = {"emotional-reactions": [2, 0, 0], "interpretations": [0, 0, 1], "explorations": [0, 2, 1]}


def write_csv(path: Path, rows: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def epitome_folder(root: Path) -> Path:
    for name, levels in LEVELS.items():
        rows = [
            {
                "sp_id": f"s{i // 2}",
                "rp_id": f"r{i}",
                "seeker_post": POSTS[i],
                "response_post": REPLIES[i],
                "level": level,
            }
            for i, level in enumerate(levels)
        ]
        write_csv(root / f"dataset/{name}-reddit.csv", rows)
    return root


def test_epitome(tmp_path: Path) -> None:
    texts = public.epitome(epitome_folder(tmp_path), any_version=True)
    assert texts.labels.tolist() == ["emotional_reactions", "explorations", "explorations+interpretations"]
    assert texts.groups.tolist() == ["s0", "s0", "s1"]
    assert texts.responses[2] == REPLIES[2]
    assert texts.targets["emotional_reactions"].tolist() == [2, 0, 0]
    assert texts.prompts[0].startswith(POSTS[0])


def test_epitome_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    folder = epitome_folder(tmp_path)
    with pytest.raises(ValueError, match="another version"):
        public.epitome(folder)
    path = folder / "dataset/explorations-reddit.csv"
    path.write_text(path.read_text().replace("r1,", "r9,"))
    with pytest.raises(ValueError, match="other posts and replies"):
        public.epitome(folder, any_version=True)
    path.write_text("sp_id,rp_id\n1,2\n")
    with pytest.raises(ValueError, match="lacks the column"):
        public.epitome(folder, any_version=True)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"get it from https.*licence: none stated"):
        public.epitome(folder, any_version=True)


def test_empathic_reactions(tmp_path: Path) -> None:
    rows = [
        {"response_id": w, "article_id": a, "empathy": e, "distress": d, "empathy_bin": int(e > 4), "distress_bin": 0}
        | {"essay": f"Essay {i} about the flood."}
        for i, (w, a, e, d) in enumerate([("w1", 7, 6.5, 1.0), ("w1", 8, 1.0, 2.0), ("w2", 7, 4.5, 3.0)])
    ]
    write_csv(tmp_path / "data/responses/data/messages.csv", rows)
    texts = public.empathic_reactions(tmp_path, any_version=True)
    assert texts.labels.tolist() == ["empathy", "none", "empathy"]
    assert texts.targets["distress"].tolist() == [1, 2, 3]
    assert (texts.groups.tolist(), texts.contexts.tolist()) == (["w1", "w1", "w2"], ["7", "8", "7"])
    rows[1]["empathy"] = "nan"
    write_csv(tmp_path / "data/responses/data/messages.csv", rows)
    with pytest.raises(ValueError, match="row 1: 'empathy' must be a finite number"):
        public.empathic_reactions(tmp_path, any_version=True)


def test_geometry_of_truth_keeps_what_is_spoken_of_together(tmp_path: Path) -> None:
    cities = [{"statement": f"Ulm is in {c}.", "label": y, "city": "Ulm"} for c, y in (("Germany", 1), ("Peru", 0))]
    write_csv(tmp_path / "datasets/cities.csv", cities)
    pairs = [
        {"statement": "Two is larger than one.", "label": 1, "n1": 2, "n2": 1},
        {"statement": "One is larger than two.", "label": 0, "n1": 1, "n2": 2},
    ]
    write_csv(tmp_path / "datasets/larger_than.csv", pairs)
    texts = public.geometry_of_truth(tmp_path)
    assert texts.labels.tolist() == ["true", "false"]
    assert set(texts.groups) == {"Ulm"}
    assert len(set(public.geometry_of_truth(tmp_path, "larger_than").groups)) == 1
    with pytest.raises(FileNotFoundError, match="cities"):
        public.geometry_of_truth(tmp_path, "towns")
    write_csv(tmp_path / "datasets/cities.csv", [{**cities[0], "label": 2}])
    with pytest.raises(ValueError, match="must be 0 or 1"):
        public.geometry_of_truth(tmp_path)


def test_sae_probes_sets_from_folder_and_wheel(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    content = {
        "1_two": "prompt,prompt_len,target\nso sorry,2,1\nthe file,2,0\nthe file,2,0\n",
        "2_three": "prompt,prompt_len,target\na,1,x\nb,1,y\nc,1,z\n",
    }
    folder = tmp_path / "sae_probes/data/cleaned_data"
    folder.mkdir(parents=True)
    for name, text in content.items():
        with pa.CompressedOutputStream(str(folder / f"{name}.csv.zst"), "zstd") as out:
            out.write(text.encode())
    wheel = tmp_path / "sae_probes.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"sae_probes/data/cleaned_data/{path.name}")
    for where in (tmp_path, wheel):
        sets = public.sae_probes_sets(where)
        assert list(sets) == ["1_two"]
        assert sets["1_two"].classes == ("0", "1")
        assert len(set(sets["1_two"].groups)) == 2
    with pytest.raises(ValueError, match="3 classes"):
        public.sae_probes_sets(wheel, names=["2_three"])
    with pytest.raises(ValueError, match="are not in"):
        public.sae_probes_sets(wheel, names=["3_four"])
    with pytest.raises(FileNotFoundError, match="no binary set"):
        public.sae_probes_sets(tmp_path / "elsewhere")


def test_steering_bench(tmp_path: Path) -> None:
    path = tmp_path / "assets/processed_datasets/mwe_persona/kindness.json"
    path.parent.mkdir(parents=True)
    side = {"prompt": "Would you share bread? (A) Yes (B) No", "response": "(A)"}
    path.write_text(json.dumps([{"positive": side, "negative": {**side, "response": "(B)"}}]))
    texts = public.steering_bench(tmp_path, "kindness")
    assert texts.responses == ("(A)", "(B)")
    assert texts.labels.tolist() == ["positive", "negative"]
    path.write_text(json.dumps([{"positive": side}]))
    with pytest.raises(ValueError, match="'negative' must have"):
        public.steering_bench(tmp_path, "kindness")
    with pytest.raises(FileNotFoundError, match="kindness"):
        public.steering_bench(tmp_path, "cruelty")


def test_every_reader_says_licence_and_citation() -> None:
    assert eg.datasets.public is public
    for name, source in public.SOURCES.items():
        assert callable(getattr(public, name))
        assert source.licence
        assert source.citation
        assert source.url.startswith("https://")
