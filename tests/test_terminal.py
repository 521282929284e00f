"""What reaches a terminal shows control characters and does not obey them."""

import ast
from pathlib import Path

import pytest

import empathy_geometry
from empathy_geometry.command_line.console import Console
from empathy_geometry.foundation.csv_cells import cell_text, inert_cell
from empathy_geometry.foundation.terminal import terminal_text


def test_control_characters_are_shown() -> None:
    assert terminal_text("a\x1b]0;title\x07\x9b31m\x00b\r") == r"a\x1b]0;title\x07\x9b31m\x00b\r"
    assert terminal_text("x\u202ey\u2066z\u2028\ud800") == r"x\u202ey\u2066z\u2028\ud800"
    for kept in ("a table\n\tof lines", "caf\u00e9 \U0001f469\u200d\U0001f4bb", ""):
        assert terminal_text(kept) == kept


def test_every_class_of_the_package_prints_through_it() -> None:
    """A table of a class to come must not forget it."""
    bare = []
    for path in Path(empathy_geometry.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            shows = isinstance(node, ast.FunctionDef) and node.name in ("__str__", "__repr__")
            if shows and "printable" not in [ast.unparse(d) for d in node.decorator_list]:
                bare.append(f"{path.name}:{node.lineno}")
    assert not bare, f"decorate with foundation.terminal.printable: {bare}"


def test_the_commands_print_through_it(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    console.result("a \x1b[31m")
    console.status("b \x1b[31m")
    console.error("c \x1b[31m")
    written = capsys.readouterr()
    assert "\x1b" not in written.out + written.err
    assert r"a \x1b[31m" in written.out
    assert r"c \x1b[31m" in written.err


@pytest.mark.parametrize(
    "text", ["=1", "+1", "-1", "@x", "\tx", "\rx", "\nx", "'=1", "''", "'x", "'", "", "x", "\uff1dx"]
)
def test_cells_of_tables_are_text_and_come_back(text: str) -> None:
    cell = inert_cell(text)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d"))
    assert cell_text(cell) == text
