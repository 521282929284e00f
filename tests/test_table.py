"""One table, three forms: the same cells in text, Markdown and HTML, and no printed line too long."""

from dataclasses import asdict
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from empathy_geometry.foundation.table import WIDTH, Table, markdown_text

CELL = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp")), max_size=60)


class Cells(HTMLParser):
    """The cells of a table, and a check that every tag is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


@st.composite
def tables(draw):
    n = draw(st.integers(1, 14))
    row = st.tuples(*[CELL] * n)
    return Table(draw(CELL), draw(row), tuple(draw(st.lists(row, max_size=4))), tuple(draw(st.lists(CELL, max_size=2))))


@given(tables())
def test_no_printed_line_is_too_long_and_no_character_is_lost(table):
    lines = table.text().split("\n")
    assert max(map(len, lines)) <= WIDTH
    shown = "".join(table.text().split())
    cells = [c for row in table.rows for c in row]
    assert sum(len("".join(c.split())) for c in cells) <= len(shown)
    for c in cells:
        assert set("".join(c.split())) <= set(shown)


@given(tables())
def test_html_has_the_same_cells(table):
    found = Cells(table.html())
    head = [list(table.columns)] if table.rows else []
    assert found.rows == [*head, *map(list, table.rows)]
    assert found.text.startswith(table.title)


@given(tables())
def test_markdown_has_one_line_a_row_and_no_markup_of_the_cells(table):
    rows = [line for line in table.markdown().split("\n") if line.startswith("|")]
    for row, line in zip(table.rows, rows[2:], strict=True):
        assert line == "| " + " | ".join(map(markdown_text, row)) + " |"


def test_columns_stay_aligned_where_cells_wrap():
    table = Table("T", ("name", "value", "why"), (("a", "0.5", "word " * 30), ("bb", "0.25", "short")))
    lines = table.text().split("\n")
    at = lines[1].index("why")
    assert all(line[at - 2 : at] == "  " for line in lines[1:])
    assert len(lines) == 5


def test_more_columns_than_fit_go_on_below_with_their_names():
    columns = tuple(f"context {i}" for i in range(20))
    table = Table("T", ("train", *columns), (("here", *["0.500 [0.400, 0.600]"] * 20),))
    text = table.text()
    assert text.count("train") > 1
    assert text.count("here") == text.count("train")
    assert all(f"{i}" in text for i in range(20))


def test_cells_of_dictionaries():
    table = Table.of("<script>", [{"a": "<b>&", "b": 0.12345}, {"a": None, "c": 3}], notes=["x < y"])
    assert table.rows == (("<b>&", "0.123", ""), ("-", "", "3"))
    assert Cells(table.html()).text.endswith("x < y")
    assert Table("only a title", (), ()).text() == "only a title"


def test_a_row_of_another_length_is_an_error():
    with pytest.raises(ValueError, match="has 2 columns, but a row has 1"):
        Table("T", ("a", "b"), (("x",),))


def test_what_json_holds_comes_back():
    table = Table("T", ("a",), (("x",),), ("note",), appendix=True)
    assert Table.from_dict(asdict(table)) == table
    assert table.to_frame().to_dict("list") == {"a": ["x"]}
