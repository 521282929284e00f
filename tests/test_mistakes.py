"""What people get wrong: each message says what came, what was expected, or what to write instead."""

import numpy as np
import pytest
import tiny_models
import torch

import empathy_geometry as eg

pytestmark = pytest.mark.usefixtures("one_thread")

D_MODEL = tiny_models.D_MODEL


@pytest.fixture(scope="module")
def at_hand(tmp_path_factory):
    """A model, texts, activations, a direction and an evaluation, as a script has them."""
    model = tiny_models.tiny_model("bridge_llama")
    texts = eg.LabeledTexts([f"text {i} a" for i in range(24)], ["a", "b"] * 12, np.repeat(np.arange(12), 2))
    acts = eg.extract_activations(model, texts, progress=False)
    direction = eg.ConceptDirection.from_activations(acts, positive="a", negative="b", layer=1)
    folder = tmp_path_factory.mktemp("mistakes")
    return {
        "m": model,
        "texts": texts,
        "acts": acts,
        "d": direction,
        "ev": eg.cross_validate(eg.Probe("ridge"), acts, layers=[1]),
        "saved": direction.save(folder / "d.safetensors"),
        "folder": folder,
    }


MISTAKES = {
    # misspelt and remembered from elsewhere
    "eg.crossvalidate": (AttributeError, "did you mean 'cross_validate'"),
    "eg.extract_activations(m, texts, postion='last')": (TypeError, "did you mean 'position'"),
    "eg.cross_validate(eg.Probe('ridge'), acts, cv=5)": (TypeError, "no keyword 'cv'; write n_splits="),
    "eg.cross_validate(eg.Probe('ridge'), acts, layer=1)": (TypeError, r"no keyword 'layer'; write layers=\["),
    "eg.permutation_test(eg.Probe('ridge'), acts, n_permutation=9)": (TypeError, "did you mean 'n_permutations'"),
    "eg.generate(m, ['a'], max_tokens=3)": (TypeError, "did you mean 'max_new_tokens'"),
    "eg.SteeringHook(d, operation='ablate')": (ValueError, "one of 'add', 'project_out'.*got 'ablate'"),
    "eg.SteeringHook(d, units='gap')": (ValueError, "'class_gap'.*got 'gap'"),
    "eg.SteeringHook(d, positions='last')": (ValueError, "'last_prompt'.*got 'last'"),
    "eg.ConceptDirection.from_activations(acts, positive='a', negative='b', layer=1, method='mean')": (
        ValueError,
        "'mean_difference'.*got 'mean'",
    ),
    "eg.extract_activations(m, texts, position='first')": (ValueError, "'response_mean'.*got 'first'"),
    "eg.load_model('smolm2-135m-instruct')": (FileNotFoundError, "did you mean 'smollm2-135m-instruct'"),
    "eg.load_model('gtp2')": (FileNotFoundError, "did you mean 'gpt2'"),
    "eg.load_model(3)": (TypeError, "got int 3; try load_model"),
    # one where several are asked for, several where one is
    "eg.generate(m, 'hello')": (ValueError, r"sequence of strings; try \[prompt\]"),
    "eg.steering_sweep(m, d, 'hello', [1.0])": (ValueError, r"sequence of strings; try \[prompt\]"),
    "eg.steering_sweep(m, d, ['hello'], '3')": (TypeError, "alphas must be numbers, got the string '3'"),
    "eg.steering_sweep(m, d, ['hello'], [])": (ValueError, "at least one, got"),
    "eg.LabeledTexts('hello', ['a'], ['1'])": (TypeError, r"sequence of strings, got str; try \[text\]"),
    "eg.LabeledTexts(['x', 'y'], ['a'], ['1', '2'])": (ValueError, "one entry for each of 2 rows"),
    "eg.compare([1, 2])": (TypeError, "compare takes Bandwidth results.*a int"),
    "eg.compare(3)": (TypeError, "several Bandwidth results, files or folders, got int"),
    # another kind of thing
    "d.cosine(torch.ones(16))": (TypeError, r"got Tensor; .*ConceptDirection\(tensor, layer"),
    "d + d": (TypeError, r"directions do not add.*ConceptDirection\(a.vector"),
    "2 * d": (TypeError, "alpha=2"),
    "eg.steering_sweep(m, torch.ones(16), ['a'], [1.0])": (TypeError, r"got Tensor; .*ConceptDirection\(tensor"),
    "eg.ConceptDirection.from_activations(texts, positive='a', negative='b', layer=1)": (
        TypeError,
        r"got LabeledTexts; extract them first: extract_activations\(model, texts\)",
    ),
    "eg.Subspace.from_activations(texts, positive='a', negative='b', layer=1)": (
        TypeError,
        "got LabeledTexts; extract",
    ),
    "eg.Directions.from_activations(texts, positive='a', negative='b')": (TypeError, "got LabeledTexts; extract"),
    "eg.extract_activations('gpt2', texts)": (TypeError, r"got str .*try eg.load_model\(name\)"),
    "eg.extract_activations(m, ['a', 'b'])": (TypeError, r"got list; try LabeledTexts\(texts, labels, groups\)"),
    "eg.plots.layer_emergence(ev)": (ValueError, "shows results of type PermutationTest, got Evaluation"),
    "eg.Subspace.load(saved)": (ValueError, "empathy_geometry.direction/1'; ConceptDirection.load reads that"),
    "eg.SteeringHook(d, alpha='3')": (TypeError, "a number, or one for each row, got str '3'"),
    "eg.SteeringHook(d, alpha=None)": (TypeError, "a number, or one for each row, got NoneType"),
    "eg.SteeringHook(d).__enter__()": (TypeError, r"write `with hook.attached\(model\):`"),
    "eg.steering_range([1, 2, 3])": (TypeError, "expected a SteeringSweep, or coherence"),
    "eg.Activations.concat([acts, 3])": (TypeError, r"joins Activations, got \['int'\]"),
    # what is not there, or not enough of it
    "eg.cross_validate(eg.Probe('ridge'), acts, layers=[17])": (ValueError, r"\[17\] were not extracted; there are"),
    "eg.extract_activations(m, texts, layers=[99])": (ValueError, "from 0 to 2 in this model, got 99"),
    "eg.ConceptDirection.from_activations(acts, positive='x', negative='b', layer=1)": (
        ValueError,
        r"'x' does not occur among the labels \['a', 'b'\]",
    ),
    "eg.ConceptDirection.from_activations(acts, positive='a', negative='a', layer=1)": (
        ValueError,
        "must differ, both",
    ),
    "texts.where(label='z')": (ValueError, "no row has label 'z'; there are 'a', 'b'"),
    "eg.cross_validate(eg.Probe('ridge'), np.ones((4, 3)))": (TypeError, "y is missing"),
    "eg.cross_validate(eg.Probe('ridge'), np.ones((8, 3)), ['a', 'b'] * 4)": (
        TypeError,
        "groups is missing.*groups=None",
    ),
    "eg.auroc([1, 2, 3], [0, 0, 0])": (ValueError, "must hold both classes"),
    "eg.auroc([1, np.nan, 3], [0, 1, 0])": (ValueError, "row 1"),
    "d.project(torch.ones(3))": (ValueError, r"axis of 16 \(d_model\), got shape \(3,\)"),
    "eg.report(folder / 'nowhere')": (FileNotFoundError, "give the folder that a study"),
    "eg.report(folder)": (ValueError, "expected JSON files of studies"),
    "eg.generate(m, ['x'], temperature=-1)": (ValueError, "must not be negative.*got -1"),
    "eg.permutation_test(eg.Probe('ridge'), acts, n_permutations=0)": (ValueError, "at least 1, got 0; try 1000"),
}


@pytest.mark.parametrize("code", MISTAKES)
def test_a_mistake_is_told(code, at_hand):
    error, message = MISTAKES[code]
    with pytest.raises(error, match=message):
        eval(code, {"eg": eg, "np": np, "torch": torch, **at_hand})


def test_what_is_meant_is_done(at_hand):
    """Given without a doubt about what is meant, it is no mistake."""
    alone = eg.LabeledTexts(["x", "y"], ["a", "b"], groups=None)
    assert len(set(alone.groups)) == 2
    quiet = {"progress": False, "max_new_tokens": 2}
    one = eg.steering_sweep(at_hand["m"], at_hand["d"], ["a"], 3.0, **quiet)
    assert one.alphas.tolist() == [0.0, 3.0]
