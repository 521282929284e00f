"""Figures show the numbers they are given, from objects and from JSON alike, and can be read."""

import json
import subprocess
import sys
from itertools import combinations

import numpy as np
import planted
import pytest
import torch

import empathy_geometry as eg
from empathy_geometry import plots
from empathy_geometry.causal.dose_response import dose_response as measure_dose
from empathy_geometry.causal.specificity import specificity_matrix
from empathy_geometry.plots.style import CYCLE, readable_on

FigureCanvasAgg = pytest.importorskip("matplotlib.backends.backend_agg").FigureCanvasAgg

LAYERS = ("embed", *range(5))


def through_json(result):
    return json.loads(json.dumps(result.to_dict()))


@pytest.fixture(scope="module")
def acts():
    x, y, groups = planted.pairs(30, d=10, layers=6, strength=1.5, seed=1)
    labels = np.where(y == 1, "empathetic", "neutral")
    texts = [f"{'So sorry' if label and i % 3 else 'Well then'} number {i}" for i, label in enumerate(y)]
    contexts = [("crisis_support", "work $5", "family")[g % 3] for g in groups]
    named = eg.LabeledTexts(texts, labels.tolist(), [str(g) for g in groups], contexts=contexts)
    return eg.Activations(torch.tensor(x).float(), LAYERS, labels, groups.astype(str), texts=named)


@pytest.fixture(scope="module")
def classes():
    return {"positive": "empathetic", "negative": "neutral"}


@pytest.fixture(scope="module")
def evaluation(acts, classes):
    return eg.cross_validate(eg.Probe("ridge"), acts, **classes)


@pytest.fixture(scope="module")
def permutation(acts, classes):
    return eg.permutation_test(eg.Probe("ridge"), acts, **classes, n_permutations=99, seed=0, progress=False)


@pytest.fixture(scope="module")
def transfer(acts, classes):
    return eg.transfer_matrix(eg.Probe("ridge"), acts.only(4), **classes, n_splits=3)


@pytest.fixture(scope="module")
def measured(acts):
    x = acts.layer(4).numpy()
    differences = x[acts.labels == "empathetic"] - x[acts.labels == "neutral"]
    return eg.dimensionality.dimensionality(differences, seed=0)


@pytest.fixture(scope="module")
def sweep():
    rng = np.random.default_rng(0)
    alphas = np.linspace(-8, 8, 9)
    fall = np.clip(1.02 - (np.abs(alphas)[:, None] / 9) ** 2 + 0.03 * rng.normal(size=(9, 5)), 0, 1)
    parts = {"perplexity": fall, "repetition": np.sqrt(fall), "divergence": fall**0.3}
    concept = np.tanh(alphas / 4)[:, None] + 0.1 * rng.normal(size=(9, 5))
    texts = tuple(tuple(f"{a} {p}" for p in range(5)) for a in alphas)
    return eg.results.SteeringSweep(alphas, tuple("abcde"), texts, parts, fall, concept, "class_gap", 6.0, (3,), 8)


def bandwidth_like(*, censored=None, units="class_gap"):
    def e(value, low, high):
        return {"value": value, "low": low, "high": high, "level": 0.95, "censored": censored}

    def factors(name, scale):
        return {
            "name": name,
            "dimensionality": {"participation_ratio": e(10 * scale, 8 * scale, 14 * scale)},
            "range_positive": e(3.0, 2.0, 4.0),
            "range_negative": e(2.0, 1.0, 3.0),
            "range_in_norms": e(0.2, 0.1, 0.3),
            "bandwidth": e(30 * scale, 20 * scale, 50 * scale),
            "sweep": {"units": units},
        }

    return {
        "concept": factors("empathetic - neutral", 1.0),
        "control": factors("formal - casual", 0.01),
        "random_directions": {"isotropic 1": e(3.5, 3.0, 4.0)},
    }


def token_result():
    tokens = ["I", " am", " so", " sorry", ".\n", "\u4f60", "\u597d", " <b>", " costs", " $5", " and", " $6", "\x00"]
    n = len(tokens)
    return {
        "tokens": [tokens],
        "scores": [np.linspace(-1, 2, n).tolist()],
        "counted": [[False] + [True] * (n - 1)],
        "centre": 0.1,
        "units": "class_gap",
        "scorer": "mean_difference",
        "layer": 3,
    }


@pytest.fixture(scope="module")
def drawn(acts, evaluation, permutation, transfer, measured, sweep):
    """Every figure, drawn from JSON where the result has one."""
    first, second = (
        eg.ConceptDirection.from_activations(acts, positive="empathetic", negative="neutral", layer=4, method=m)
        for m in ("mean_difference", "lda")
    )
    rng = np.random.default_rng(0)
    matrix = specificity_matrix(
        rng.normal(size=(3, 3, 12)) + np.eye(3)[:, :, None], ("cognitive", "affective", "instrumental"), seed=0
    )
    alphas = [-1.0, 0.0, 1.0]
    dose = measure_dose(alphas, np.outer(alphas, np.ones(6)) + 0.1 * rng.normal(size=(3, 6)))
    return {
        "layer_emergence": plots.layer_emergence(
            through_json(permutation), evaluation=through_json(evaluation), estimates={4: evaluation.auroc}
        ),
        "null_distribution": plots.null_distribution(through_json(permutation)),
        "roc_curve": plots.roc_curve(through_json(evaluation), n_resamples=50),
        "rarefaction_curve": plots.rarefaction_curve(through_json(measured)),
        "coherence_curve": plots.coherence_curve(through_json(sweep)),
        "dose_response": plots.dose_response(through_json(sweep), randoms={"isotropic": sweep}),
        "dose_response_causal": plots.dose_response(through_json(dose), units="class_gap"),
        "transfer_heatmap": plots.transfer_heatmap(through_json(transfer)),
        "specificity_heatmap": plots.specificity_heatmap(through_json(matrix), readout="later layers"),
        "cosine_floor": plots.cosine_floor(through_json(eg.pitfalls.simplex_floor(n_draws=1))),
        "class_projection": plots.class_projection(acts, first, second, names=("mean $", "lda $")),
        "token_scores": plots.token_scores(token_result(), width=40),
        "bandwidth_comparison": plots.bandwidth_comparison(
            {"a": bandwidth_like(), "b $": bandwidth_like(censored="right")}
        ),
        "bandwidth_range": plots.bandwidth_comparison({"a": bandwidth_like()}, quantity="range_positive"),
    }


def line(ax, label):
    return next(artist for artist in ax.get_lines() if artist.get_label().startswith(label))


def _tick_labels(axis):
    low, high = sorted(axis.get_view_interval())
    return [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]


def test_every_figure_names_its_axes_and_no_text_hides_another(drawn):
    for name, ax in drawn.items():
        figure = ax.figure
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        renderer = canvas.get_renderer()
        if name != "token_scores":
            assert ax.get_xlabel(), name
            assert ax.get_ylabel() or name.startswith("bandwidth"), name
        boxes = []
        for axes in figure.axes:
            texts = [axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
            if axes.axison:
                texts += [*_tick_labels(axes.xaxis), *_tick_labels(axes.yaxis)]
            if axes.get_legend() is not None:
                texts += axes.get_legend().get_texts()
            for text in texts:
                if text.get_visible() and text.get_text():
                    box = text.get_window_extent(renderer)
                    inside = min(box.x0, box.y0, figure.bbox.x1 - box.x1, figure.bbox.y1 - box.y1) >= -1
                    assert inside, f"{name}: {text.get_text()!r} is cut off"
                    # A turned text's box is larger than its letters; and letters of tokens stand close by design.
                    if text.get_rotation() in (0, 90) and not (name == "token_scores" and text in axes.texts):
                        boxes.append((text.get_text(), box))
        for (a, box_a), (b, box_b) in combinations(boxes, 2):
            width = min(box_a.x1, box_b.x1) - max(box_a.x0, box_b.x0)
            height = min(box_a.y1, box_b.y1) - max(box_a.y0, box_b.y0)
            assert width <= 1.5 or height <= 1.5, f"{name}: {a!r} lies over {b!r}"


def test_lines_can_be_told_apart_without_colour(drawn):
    for name, ax in drawn.items():
        looks = [
            (a.get_linestyle(), str(a._dash_pattern), a.get_marker(), a.get_markerfacecolor() == "white")
            for a in ax.get_lines()
            if not a.get_label().startswith("_")
        ]
        assert len(set(looks)) == len(looks), (name, looks)
    assert len({(marker, str(dash)) for _, marker, dash in CYCLE}) == len(CYCLE)


def test_layer_emergence_shows_statistics_null_and_baseline(permutation, evaluation):
    ax = plots.layer_emergence(permutation, evaluation=evaluation)
    curve = line(ax, "probe")
    assert np.allclose(curve.get_ydata(), permutation.layer_statistics)
    assert list(curve.get_xdata()) == [-1, 0, 1, 2, 3, 4]
    assert np.allclose(line(ax, "shuffled").get_ydata(), permutation.layer_null.mean(axis=1))
    assert line(ax, "5 %").get_ydata()[0] == pytest.approx(permutation.critical_value())
    assert line(ax, "chance").get_ydata()[0] == 0.5
    assert line(ax, "best text-only").get_ydata()[0] == evaluation.baselines[evaluation.best_baseline].value
    again = plots.layer_emergence(through_json(permutation), evaluation=through_json(evaluation))
    for one, two in zip(ax.get_lines(), again.get_lines(), strict=True):
        assert np.allclose(np.asarray(one.get_ydata(), float), np.asarray(two.get_ydata(), float))


def test_the_area_under_the_roc_curve_is_the_auroc(evaluation):
    curve = line(plots.roc_curve(evaluation, n_resamples=20), "probe")
    assert np.trapezoid(curve.get_ydata(), curve.get_xdata()) == pytest.approx(evaluation.auroc.value)
    assert evaluation.auroc.value > 0.6


def test_a_roc_of_several_classes_draws_each_against_the_rest():
    x, y, groups = planted.triplets(12, strength=1.0)
    found = eg.cross_validate(eg.Probe("ridge"), x, np.array(["a", "b", "c"])[y], groups=groups)
    ax = plots.roc_curve(found, n_resamples=20)
    for k, name in enumerate(found.classes):
        curve = line(ax, f"{name} against")
        area = float(eg.auroc(found.scores[:, k], found.labels == name, groups=found.groups))
        assert np.trapezoid(curve.get_ydata(), curve.get_xdata()) == pytest.approx(area)


def test_the_null_figure_shows_every_permutation_and_the_observed_value(permutation):
    ax = plots.null_distribution(permutation)
    assert sum(p.get_height() for p in ax.patches) == 99
    assert line(ax, "observed").get_xdata()[0] == permutation.statistic


def test_the_crossing_is_the_steering_range(sweep):
    ax = plots.coherence_curve(sweep)
    marks = sorted(a.get_xdata()[0] for a in ax.get_lines() if len(set(a.get_xdata())) == 1)
    up, down = eg.steering_range(sweep), eg.steering_range(sweep, sign=-1)
    assert marks == pytest.approx([-down.value, up.value])
    assert "6 activation units" in ax.get_xlabel()


def test_a_crossing_that_was_not_found_is_not_drawn(sweep):
    ax = plots.coherence_curve(sweep, threshold=0.01)
    assert not [a for a in ax.get_lines() if len(set(a.get_xdata())) == 1]


def test_dose_response_marks_broken_text(sweep):
    ax = plots.dose_response(sweep)
    intact, broken = line(ax, "mean, text intact"), line(ax, "text broken")
    assert sorted([*intact.get_xdata(), *broken.get_xdata()]) == sweep.alphas.tolist()
    assert all(sweep.coherence[list(sweep.alphas).index(a)].mean() < 0.7 for a in broken.get_xdata())


def test_heat_maps_write_their_numbers(transfer):
    texts = [t.get_text() for t in plots.transfer_heatmap(transfer).texts]
    assert [t for t in texts if "-" not in t] == [f"{v:.2f}" for v in transfer.values.ravel()]
    low, high = transfer.auroc[0][1].low, transfer.auroc[0][1].high
    assert f"{low:.2f}-{high:.2f}" in texts


def test_a_ratio_without_bound_is_a_gap_and_no_crash(measured):
    content = through_json(measured)
    content["participation_ratio"] |= {"value": None, "low": 3.0, "high": None}
    content["rarefaction"]["participation_ratio"][0] = None
    ax = plots.rarefaction_curve(content)
    assert np.isnan(line(ax, "participation ratio, corrected").get_ydata()[0])
    ax.figure.canvas.draw()


def test_units_that_differ_are_not_compared():
    results = {"a": bandwidth_like(), "b": bandwidth_like(units="residual_norm")}
    with pytest.raises(ValueError, match="compare in one unit"):
        plots.bandwidth_comparison(results)
    plots.bandwidth_comparison(results, quantity="range_in_norms")
    with pytest.raises(ValueError, match="at least one"):
        plots.bandwidth_comparison({})
    with pytest.raises(ValueError, match="quantity must be"):
        plots.bandwidth_comparison(results, quantity="size")


def test_what_is_no_result_is_named():
    with pytest.raises(TypeError, match="expected a Evaluation or what its to_dict"):
        plots.roc_curve(3)
    with pytest.raises(ValueError, match="this is no SteeringSweep: it lacks alphas"):
        plots.coherence_curve({"parts": {}})
    with pytest.raises(ValueError, match="row must be from 0 to 0"):
        plots.token_scores(token_result(), row=2)
    with pytest.raises(ValueError, match="one for each of the 2 tokens"):
        plots.token_scores(["a", "b"], [1.0])
    assert (
        plots.token_scores(["a", " b"], [1.0, np.nan], units="logits").figure.axes[1].get_xlabel() == "score (logits)"
    )


def test_given_axes_are_used_and_pyplot_is_left_alone(permutation):
    code = (
        "import sys, json; from empathy_geometry import plots; import matplotlib; matplotlib.use('agg');"
        "before = repr(matplotlib.rcParams); plots.null_distribution(json.loads(sys.stdin.read()));"
        "assert repr(matplotlib.rcParams) == before; pyplot = sys.modules.get('matplotlib.pyplot');"
        "assert pyplot is None or not pyplot.get_fignums()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(permutation.to_dict()), text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    from matplotlib.figure import Figure

    figure = Figure()
    ax = figure.add_subplot()
    assert plots.null_distribution(permutation, ax=ax) is ax


def test_text_on_a_colour_has_contrast():
    def luminance(colour):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
        return float(np.dot([0.2126, 0.7152, 0.0722], linear))

    for colour in np.random.default_rng(0).random((200, 3)):
        ink = {"black": 0.0, "white": 1.0}[readable_on(colour)]
        bright, dark = sorted((luminance(colour), ink), reverse=True)
        assert (bright + 0.05) / (dark + 0.05) >= 4.5
