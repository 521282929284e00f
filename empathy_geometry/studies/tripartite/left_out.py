"""Which sections do not fit the texts of a study, and why."""

import numpy as np

from empathy_geometry.studies.tripartite.sets import StudyTexts

ABOUT_EMPATHY = {
    "emotion": "it asks of empathy whether it is more than emotion",
    "valence": "it asks of empathy whether it rests on joy and sadness",
    "controls": "its controls are responses without empathy, and empathy without valence",
    "languages": "its parallel texts are of the three kinds of empathy",
    "matched": "its texts of nearly the same words are of the three kinds of empathy",
}

_FEWEST_WORDS = 4
_SHORT = 0.1


def left_out(texts: StudyTexts) -> dict[str, str]:
    """The reason by the name of the section; empty for the three kinds of empathy.

    Example:
        >>> from empathy_geometry import datasets
        >>> from empathy_geometry.studies.tripartite.sets import study_texts
        >>> sorted(left_out(study_texts(datasets.formality_pairs())))
        ['controls', 'emotion', 'formality', 'languages', 'matched', 'valence']
    """
    if texts.subject.is_empathy:
        return {}
    found = dict(ABOUT_EMPATHY)
    if texts.formality is None:
        found["formality"] = "formality is what is studied"
    studied = texts.concept.where(label=texts.subject.classes)
    words = [len(said.split()) for said in studied.responses]
    short = float(np.mean([n < _FEWEST_WORDS for n in words]))
    if short > _SHORT:
        found["quartiles"] = f"{short:.0%} of the texts have fewer than {_FEWEST_WORDS} words, too few for quarters"
    return found
