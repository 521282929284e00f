"""One form for each name, and an error that names the rows where one is missing."""

import unicodedata
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import empathy_geometry as eg
from empathy_geometry.activations.pairing import paired_differences
from empathy_geometry.dimensionality.reference import neutral_differences
from empathy_geometry.evaluation.bootstrap import cluster_bootstrap
from empathy_geometry.evaluation.classification import classification
from empathy_geometry.evaluation.clusters import purity
from empathy_geometry.evaluation.label_permutations import label_permutations
from empathy_geometry.evaluation.metrics import accuracy, auroc, macro_auroc
from empathy_geometry.evaluation.nulls import shuffled_labels
from empathy_geometry.foundation._validation import as_binary, as_groups, as_names, rows_named, shared_names
from empathy_geometry.foundation.names import as_name
from empathy_geometry.similarity.disattenuated import disattenuated_cosine
from empathy_geometry.texts.splits import grouped_folds

NAN = float("nan")
MISSING: dict[str, Any] = {
    "None in a list": ["a", None, "b", "b"],
    "nan in a list of strings": ["a", NAN, "b", "b"],
    "nan in a list of numbers": [1, NAN, 2, 2],
    "nan in a float array": np.array([1.0, NAN, 2, 2]),
    "nan that numpy wrote": np.array(["a", NAN, "b", "b"]),
    "object array": np.array(["a", NAN, "b", "b"], dtype=object),
    "numpy nan": ["a", np.float32("nan"), "b", "b"],
    "Decimal": [1, Decimal("nan"), 2, 2],
    "pandas.NA": ["a", pd.NA, "b", "b"],
    "pandas.NaT": [pd.Timestamp("2020"), pd.NaT, pd.Timestamp("2021"), pd.Timestamp("2021")],
    "DatetimeIndex": pd.to_datetime(["2020", None, "2021", "2021"]),
    "datetime64": np.array(["2020", "NaT", "2021", "2021"], dtype="datetime64[D]"),
    "masked array": np.ma.array([1, 2, 3, 3], mask=[0, 1, 0, 0]),
    "tensor": torch.tensor([1.0, NAN, 2, 2]),
    "tensors in a list": [torch.tensor(1), torch.tensor(NAN), torch.tensor(2), torch.tensor(2)],
    "blank": ["a", " \t", "b", "b"],
    "invisible": ["a", "\u200b\ufeff", "b", "b"],
    "Hugging Face's no label": [0, -1, 1, 1],
    "no label, as strings": ["0", "-1", "1", "1"],
    "no label, as a tensor": torch.tensor([0, -1, 1, 1]),
    **{
        f"Series of type {kind}": pd.Series(["a", None, "b", "b"], dtype=kind)
        for kind in ("object", "string", "category")
    },
    **{f"Series of type {kind}": pd.Series([1, None, 2, 2], dtype=kind) for kind in ("float64", "Int64", "Float64")},
    "Series of type boolean": pd.Series([True, None, False, False], dtype="boolean"),
    "Series of strings with numpy's nan": pd.Series(["a", NAN, "b", "b"]),
}


@pytest.mark.parametrize("kind", MISSING)
def test_a_missing_name_names_its_row(kind: str) -> None:
    with pytest.raises(ValueError, match=r"groups .*missing") as error:
        as_names(MISSING[kind], "groups", 4)
    assert "row 1)" in str(error.value), error.value
    assert "1 of 4 rows" in str(error.value)


def test_many_missing_rows_are_counted_and_the_first_named() -> None:
    with pytest.raises(ValueError, match=r"missing entry in 20 of 40 rows \(row 20, 21, 22, 23, 24, \.\.\.\)"):
        as_names([*map(str, range(20)), *[NAN] * 20], "groups", 40)


X4 = np.array([[0.0, 4], [3, 3], [4, 5], [8, 8]])
TEXTS = ["a b", "c d", "e f", "g h"]
DOORS: dict[str, Any] = {
    "auroc groups": lambda x: auroc([1.0, 2, 3, 4], [0, 1, 0, 1], groups=x),
    "macro_auroc labels": lambda x: macro_auroc(np.zeros((4, 2)), x),
    "accuracy predicted": lambda x: accuracy(x, ["a", "a", "b", "b"]),
    "accuracy labels": lambda x: accuracy(["a", "a", "b", "b"], x),
    "as_binary": lambda x: as_binary(x, "labels", 4),
    "purity clusters": lambda x: purity(x, [0, 0, 1, 1]),
    "purity labels": lambda x: purity([0, 0, 1, 1], x),
    "cross_validate y": lambda x: eg.cross_validate(eg.Probe("ridge"), X4, x, groups=None),
    "cross_validate groups": lambda x: eg.cross_validate(eg.Probe("ridge"), X4, [0, 1, 0, 1], groups=x),
    "Probe": lambda x: eg.Probe("ridge").fit(X4, x),
    "grouped_folds y": lambda x: grouped_folds(x, groups=None, n_splits=2),
    "grouped_folds groups": lambda x: grouped_folds([0, 1, 0, 1], groups=x, n_splits=2),
    "label_permutations": lambda x: label_permutations(x, groups=None),
    "shuffled_labels": lambda x: shuffled_labels([0, 1, 0, 1], groups=x, seed=0),
    "cluster_bootstrap": lambda x: cluster_bootstrap(lambda rows: 0.0, groups=x, seed=0),
    "paired_differences labels": lambda x: paired_differences(X4, x, [1, 1, 2, 2], positive="a", negative="b"),
    "paired_differences groups": lambda x: paired_differences(X4, list("pnpn"), x, positive="p", negative="n"),
    "neutral_differences": lambda x: neutral_differences(X4, list("nnnn"), x, negative="n"),
    "disattenuated_cosine": lambda x: disattenuated_cosine(X4, X4, groups_a=x, groups_b=[1, 2, 3, 4]),
    "direction": lambda x: eg.ConceptDirection.from_mean_difference(X4, X4, groups=(x, [1, 2, 3, 4])),
    "LabeledTexts labels": lambda x: eg.LabeledTexts(TEXTS, x, [1, 2, 3, 4]),
    "LabeledTexts groups": lambda x: eg.LabeledTexts(TEXTS, list("abab"), x),
    "LabeledTexts contexts": lambda x: eg.LabeledTexts(TEXTS, list("abab"), list("gghh"), contexts=x),
    "LabeledTexts families": lambda x: eg.LabeledTexts(TEXTS, list("abab"), list("gghh"), families=x),
    "Activations": lambda x: eg.Activations(torch.zeros(4, 1, 2), (0,), x, list("gghh")),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kind", ["nan in a list of strings", "Series of type string", "DatetimeIndex", "masked array"])
def test_whatever_takes_names_refuses_a_missing_one(door: str, kind: str) -> None:
    with pytest.raises(ValueError, match=r"missing entry in 1 of 4 rows \(row 1\)"):
        DOORS[door](MISSING[kind])


FORMS: dict[str, tuple[Any, list[Any]]] = {
    "NFC and NFD": (["caf\u00e9", "cafe\u0301"], ["café", "café"]),
    "blanks": (["x", "x ", "\u00a0x", "x\n", "\u200bx\ufeff"], ["x"] * 5),
    "blanks inside": (["a b", "a  b", "a\tb"], ["a b"] * 3),
    "direction marks": (["x", "\u202ex\u202c", "x\u200e"], ["x"] * 3),
    "numbers": ([7, 7.0, np.int64(7), np.float32(7), Decimal(7), torch.tensor(7)], [7] * 6),
    "numbers beside strings": ([7, 7.0, "7", "b"], ["7", "7", "7", "b"]),
    "float ids": (pd.Series([1.0, 2.0]), [1, 2]),
    "nullable ids": (pd.Series([1, 2], dtype="Int64"), [1, 2]),
    "mixed column": (pd.Series([1, "1", "b", 2], dtype=object), ["1", "1", "b", "2"]),
    "object booleans": (pd.Series([True, False], dtype=object), [True, False]),
    "nullable booleans": (pd.Series([True, False], dtype="boolean"), [True, False]),
    "numpy booleans": ([np.True_, np.False_], [True, False]),
    "numpy strings": ([np.str_("a"), "b"], ["a", "b"]),
    "categories": (pd.Categorical(["b", "a"]), ["b", "a"]),
    "an odd index": (pd.Series(["b", "a"], index=[9, 9]), ["b", "a"]),
    "half precision": (torch.tensor([1.0, 2.0], dtype=torch.bfloat16), [1, 2]),
    "dates": ([date(2020, 1, 1), pd.Timestamp("2020"), np.datetime64("2020-01-01")], ["2020-01-01"] * 3),
    "times": (np.array(["2020-01-01T10:00"], dtype="M8[m]"), ["2020-01-01T10:00:00"]),
    "long ids": ([10**30, 1], [str(10**30), "1"]),
    "classes of -1 and 1": ([-1, 1], [-1, 1]),
    "a scale about 0": ([-2, -1, 0, 1], [-2, -1, 0, 1]),
    "joined emoji": (["\U0001f469\u200d\U0001f4bb", "\U0001f469"], ["\U0001f469\u200d\U0001f4bb", "\U0001f469"]),
}


@pytest.mark.parametrize("kind", FORMS)
def test_one_name_has_one_form(kind: str) -> None:
    given, expected = FORMS[kind]
    assert as_names(given, "groups").tolist() == expected


REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "control character": (["x", "x\0"], ValueError, r"groups, row 1, holds a control character \('x\\x00'\)"),
    "terminal escape": (["x", "\x1b[31mx"], ValueError, r"row 1, holds a control character \('\\x1b\[31mx'\)"),
    "C1 control": (["\x9b31mx"], ValueError, "row 0, holds a control character"),
    "half surrogate pair": (["x", "a\ud800"], ValueError, r"row 1, holds half a surrogate pair \('a\\ud800'\)"),
    "7 and 7.0 as strings": (["7", "x", "7.0"], ValueError, r"'7' \(row 0\) and '7.0' \(row 2\), which look the same"),
    "joiner inside": (["ab", "a\u200db"], ValueError, "look the same"),
    "variation selector": (["\u2764", "\u2764\ufe0f"], ValueError, "look the same"),
    "True beside 1": ([True, 1], ValueError, "mixes booleans with other names"),
    "True beside a string": ([True, "a"], ValueError, "mixes booleans with other names"),
    "measurements": ([0.5, 1.0], ValueError, "row 0, must be a name, got the number 0.5"),
    "infinity": ([1.0, float("inf")], ValueError, "row 1, must be a name"),
    "an id that a float cannot hold": ([1e17], ValueError, "does not hold to the last digit"),
    "bytes": ([b"a"], TypeError, r"got bytes b'a'; try value.decode"),
    "tuples": ([("a", 1)], ValueError, "must be one name, got a tuple"),
    "any object": ([object()], TypeError, "must be a string, a whole number, a boolean or a date, got object"),
    "one string": ("warm", TypeError, "must be a list, array, tensor or pandas Series"),
    "a set": ({"a"}, TypeError, "must be a list"),
    "a number": (5, TypeError, "must be a list"),
    "a tensor without rows": (torch.tensor(1), ValueError, r"one entry for each row, got shape \(\)"),
    "a table": (pd.DataFrame({"a": [1]}), ValueError, r"one entry for each row, got shape \(1, 1\)"),
    "nothing": ([], ValueError, "empty"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_name_is_refused_in_words(kind: str) -> None:
    given, error, message = REFUSED[kind]
    with pytest.raises(error, match=message):
        as_names(given, "groups")


@given(st.lists(st.text(max_size=4) | st.integers() | st.floats() | st.booleans() | st.none(), min_size=1, max_size=6))
def test_any_column_has_one_form_or_an_error_in_words(values: list[Any]) -> None:
    try:
        names = as_names(values, "groups")
    except (ValueError, TypeError) as error:
        assert "groups" in str(error)  # noqa: PT017
        return
    again = as_names(names.tolist(), "groups")
    assert again.tolist() == names.tolist()
    assert as_names(names, "groups") is names
    for value, name in zip(values, names.tolist(), strict=True):
        if isinstance(value, str):
            assert unicodedata.is_normalized("NFC", str(name))


def test_two_spellings_of_a_scenario_are_never_on_two_sides_of_a_fold() -> None:
    names = ["caf\u00e9", "job ", "7", "moon"], ["cafe\u0301", "job", 7.0, "moon"]
    groups = [name for pair in zip(*names, strict=True) for name in pair] * 2
    folds = grouped_folds([0, 1] * 8, groups=groups, n_splits=4)
    index = as_groups(groups, 16)
    assert index.max() == 3
    assert all(not set(index[f.train]) & set(index[f.test]) for f in folds)


def test_scenarios_of_two_sets_are_matched_by_name() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 40, 8))
    names = [f"caf\u00e9 {i}" for i in range(40)]
    expected = disattenuated_cosine(a, b, groups_a=names, groups_b=names)
    spelled = [unicodedata.normalize("NFD", name) + " " for name in names]
    assert disattenuated_cosine(a, b, groups_a=names, groups_b=spelled).to_dict() == expected.to_dict()
    number = disattenuated_cosine(a, b, groups_a=np.arange(40), groups_b=np.arange(40))
    for other in (np.arange(40.0), [str(i) for i in range(40)], pd.Series(range(40), dtype="Int64")):
        assert disattenuated_cosine(a, b, groups_a=np.arange(40), groups_b=other).to_dict() == number.to_dict()
    with pytest.raises(ValueError, match="look the same"):
        disattenuated_cosine(a, b, groups_a=np.arange(40), groups_b=[f"{i}.0" for i in range(40)])


def test_columns_of_several_kinds() -> None:
    def shared(a: Any, b: Any) -> list[list[Any]]:
        return [x.tolist() for x in shared_names({"labels": a, "predicted": b}, (2, 2))]

    assert shared([0, 1], [True, False]) == [[0, 1], [1, 0]]
    assert shared([0, 1], ["1", "b"]) == [["0", "1"], ["1", "b"]]
    assert shared([0, 1], np.array([1, 2], dtype=np.uint8)) == [[0, 1], [1, 2]]
    with pytest.raises(ValueError, match="predicted holds booleans and labels other names"):
        shared(["a", "b"], [True, False])
    with pytest.raises(ValueError, match="predicted holds booleans and labels other names"):
        shared([1, 2], [True, False])
    assert float(accuracy(["1", "0"], [1, 0])) == 1


@pytest.mark.parametrize("positive", [1, 1.0, np.int64(1), "1", np.bool_(True), torch.tensor(1), Decimal(1)])
@pytest.mark.parametrize("y", [[0, 1] * 8, [0.0, 1.0] * 8, ["0", "1"] * 8, [False, True] * 8])
def test_a_class_is_found_by_any_of_its_forms(positive: Any, y: list[Any]) -> None:
    column = as_names(y, "y")
    if (isinstance(y[0], str) and isinstance(positive, np.bool_)) or (isinstance(y[0], bool) and positive == "1"):
        with pytest.raises(ValueError, match=r"positive=.* does not occur among the classes"):
            rows_named(column, positive, "positive")
        return
    assert rows_named(column, positive, "positive").tolist() == [False, True] * 8
    data = classification(np.eye(16), y, groups=None, positive=positive)
    assert data.classes == (("False", "True") if isinstance(y[0], bool) else ("0", "1"))
    assert data.codes.tolist() == [0, 1] * 8


def test_a_class_that_is_none() -> None:
    column = as_names(["a", "b"], "y")
    for value, error in ((None, ValueError), (NAN, ValueError), (object(), TypeError), (0.5, ValueError)):
        with pytest.raises(error, match="positive"):
            rows_named(column, value, "positive")
    with pytest.raises(ValueError, match=r"positive='c' does not occur among the classes \['a', 'b'\]"):
        rows_named(column, "c", "positive")


def test_where_takes_a_name_in_any_form() -> None:
    texts = eg.LabeledTexts(TEXTS, [0, 1, 0, 1], [1.0, 1.0, 2.0, 2.0])
    assert texts.groups.tolist() == ["1", "1", "2", "2"]
    for one in (1, "1", 1.0, np.int64(1), "1 ", [1], np.array([1]), np.array(1), pd.Series([1]), torch.tensor([1])):
        assert texts.where(label=one).texts == ("c d", "g h")
    assert len(texts.where(label=[0, "1"], group=2)) == 2
    for wrong, message in ((2, "no row has label '2'"), (NAN, "label is missing"), ([], "label is an empty list")):
        with pytest.raises(ValueError, match=message):
            texts.where(label=wrong)
    with pytest.raises(TypeError, match="label must be a string"):
        texts.where(label=object())  # type: ignore[arg-type]
    flags = eg.LabeledTexts(TEXTS, pd.Series([True, False] * 2, dtype=object), [1, 1, 2, 2])
    assert flags.where(label=True).texts == ("a b", "e f")


def test_a_name_alone() -> None:
    assert (as_name("e\u0301 ", "label"), as_name(np.float64(3), "label")) == ("é", 3)
    with pytest.raises(ValueError, match="label is missing"):
        as_name(pd.NA, "label")
