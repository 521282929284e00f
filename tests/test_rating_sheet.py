"""What raters get gives nothing away; what they send back is checked; what is planted in the ratings is found."""

import base64
import csv
import hashlib
import io
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import spearmanr

import empathy_geometry as eg
from empathy_geometry.ratings.items import Key

ALPHAS = np.array([-2.0, 0.0, 0.5, 2.0])
PROMPTS = ("I lost my job.", "My cat is ill.", "=1+1", "How do I boil an egg?", "I moved.")


def sweep():
    """What the export reads of a sweep; alpha 0.5 left every text as it was."""
    rng = np.random.default_rng(0)
    texts = [[f"reply {p} at {'zero' if a in (0.0, 0.5) else a}" for p in range(5)] for a in ALPHAS]
    coherence = rng.uniform(0.3, 1.0, size=(4, 5))
    return SimpleNamespace(
        alphas=ALPHAS,
        prompts=PROMPTS,
        texts=tuple(map(tuple, texts)),
        concept=ALPHAS[:, None] + 0.1 * rng.standard_normal((4, 5)),
        coherence=coherence,
        parts={"perplexity": coherence},
    )


@pytest.fixture
def sheet(tmp_path):
    return eg.ratings.export_rating_sheet(sweep(), tmp_path / "sheet", seed=5, raters=["Ann", "Bo"])


def table(path):
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")))


def embedded(path):
    return json.loads(re.search(r'id="content">(.*?)</script>', path.read_text(), re.S)[1])


def fill(path, rating):
    """The rater's table with `rating(item row number in the table, row)` in every row."""
    rows = table(path)
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows([{**row, "rating": rating(i, row)} for i, row in enumerate(rows)])
    return path


def test_raters_see_every_text_once_and_nothing_of_its_source(sheet):
    assert (sheet.n_items, sheet.n_merged) == (15, 5)
    rows = table(sheet.tables[0])
    assert len({row["item"] for row in rows}) == 15
    assert {row["text"] for row in rows} == {t for row in sweep().texts for t in row}
    assert set(rows[0]) == {"sheet", "item", "prompt", "text", "rating", "comment", "rater"}
    form = embedded(sheet.forms[0])
    assert set(form) == {"sheet", "rater", "question", "scale", "ends", "items"}
    assert all(set(item) == {"id", "prompt", "text"} for item in form["items"])
    assert not list(sheet.forms[0].parent.glob("*key*"))
    assert sheet.key.parent == sheet.forms[0].parent.parent


def test_order_and_ids_tell_nothing_of_alpha(tmp_path):
    ranks = []
    for seed in range(40):
        made = eg.ratings.export_rating_sheet(sweep(), tmp_path / f"s{seed}", seed=seed)
        alpha = {item.id: item.measures["alpha"] for item in Key.load(made.key).items}
        order = [row["item"] for row in table(made.tables[0])]
        by_order = spearmanr(range(15), [alpha[i] for i in order]).statistic
        by_id = spearmanr(range(15), [alpha[i] for i in sorted(order)]).statistic
        ranks.append((by_order, by_id))
    # The mean of 40 correlations of 15 in random order has a standard deviation of 0.042.
    assert np.abs(np.mean(ranks, axis=0)).max() < 0.15


def test_each_rater_has_an_order_of_their_own_and_a_seed_repeats_it(tmp_path, sheet):
    orders = [[row["item"] for row in table(path)] for path in sheet.tables]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])
    again = eg.ratings.export_rating_sheet(sweep(), tmp_path / "again", seed=5, raters=["Ann", "Bo"])
    assert [row["item"] for row in table(again.tables[1])] == orders[1]
    assert [i["id"] for i in embedded(again.forms[1])["items"]] == orders[1]


def test_a_form_is_one_file_that_needs_no_network_and_no_text_becomes_markup(tmp_path):
    evil = '</script><script>alert(1)</script><!-- <img src=x onerror="alert(2)">'
    made = eg.ratings.export_rating_sheet([evil, "fine {{CONTENT}}"], tmp_path / "sheet", seed=0)
    page = made.forms[0].read_text()
    assert not re.search(r"""(src|href)\s*=\s*["']|https?://|@import|url\(|fetch\(|XMLHttpRequest""", page)
    assert page.count("<script") == 2
    assert "<img" not in page
    assert {item["text"] for item in embedded(made.forms[0])["items"]} == {evil, "fine {{CONTENT}}"}
    assert "innerHTML" not in page
    assert 'name="viewport"' in page
    assert "prefers-color-scheme: dark" in page


def test_a_spreadsheet_runs_no_formula(sheet):
    prompts = {row["prompt"] for row in table(sheet.tables[0])}
    assert "'=1+1" in prompts
    assert not any(p.startswith(("=", "+", "-", "@")) for p in prompts)
    assert "=1+1" in {item["prompt"] for item in embedded(sheet.forms[0])["items"]}


def test_ratings_come_back_to_the_alpha_they_were_given_to(sheet):
    alpha = {item.id: item.measures["alpha"] for item in Key.load(sheet.key).items}
    for path in sheet.tables:
        fill(path, lambda i, row: 4 + int(alpha[row["item"]]))
    found = eg.ratings.import_ratings(sheet.tables, sheet.key)
    assert found.raters == ("Ann", "Bo")
    for i, item in enumerate(found.key.items):
        assert found.values[:, i].tolist() == [4 + int(item.measures["alpha"])] * 2
    assert found.agreement(n_resamples=50).value == 1.0
    correlations = found.correlate(n_resamples=200)
    assert set(correlations) == {"alpha", "|alpha|", "concept", "coherence", "coherence: perplexity"}
    # Small alphas were merged with zero, so alpha is 0.25 there, still in order.
    assert correlations["alpha"].value == pytest.approx(1.0)
    assert correlations["alpha"].n_groups == 5
    assert correlations["concept"].value > 0.9 > 0.5 > abs(correlations["|alpha|"].value)
    assert "Ann" in str(found)
    assert found.to_frame().shape[0] == 30
    assert found.to_dict()["items"][0]["ratings"].keys() == {"Ann", "Bo"}


def test_merged_rows_keep_every_source(sheet):
    merged = [item for item in Key.load(sheet.key).items if len(item.sources) == 2]
    assert len(merged) == 5
    assert all(sorted(s.measures["alpha"] for s in item.sources) == [0.0, 0.5] for item in merged)
    assert merged[0].measures["|alpha|"] == 0.25


def form_export(sheet, number, rating):
    """What the form's button saves."""
    content = embedded(sheet.forms[number])
    rows = [{"item": item["id"], "rating": rating(item["id"]), "comment": "hm"} for item in content["items"]]
    saved = {"format": "empathy_geometry.ratings/1", "sheet": content["sheet"], "rater": "", "ratings": rows}
    path = sheet.forms[number].with_suffix(".json")
    path.write_text(json.dumps({**saved, "rater": content["rater"]}))
    return path


def test_json_of_the_form_and_csv_mix(sheet):
    paths = [form_export(sheet, 0, lambda item: 3), fill(sheet.tables[1], lambda i, row: 1 + i % 7)]
    found = eg.ratings.import_ratings(paths, sheet.key)
    assert found.raters == ("Ann", "Bo")
    assert (found.values[0] == 3).all()
    assert found.comments[0][0] == "hm"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not complete JSON"),
        ('{"format": "other"}', "does not hold ratings"),
        ('{"format": "empathy_geometry.ratings/1"}', "has no list of ratings"),
        ('{"format": "empathy_geometry.ratings/1", "sheet": "x", "ratings": [{}]}', "belongs to sheet 'x'"),
    ],
)
def test_json_of_another_kind_is_refused(sheet, text, message):
    path = sheet.forms[0].with_suffix(".json")
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        eg.ratings.import_ratings(path, sheet.key)


def test_semicolons_of_a_spreadsheet_are_read(sheet):
    fill(sheet.tables[0], lambda i, row: 2)
    rows = table(sheet.tables[0])
    with sheet.tables[0].open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), delimiter=";")
        writer.writeheader()
        writer.writerows(rows)
    assert (eg.ratings.import_ratings(sheet.tables[0], sheet.key).values == 2).all()


def test_missing_ratings_are_refused_unless_allowed(sheet):
    fill(sheet.tables[0], lambda i, row: "" if i == 3 else 5)
    with pytest.raises(ValueError, match="left 1 of 15 items without a rating"):
        eg.ratings.import_ratings(sheet.tables[0], sheet.key)
    found = eg.ratings.import_ratings(sheet.tables[0], sheet.key, allow_missing=True)
    assert np.isnan(found.values).sum() == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: [*rows, rows[0]], "line 17: rater 'Ann' rates item '.*' a second time"),
        (lambda rows: [{**rows[0], "rating": "8"}, *rows[1:]], "line 2: a rating must be a whole number from 1 to 7"),
        (lambda rows: [{**rows[0], "rating": "2.5"}, *rows[1:]], "whole number from 1 to 7, got '2.5'"),
        (lambda rows: [{**rows[0], "rating": "good"}, *rows[1:]], "got 'good'"),
        (lambda rows: [{**rows[0], "item": "zz"}, *rows[1:]], "line 2: item 'zz' is not in the key"),
        (lambda rows: [{**rows[0], "sheet": "other"}, *rows[1:]], "belongs to sheet 'other'"),
        (lambda rows: [{"item": r["item"]} for r in rows], r"lacks the columns \['sheet', 'rating'\]"),
    ],
)
def test_bad_files_are_named_with_line(sheet, change, message):
    fill(sheet.tables[0], lambda i, row: 4)
    rows = change([{k: v for k, v in row.items() if k not in ("text", "prompt")} for row in table(sheet.tables[0])])
    with sheet.tables[0].open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(ValueError, match=message):
        eg.ratings.import_ratings(sheet.tables[0], sheet.key)


def test_a_changed_key_and_other_files_are_refused(tmp_path, sheet):
    fill(sheet.tables[0], lambda i, row: 4)
    sheet.key.write_text(sheet.key.read_text().replace('"alpha": 2.0', '"alpha": -2.0'))
    with pytest.raises(ValueError, match="is damaged or half-written"):
        eg.ratings.import_ratings(sheet.tables[0], sheet.key)
    with pytest.raises(FileNotFoundError, match="no key at"):
        eg.ratings.import_ratings(sheet.tables[0], tmp_path / "nowhere.json")
    other = eg.ratings.export_rating_sheet(["a", "b"], tmp_path / "other", seed=0)
    with pytest.raises(ValueError, match="belongs to sheet"):
        eg.ratings.import_ratings(sheet.tables[0], other.key)


def test_labeled_texts_are_blinded_by_class_and_bring_measures(tmp_path):
    texts = eg.datasets.empathy_pairs()[:6]
    made = eg.ratings.export_rating_sheet(texts, tmp_path / "sheet", seed=1, measures={"projection": range(6)})
    assert not {"empathetic", "neutral"} & {row["item"] for row in table(made.tables[0])}
    assert "empathetic" not in made.tables[0].read_text().partition("\n")[0]
    key = Key.load(made.key)
    assert sorted(s.label for item in key.items for s in item.sources) == sorted(map(str, texts.labels))
    fill(made.tables[0], lambda i, row: 1 + i)
    found = eg.ratings.import_ratings(made.tables[0], made.key)
    assert found.measures == ("projection",)


def test_the_prompt_is_shown_apart_from_the_reply_and_without_its_cue(tmp_path):
    texts = eg.datasets.empathy_triplets()[:6]
    assert texts.prompts is not None
    made = eg.ratings.export_rating_sheet(texts, tmp_path / "sheet", seed=1)
    rows = table(made.tables[0])
    assert {row["text"] for row in rows} == set(texts.responses)
    assert all(row["prompt"] and "Response:" not in row["prompt"] for row in rows)
    groups = {item.group for item in Key.load(made.key).items}
    assert groups == set(map(str, texts.groups))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": (1, 1)}, "scale must be two whole numbers"),
        ({"scale": (0, 20)}, "at most 10 apart"),
        ({"raters": []}, "at least one"),
        ({"raters": ["A b", "a_B"]}, "must differ as file names"),
        ({"measures": {"x": [1.0]}}, r"measures\['x'\] must be 2 finite numbers"),
    ],
)
def test_bad_options_are_named(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        eg.ratings.export_rating_sheet(["a", "b"], tmp_path / "s", seed=0, **options)


def test_the_key_may_not_lie_among_the_raters_files(tmp_path):
    with pytest.raises(ValueError, match="in the raters' folder"):
        eg.ratings.export_rating_sheet(["a", "b"], tmp_path / "s", seed=0, key=tmp_path / "s" / "deep" / "key.json")


@pytest.mark.parametrize("rater", ["=HYPERLINK(1)", "+1", "@Ann", "-Bo", "'=x", "Jos\u00e9"])
def test_a_rater_called_like_a_formula_is_text_in_every_table_and_comes_back(tmp_path, rater):
    sheet = eg.ratings.export_rating_sheet(["one text", "another"], tmp_path / "sheet", seed=1, raters=[rater])
    cells = [cell for row in table(sheet.tables[0]) for cell in row.values()]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)
    assert eg.ratings.import_ratings(fill(sheet.tables[0], lambda i, row: 3), sheet.key).raters == (rater,)


@pytest.mark.parametrize("rater", ["a\x1b[31m", "a\ud800", " ", "x\x00"])
def test_a_rater_without_a_printable_name_is_refused(tmp_path, rater):
    with pytest.raises(ValueError, match=r"raters\[0\]"):
        eg.ratings.export_rating_sheet(["one text"], tmp_path / "sheet", seed=1, raters=[rater])


def test_the_form_lets_nothing_run_but_its_own_script(tmp_path):
    hostile = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    sheet = eg.ratings.export_rating_sheet(
        [hostile], tmp_path / "sheet", seed=1, question=hostile, ends=(hostile, hostile)
    )
    page = sheet.forms[0].read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for element in ("script", "style"):
        content = re.search(f"<{element}>(.*?)</{element}>", page, re.S)[1]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{element}-src 'sha256-{digest}'" in policy
    assert page.count("<script") == 2
    assert "<img" not in page
    assert embedded(sheet.forms[0])["items"][0]["text"] == hostile
    assert "innerHTML" not in page
