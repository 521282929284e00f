"""The harder set: triplets made of nearly the same words."""

from empathy_geometry.studies.tripartite.section import Section
from empathy_geometry.studies.tripartite.setup import Setup
from empathy_geometry.studies.tripartite.subject import TYPES


def matched(setup: Setup) -> Section:
    """The three-way problem where a bag of words is near chance."""
    found = setup.detect(setup.source.activations(setup.empathy.matched, setup.position), TYPES)
    line = found.finding("matched triplets", "the types are told apart where words cannot")
    return Section("matched", "Matched triplets", (line,), found.numbers())
