"""Where in the response can the class be read? Quarters of its tokens, each beside the words up to its end."""

from collections.abc import Sequence

from empathy_geometry.evaluation.cross_validation import Evaluation, cross_validate
from empathy_geometry.evaluation.nulls import holm
from empathy_geometry.evaluation.permutation import permutation_test
from empathy_geometry.studies.finding import Finding
from empathy_geometry.studies.tripartite.section import Section
from empathy_geometry.studies.tripartite.setup import Setup, best_baseline, evaluation_numbers, words_of
from empathy_geometry.studies.verdicts import detection

_FEWEST_PERMUTATIONS = 199
"""So that p can fall below 0.05 after Holm's correction; one layer costs little."""


def quartiles(setup: Setup) -> Section:
    """All classes told apart in each quarter of the response, at one layer."""
    acts = setup.studied(position="response_quartiles")
    one, text = setup.subject.one, setup.subject.text
    assert acts.texts is not None  # extraction keeps them
    evaluations: list[Evaluation] = []
    tests = []
    for quarter in range(4):
        x = acts.layer(setup.at, pos=quarter).double().numpy()
        words = [words_until(said, quarter) for said in acts.texts.responses]
        evaluations.append(
            cross_validate(
                setup.probe,
                x,
                acts.labels,
                texts=words,
                token_ids=None if acts.token_ids is None else [tokens_until(ids, quarter) for ids in acts.token_ids],
                groups=acts.groups,
                seed=setup.seed,
            )
        )
        tests.append(
            permutation_test(
                setup.probe,
                x,
                acts.labels,
                seed=setup.seed,
                n_permutations=max(setup.n_permutations, _FEWEST_PERMUTATIONS),
                progress=setup.progress,
                groups=acts.groups,
            )
        )
    corrected = holm([t.pvalue for t in tests])
    lines = []
    for quarter, (e, t, p) in enumerate(zip(evaluations, tests, corrected, strict=True)):
        lines.append(
            Finding(
                f"quartile {quarter + 1}",
                f"the {one} can be read in quarter {quarter + 1} of the {text}, beyond the words so far",
                "-",
                "AUROC",
                e.auroc,
                best_baseline(e),
                f"mean {t.null_distribution.mean():.2f}, 95 % point {t.critical_value():.2f}, p = {p:.3g} (Holm, four)",
                detection(e.auroc, e.excess, float(p), words_of(e)),
                "as classification, with Holm's correction over the four quarters instead of layers",
            )
        )
    numbers = {
        "layer": setup.at,
        "quarters": [evaluation_numbers(e) for e in evaluations],
        "pvalues": corrected,
    }
    return Section("quartiles", f"Quarters of the {text}", tuple(lines), numbers)


def tokens_until(ids: Sequence[int], quarter: int) -> Sequence[int]:
    """The tokens of a response up to the end of a quarter, as "response_quartiles" cuts it.

    Where the response is the whole text its first token is in no quarter; the later of both ends is taken,
    so that the baseline sees at least what the model has read.

    Example:
        >>> [len(tokens_until(range(6), quarter)) for quarter in range(4)]
        [2, 3, 5, 6]
    """
    n, share = len(ids), (quarter + 1) / 4
    return ids[: max(round(share * n), 1 + round(share * (n - 1)))]


def words_until(text: str, quarter: int) -> str:
    """The words of a text up to the end of a quarter, as nearly as words and tokens agree.

    A later quarter attends to the earlier ones, so a baseline that saw its own words only would see less.

    Example:
        >>> [words_until("a b c d e f", q) for q in range(4)]
        ['a b', 'a b c', 'a b c d', 'a b c d e f']
    """
    words = text.split()
    return " ".join(words[: max(1, round((quarter + 1) * len(words) / 4))])
