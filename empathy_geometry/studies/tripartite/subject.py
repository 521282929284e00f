"""What a study is about: its classes, and how the lines of the table call them."""

from dataclasses import dataclass
from itertools import combinations

TYPES = ("cognitive", "affective", "instrumental")
"""The three kinds of empathic response."""

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True)
class Subject:
    """The classes of a study: the three kinds of empathy, or any others.

    Attributes:
        classes: Two or more names, in the order in which pairs are shown.

    Example:
        >>> Subject(("warm", "plain")).all, Subject(TYPES).all, Subject(tuple("abcd")).ways
        ('the two classes', 'the three types', 'four-way')
    """

    classes: tuple[str, ...]

    @property
    def is_empathy(self) -> bool:
        """Whether the claims are those of the reference study."""
        return self.classes == TYPES

    @property
    def study(self) -> str:
        """Name of the study; its files are called after it."""
        return "tripartite" if self.is_empathy else "concept_study"

    @property
    def heading(self) -> str:
        """Title without the model."""
        return "Tripartite empathy" if self.is_empathy else f"Concept study of {', '.join(self.classes)}"

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Every two classes."""
        return tuple(combinations(self.classes, 2))

    @property
    def one(self) -> str:
        """What one of them is called."""
        return "type" if self.is_empathy else "class"

    @property
    def several(self) -> str:
        """What several of them are called."""
        return "types" if self.is_empathy else "classes"

    @property
    def text(self) -> str:
        """What a text of a class is called."""
        return self.texts.removesuffix("s")

    @property
    def texts(self) -> str:
        """What texts of a class are called."""
        return "responses" if self.is_empathy else "texts"

    @property
    def all(self) -> str:
        """What they are called together."""
        return f"the {number(len(self.classes))} {self.several}"

    @property
    def ways(self) -> str:
        """The problem of telling all of them apart."""
        return f"{number(len(self.classes))}-way"

    @property
    def whole(self) -> str:
        """Name of that problem among the problems: with two classes it is their pair."""
        return " - ".join(self.classes) if len(self.classes) == 2 else self.ways

    @property
    def which_pair(self) -> str:
        """What the pair that is shown is, where the smallest one is shown."""
        n = len(self.pairs)
        return "the only pair" if n == 1 else f"the smallest of {number(n)} pairs"


def number(n: int) -> str:
    """A number in words, as far as words are short.

    Example:
        >>> number(3), number(12)
        ('three', '12')
    """
    return _NUMBERS[n] if 0 <= n < len(_NUMBERS) else str(n)
