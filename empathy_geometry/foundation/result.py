"""What every result does alike: a table when printed, one line as `repr`, JSON that says its type."""

from dataclasses import fields
from typing import Any, ClassVar

from empathy_geometry.foundation.json_codec import to_json
from empathy_geometry.foundation.table import Table
from empathy_geometry.foundation.terminal import printable

_LONGEST = 160
"""Characters of a result's one line."""


class Result:
    """Base of the frozen dataclasses that functions return.

    A subclass says what its tables are; `print`, notebooks, files and reports all show these.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True, eq=False)
        ... class Count(Result):
        ...     n: int
        ...     def tables(self):
        ...         return (Table.of("A count", [{"n": self.n}]),)
        >>> Count(3)
        Count(A count)
        >>> print(Count(3))
        A count
          n
          3
        >>> Count(3).to_dict()
        {'type': 'Count', 'n': 3}
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def __init_subclass__(cls) -> None:
        # A dataclass writes a repr of every field into each class that has none of its own.
        cls.__repr__ = cls.__dict__.get("__repr__", Result.__repr__)  # type: ignore[method-assign]

    def tables(self) -> tuple[Table, ...]:
        """What is shown, the most important table first."""
        raise NotImplementedError(f"{type(self).__name__} has no tables")

    def json_content(self) -> dict[str, Any]:
        """What `to_dict` writes: every field, unless a class leaves some out or adds derived numbers."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def to_dict(self) -> dict[str, Any]:
        """The name of its class as "type" and everything else, ready for JSON."""
        return {"type": type(self).__name__, **to_json(self.json_content())}

    def to_frame(self) -> Any:
        """The first table as a pandas DataFrame (pandas must be installed)."""
        return self.tables()[0].to_frame()

    @printable
    def __repr__(self) -> str:
        title = " ".join(self.tables()[0].title.split())
        return f"{type(self).__name__}({title[:_LONGEST]})"

    @printable
    def __str__(self) -> str:
        return "\n\n".join(table.text() for table in self.tables())

    def _repr_html_(self) -> str:
        return "".join(table.html() for table in self.tables())
