"""The arguments of every subcommand; --help is meant to be enough."""

import argparse
import sys
from pathlib import Path

from empathy_geometry import __version__
from empathy_geometry.command_line.concepts import CONCEPTS, PAIRS
from empathy_geometry.command_line.exit_codes import EXPLAINED
from empathy_geometry.models.names import EMBEDDED_NAME, MODELS_FOLDER

_SCRIPT = "empathy-geometry"
_MODULE = "python -m empathy_geometry"

_TOP = """\
Does a language model represent a concept, in how many dimensions, how far can it be steered, and is any of it more than
an artefact? Every number comes with an interval, and beside what one would have got without the concept.
"""

_TOP_EXAMPLES = """\
examples:
  python -m empathy_geometry bandwidth                            the embedded model, packaged empathy pairs (10 min)
  python -m empathy_geometry bandwidth --quick --output try       the same, smaller and faster
  python -m empathy_geometry bandwidth --texts mine.jsonl --models gpt2 ./my-model
  python -m empathy_geometry tripartite --texts my.jsonl --output out
  python -m empathy_geometry compare --models ./base ./base-instruct --random-weights --output pair
  python -m empathy_geometry compare --input results/a results/b
  python -m empathy_geometry human-truth --rated Empathy-Mental-Health
  python -m empathy_geometry report --input results
  python -m empathy_geometry bandwidth --planted --output dry     a dry run on data with a known truth
"""

_TEXTS_LAYOUT = """\
texts: .json, .jsonl, .csv or .tsv. One record for each text: {"id": scenario, "text": ..., "label": class}, or one for
each scenario with a key for each class (name them with --classes, unless they are the reference study's), and
optionally "scenario" (what stands before each text) and "context". Texts about one situation must share their "id": the
scenario is what is left out, resampled and permuted, so it needs every class. At least 12 scenarios.
"""

_BANDWIDTH = """\
Bandwidth of a concept: dimensionality x steering range, both with intervals, beside a control concept, text-only
baselines, shuffled labels and random directions. With more than two classes each is measured
against the rest; with --negative CLASS, each other class against that one.
"""

_TRIPARTITE = """\
Three kinds of empathy (cognitive, affective, instrumental): every test of the reference study, each beside its
baseline, null and interval, with a verdict for each claim. --texts takes the reference study's JSON layout unchanged:
{"triplets": [{"id", "scenario", "cognitive", "affective", "instrumental"}, ...]}.

Texts of any other two or more classes get every test that is not about empathy, and a list of those that were left out;
their results are called concept_study.json and concept_study.md.
"""

_HUMAN_TRUTH = """\
Do directions from the packaged replies follow what people rated? They are frozen (a hash is printed) before they meet
the ratings. Beside each stand words carried over from the same replies, and as a ceiling a probe and words trained on
ratings of other persons; and how many labelled texts the direction is worth. The rated sets are not in this package:
you download one and name its folder. A run that was interrupted goes on when it is called again.
"""

_COMPARE = """\
Compare bandwidths of models or concepts pair by pair: ratios and differences with intervals, paired where scenarios are
shared, p-values corrected for their number (Holm). Either of results that are there (--input), or of models that are
measured first (--models and the arguments of `bandwidth`).
"""

_REPORT = """\
Markdown, one self-contained HTML page and PDF from the results in folders (JSON files), with headline table, figures,
methods and provenance. Planted and measured results are refused together.
"""


def program() -> str:
    """How this process was called: the installed script, or the module."""
    return _SCRIPT if Path(sys.argv[0]).stem == _SCRIPT else _MODULE


def build_parser() -> argparse.ArgumentParser:
    """The parser of `empathy-geometry`, which is `python -m empathy_geometry`."""
    parser = argparse.ArgumentParser(
        prog=program(),
        description=_TOP,
        epilog=f"{_as_called(_TOP_EXAMPLES)}\n{EXPLAINED}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"empathy_geometry {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _bandwidth(commands)
    _tripartite(commands)
    _human_truth(commands)
    _compare(commands)
    _report(commands)
    return parser


def _as_called(examples: str) -> str:
    return examples.replace(_MODULE, program())


def layer(value: str) -> int | str:
    """A layer as it is written: "nested", "embed" or an index.

    Example:
        >>> layer("nested"), layer("12")
        ('nested', 12)
    """
    if value in ("nested", "embed"):
        return value
    try:
        return int(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be 'nested', 'embed' or an index, got {value!r}") from None


def position(value: str) -> int | str:
    """A position as it is written: a name or a token's index.

    Example:
        >>> position("last"), position("-1")
        ('last', -1)
    """
    try:
        return int(value)
    except ValueError:
        return value


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    summary: str,
    description: str,
    examples: str,
) -> argparse.ArgumentParser:
    layout = "" if name in ("report", "human-truth") else _TEXTS_LAYOUT
    return commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=f"examples:\n{_as_called(examples)}\n{layout}\n{EXPLAINED}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _bandwidth(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    examples = """\
  python -m empathy_geometry bandwidth --output results
  python -m empathy_geometry bandwidth --concept humor --control formality --models all
  python -m empathy_geometry bandwidth --texts mine.jsonl --positive warm --negative plain --layer 12
  python -m empathy_geometry bandwidth --texts mine.csv --no-control --random-weights
"""
    p = _add(commands, "bandwidth", "dimensionality x steering range of a concept", _BANDWIDTH, examples)
    _models(p)
    _bandwidth_texts(p)
    _run(p)


def _tripartite(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    examples = """\
  python -m empathy_geometry tripartite --output results
  python -m empathy_geometry tripartite --texts my.jsonl --output out
  python -m empathy_geometry tripartite --texts my.csv --classes warm plain curt --quick
  python -m empathy_geometry tripartite --concept humor --output out
  python -m empathy_geometry tripartite --no-causal --models ./my-model
"""
    p = _add(commands, "tripartite", "three kinds of empathy, or any classes, claim by claim", _TRIPARTITE, examples)
    _models(p, random_weights=False)
    texts = p.add_argument_group("texts")
    chosen = texts.add_mutually_exclusive_group()
    chosen.add_argument(
        "--texts", metavar="FILE", help="your own texts of two or more classes; see below for the layout"
    )
    chosen.add_argument(
        "--concept",
        choices=tuple(CONCEPTS),
        default="empathy_triplets",
        help="packaged texts (default: %(default)s)",
    )
    _classes(texts)
    _run(p)
    p.add_argument("--no-causal", action="store_true", help="leave out the causal section, by far the longest")
    p.add_argument("--no-random-weights", action="store_true", help="leave out the random-weights control")


def _human_truth(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    examples = """\
  git clone https://github.com/behavioral-data/Empathy-Mental-Health
  python -m empathy_geometry human-truth --rated Empathy-Mental-Health --output results
  python -m empathy_geometry human-truth --rated Empathy-Mental-Health --moves explorations=question --layer 15
  python -m empathy_geometry human-truth --rated empathic_reactions --set empathic_reactions --moves empathy=warmth
"""
    p = _add(commands, "human-truth", "frozen directions against people's ratings", _HUMAN_TRUTH, examples)
    _models(p, random_weights=False)
    texts = p.add_argument_group("rated texts")
    texts.add_argument("--rated", metavar="DIR", required=True, help="the folder into which you put the public set")
    texts.add_argument(
        "--set", choices=("epitome", "empathic_reactions"), default="epitome", help="which set (default: %(default)s)"
    )
    texts.add_argument("--any-version", action="store_true", help="also read files that are not those that we know")
    texts.add_argument(
        "--moves",
        nargs="+",
        metavar="TARGET=MOVE+2*MOVE",
        help="which packaged moves stand for which rated target (default: EPITOME's three mechanisms)",
    )
    group = p.add_argument_group("run")
    group.add_argument("--layer", type=int, metavar="N", help="the stream after block N (default: 0.63 of the depth)")
    group.add_argument(
        "--no-in-domain", action="store_true", help="train nothing on the ratings: no ceiling, and minutes less"
    )
    group.add_argument("--output", metavar="DIR", help="where results go, a folder for each model (default: results)")
    group.add_argument("--seed", type=int, default=0, help="of every random choice (default: 0)")
    group.add_argument(
        "--restart", action="store_true", help="throw away what an earlier run wrote in --output, and nothing else"
    )
    group.add_argument("--quiet", action="store_true", help="no progress on standard error")


def _compare(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    examples = """\
  python -m empathy_geometry compare --input results/base results/instruct --output results
  python -m empathy_geometry compare --models ./base ./base-instruct --random-weights --output pair
"""
    p = _add(commands, "compare", "models or concepts against each other", _COMPARE, examples)
    p.add_argument(
        "--input", nargs="+", metavar="DIR", help="folders (searched with what lies below) or JSON files of results"
    )
    _models(p, default=None)
    _bandwidth_texts(p)
    _run(p)
    p.add_argument("--no-control-contrast", action="store_true", help="do not compare concepts with their controls")
    _unsigned(p)


def _report(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    examples = """\
  python -m empathy_geometry report --input results
  python -m empathy_geometry report --input results other --output report --format html pdf
"""
    p = _add(commands, "report", "Markdown, HTML and PDF from results", _REPORT, examples)
    p.add_argument(
        "--input",
        nargs="+",
        metavar="DIR",
        default=["results"],
        help="folders with results, searched with what lies below (default: results)",
    )
    p.add_argument("--output", metavar="DIR", help="where the report goes (default: the first input folder)")
    p.add_argument("--format", nargs="+", choices=("md", "html", "pdf"), default=["md", "html", "pdf"])
    p.add_argument("--title", help="heading of the report (default: studies and models)")
    p.add_argument("--quiet", action="store_true", help="no progress on standard error")
    _unsigned(p)


def _unsigned(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--unsigned",
        action="store_true",
        help="also take result files without a checksum: made by hand, or by a version that wrote none",
    )


def _models(
    p: argparse.ArgumentParser,
    *,
    default: list[str] | None = [EMBEDDED_NAME],  # noqa: B006 - never changed
    random_weights: bool = True,
) -> None:
    group = p.add_argument_group("models")
    shown = f"default: {default[0]}, which is embedded" if default else "measure these first"
    group.add_argument(
        "--models",
        nargs="+",
        metavar="NAME",
        default=default,
        help=f"hub names or local folders in Hugging Face format ({shown}); 'all' is the embedded model, the folders "
        f"in ${MODELS_FOLDER}, and the language models that lie in the Hugging Face cache",
    )
    group.add_argument("--device", default="auto", help="torch device (default: CUDA where there is one)")
    group.add_argument("--dtype", default="auto", choices=("auto", "float32", "bfloat16", "float16"))
    if random_weights:
        group.add_argument(
            "--random-weights",
            action="store_true",
            help="measure each model a second time with freshly initialised weights, as a control",
        )


def _bandwidth_texts(p: argparse.ArgumentParser) -> None:
    texts = p.add_argument_group("texts")
    chosen = texts.add_mutually_exclusive_group()
    chosen.add_argument("--texts", metavar="FILE", help="your own texts; see below for the layout")
    chosen.add_argument(
        "--concept", choices=tuple(CONCEPTS), default="empathy", help="packaged texts (default: %(default)s)"
    )
    _classes(texts)
    texts.add_argument("--positive", metavar="CLASS", help="the concept's class (default: the first one)")
    texts.add_argument("--negative", metavar="CLASS", help="the neutral class (default: the other one, or the rest)")
    control = texts.add_mutually_exclusive_group()
    control.add_argument(
        "--control",
        metavar="FILE|NAME",
        help=f"control concept: a file of two classes, or one of {', '.join(PAIRS)} (default: formality; humor "
        f"where that is the concept)",
    )
    control.add_argument("--no-control", action="store_true", help="measure no control concept")
    p.add_argument("--no-random-directions", action="store_true", help="steer along no random directions")
    p.add_argument(
        "--depth-profile",
        action="store_true",
        help="also measure both factors at several layers (depth_profile.json beside the result)",
    )
    p.add_argument(
        "--sae",
        nargs="+",
        metavar=("SOURCE", "ID"),
        help="a sparse autoencoder of the model to hold against the concept: a folder in SAELens's format, or a "
        "release and the id of one of its SAEs; its layer is read too",
    )


def _classes(texts: "argparse._ArgumentGroup") -> None:
    texts.add_argument(
        "--classes",
        nargs="+",
        metavar="CLASS",
        help="which classes to study (default: all); in a file with one record for each scenario, the keys that hold "
        "their texts",
    )


def _run(p: argparse.ArgumentParser) -> None:
    group = p.add_argument_group("run")
    group.add_argument(
        "--layer",
        type=layer,
        default="nested",
        metavar="N|nested|embed",
        help="the stream after block N, or 'nested': the layer that training folds choose (default)",
    )
    group.add_argument(
        "--position",
        type=position,
        default="response_mean",
        metavar="POSITION",
        help="tokens to read: response_mean (default), mean, last, or an index",
    )
    group.add_argument(
        "--output",
        metavar="DIR",
        help="where results go, a folder for each model (default: results; PLANTED_results with --planted)",
    )
    group.add_argument("--seed", type=int, default=0, help="of every random choice (default: 0)")
    group.add_argument(
        "--quick",
        action="store_true",
        help="fewer scenarios, prompts, tokens and permutations; marked in the result's settings",
    )
    group.add_argument(
        "--planted",
        action="store_true",
        help="a dry run on data with a known truth; everything it writes is marked PLANTED",
    )
    group.add_argument(
        "--restart", action="store_true", help="throw away what an earlier run wrote in --output, and nothing else"
    )
    group.add_argument("--quiet", action="store_true", help="no progress on standard error")
