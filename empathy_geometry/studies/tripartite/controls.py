"""Are three types of response without empathy, or without valence, told apart as well?"""

from empathy_geometry.studies.finding import Finding
from empathy_geometry.studies.tripartite.section import Section
from empathy_geometry.studies.tripartite.setup import Setup, words_of
from empathy_geometry.studies.verdicts import SPECIFICITY, ceiling_note, difference, specificity
from empathy_geometry.texts.labeled_texts import LabeledTexts


def controls(setup: Setup) -> Section:
    """The three-way problem on both control sets, and the difference of the excesses over words."""
    empathy = setup.detect_all()
    lines, numbers = [], {}
    sets: dict[str, tuple[LabeledTexts, str]] = {
        "valence-stripped": (setup.empathy.valence_stripped, "responses stripped of valence"),
        "non-empathy": (setup.empathy.non_empathy, "responses that concern nobody"),
    }
    for name, (texts, described) in sets.items():
        found = setup.detect(setup.source.activations(texts, setup.position), texts.classes)
        numbers[name] = found.numbers()
        lines.append(
            found.finding(
                f"{name} control",
                f"three types of {described} are told apart, beyond words",
                note="a control: 'supported' speaks against a geometry of empathy's own",
            )
        )
        if empathy.evaluation.excess is None or found.evaluation.excess is None:
            continue
        words = words_of(empathy.evaluation)
        gap = difference(empathy.evaluation.excess, found.evaluation.excess)
        lines.append(
            Finding(
                f"specific against {name}",
                f"the separation is specific to empathy, against {described}",
                "-",
                "excess over words, empathy - control,",
                gap,
                f"empathy {empathy.evaluation.excess}, control {found.evaluation.excess}",
                f"AUROC {empathy.evaluation.auroc} against {found.evaluation.auroc}",
                specificity(gap, found.evaluation.excess, words),
                SPECIFICITY,
                ceiling_note(words) if gap.low is None or gap.low <= 0 else "",
            )
        )
    return Section("controls", "Controls without empathy, and without valence", tuple(lines), numbers)
