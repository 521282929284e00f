"""Cells of CSV files that spreadsheet programs take as text, and what they stood for."""

# What spreadsheet programs would run as a formula, in its wide forms too.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_GUARDED = (*_FORMULA, "'")


def inert_cell(text: str) -> str:
    """Text that a spreadsheet takes as text: an apostrophe goes before what could begin a formula.

    Example:
        >>> inert_cell("=1+1"), inert_cell("plain"), inert_cell("'quoted'")
        ("'=1+1", 'plain', "'quoted'")
    """
    guarded = text.startswith(_FORMULA) or (text.startswith("'") and text[1:].startswith(_GUARDED))
    return f"'{text}" if guarded else text


def cell_text(cell: str) -> str:
    """What `inert_cell` was given.

    Example:
        >>> [cell_text(inert_cell(text)) for text in ("=1+1", "'=1", "''a", "'a", "a")]
        ['=1+1', "'=1", "''a", "'a", 'a']
    """
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_GUARDED) else cell
