"""SAE agreement: planted features are found, what learned nothing is not, and the table says which."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_models import tiny_bridge

import empathy_geometry as eg
from empathy_geometry.evaluation.cross_validation import cross_validate
from empathy_geometry.evaluation.metrics import auroc_excess
from empathy_geometry.planted.dictionary import planted_dictionary
from empathy_geometry.sae.concept_halves import AgreementData
from empathy_geometry.sae.controls import random_decoder, untrained
from empathy_geometry.sae.features import pooled_features
from empathy_geometry.sae.sparse_probing import SparseProbe, sparse_probing
from empathy_geometry.sae.subspace_agreement import agreement_with_concept

pytestmark = pytest.mark.usefixtures("one_thread")
PLANTED = planted_dictionary(n_groups=30)


@pytest.fixture(scope="module")
def found() -> eg.results.SaeAgreement:
    return eg.sae_agreement(
        PLANTED.sae, PLANTED.activations, other=PLANTED.sae, design=eg.AgreementDesign(n_draws=99, rank=3)
    )


def test_the_true_features_agree_with_the_concept(found):
    head = found.agreement
    assert head.value.value > 0.95
    assert head.value.low < head.value.value < head.value.high
    # The truth is 1; what is missing from `value` is the noise of the class means.
    assert head.corrected.value > 0.98
    assert head.corrected.low <= 1.0 <= head.corrected.high + 0.005
    assert head.pvalue <= 0.05
    assert {i for i, share in head.selected if share == 1.0} >= set(PLANTED.concept_features.tolist())
    assert found.probing.sparse[4].auroc.value > 0.98
    assert found.over_untrained[4].low > 0
    assert found.verdict == "supported"


def test_differences_between_probes_count_the_shared_training_rows_of_both(found):
    def against(own, name, other):
        return auroc_excess(
            own.scores,
            {name: other.scores},
            own.labels == "positive",
            groups=own.groups,
            inflation=own.variance_inflation,
            baseline_inflation={name: other.variance_inflation},
        )[name]

    dense = found.probing.dense
    for k, sparse in found.probing.sparse.items():
        assert sparse.variance_inflation == 2  # a foreign estimator gets the largest
        assert found.probing.shortfall[k] == against(dense, f"the {k}-sparse probe", sparse)
    for k, without in found.untrained_probing.sparse.items():
        expected = against(found.probing.sparse[k], "the untrained dictionary's", without)
        assert found.over_untrained[k] == expected


def test_the_shortfall_counts_the_shared_training_rows_of_the_dense_probe():
    acts, layer = PLANTED.activations, PLANTED.activations.layers[0]
    noisy = replace(acts, values=acts.values + 8 * torch.randn(acts.values.shape, generator=torch.manual_seed(0)))
    classes = {"positive": "positive", "negative": "negative"}
    dense = cross_validate(eg.Probe("logistic"), noisy, layers=[layer], **classes)
    features = torch.rand(len(acts), 20, generator=torch.manual_seed(1))
    errors = []
    for inflation in (1.0, 3.0):
        given = replace(dense, variance_inflation=inflation)
        found = sparse_probing(features, noisy, layer=layer, **classes, ks=[4], dense=given)
        errors.append(found.shortfall[4].high - found.shortfall[4].low)
    assert errors[1] > 1.1 * errors[0]


def test_the_planted_subspace_is_the_one_that_was_found(found):
    # Rank 3: the paired differences span the concept's features, which lie in the span of those selected.
    pairs = eg.Subspace.from_activations(PLANTED.activations, layer=0, positive="positive", negative="negative", rank=3)
    assert found.agreements["pairs"].rank == 3
    assert pairs.overlap(PLANTED.subspace) > 2 * 3 / 64
    closest = eg.sae_agreement(PLANTED.sae, PLANTED.subspace, design=eg.AgreementDesign(n_features=3, n_draws=99))
    assert closest.agreement.value.value == pytest.approx(1.0)
    assert {i for i, _ in closest.agreement.selected} == set(PLANTED.concept_features.tolist())
    assert closest.verdict == "cannot tell"
    assert closest.probing is None


def test_a_random_decoder_is_at_its_null_and_never_supported(found):
    control = found.controls["random decoder"]
    assert control.value.value < 0.45
    assert abs(control.value.value - control.nulls["isotropic"].mean()) < 0.15
    random = eg.sae_agreement(
        random_decoder(PLANTED.sae, seed=3), PLANTED.activations, design=eg.AgreementDesign(n_draws=39)
    )
    assert random.verdict != "supported"
    assert random.agreement.pvalue > 0.05


def test_a_concept_off_the_dictionary_is_not_supported():
    off = planted_dictionary(n_groups=30, inside=False, seed=1)
    result = eg.sae_agreement(off.sae, off.activations, design=eg.AgreementDesign(n_draws=39))
    assert result.probing.dense.auroc.low > 0.5
    assert result.verdict == "not supported"
    assert "covariance" in result.reason


def test_without_a_concept_one_cannot_tell():
    none = planted_dictionary(n_groups=30, strength=0.0)
    result = eg.sae_agreement(none.sae, none.activations, design=eg.AgreementDesign(n_draws=39))
    assert result.verdict == "cannot tell"
    assert "not above chance" in result.reason
    assert result.agreement.corrected is None


def test_nulls_are_exact_under_the_null():
    """p against "isotropic" is uniform enough where decoder columns are random themselves."""
    rng = np.random.default_rng(0)
    pvalues = []
    for seed in range(30):
        features = rng.random((40, 30))
        rows = rng.standard_normal((40, 24))
        data = AgreementData(
            features, rng.standard_normal((30, 24)), rows, np.arange(40) % 2 == 0, np.arange(40) // 2, np.ones(30)
        )
        result = agreement_with_concept(data, n_features=4, n_splits=2, n_draws=39, seed=seed)
        pvalues.append(result.pvalues["isotropic"])
    assert 0.35 < np.mean(pvalues) < 0.65
    assert 0 <= np.mean(np.array(pvalues) <= 0.1) < 0.3


def test_sparse_probes_choose_features_inside_the_training_folds():
    """Features that fit by luck do not help: on noise with far more features than texts AUROC stays at chance."""
    rng = np.random.default_rng(1)
    X, y, groups = rng.random((60, 3000)), np.arange(60) % 2, np.arange(60) // 2
    inside = cross_validate(SparseProbe(4), X, y, groups=groups)
    assert 0.3 < inside.auroc.value < 0.7
    chosen = SparseProbe(4).fit(X, y).features_
    leaked = cross_validate(eg.Probe("logistic"), X[:, chosen], y, groups=groups)
    assert leaked.auroc.value > 0.75


def test_features_of_tokens_are_averaged_not_features_of_the_average(found):
    model = tiny_bridge("llama", n_ctx=512)
    texts = eg.datasets.formality_pairs()[:8]
    acts = eg.extract_activations(model, texts, layers=[1], position="response_mean", progress=False)
    sae = untrained(
        eg.sae.SparseAutoencoder(torch.eye(16), lambda x: x.relu(), lambda f: f, (1, "resid_post")),
        l0=3,
        center=torch.zeros(16),
    )
    (pooled,) = pooled_features([sae], acts, layer=1, model=model, progress=False)
    for i in (0, 5):
        _, cache = model.run_with_cache(model.to_tokens(texts.texts[i]), names_filter="blocks.1.hook_resid_post")
        by_hand = sae.encode(cache["blocks.1.hook_resid_post"][0, 1:]).mean(dim=0)
        assert torch.allclose(pooled.values[i], by_hand, atol=1e-5)
    assert pooled.by_token
    assert pooled.quality.l0 == pytest.approx(3, abs=0.2)
    (shortcut,) = pooled_features([sae], acts, layer=1)
    assert not shortcut.by_token
    assert not torch.allclose(shortcut.values, pooled.values, atol=1e-3)
    with pytest.raises(ValueError, match="gives other vectors than the activations hold"):
        pooled_features([sae], acts, layer=1, model=tiny_bridge("llama", n_ctx=512, seed=5), progress=False)


def test_the_result_says_everything_in_json_and_text(found):
    saved = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert saved["verdict"] == "supported"
    assert saved["provenance"]["kind"] == "planted"
    assert saved["agreements"]["mean difference"]["value"]["value"] == found.agreement.value.value
    assert saved["reference"]["features"] == found.reference.features
    text = str(found)
    assert text.startswith("PLANTED DATA, NOT A MEASUREMENT")
    assert str(found.agreement.value) in text
    assert "features above 0.01" in text
    assert len(found.to_frame()) == len(found.rows())
    assert "<table>" in found._repr_html_()


def test_plain_rows_give_the_same_numbers(found):
    acts = PLANTED.activations
    rows = eg.Activations.from_arrays(acts.layer(0), acts.labels, acts.groups, layers=0)
    plain = eg.sae_agreement(PLANTED.sae, rows, design=eg.AgreementDesign(n_draws=9), positive="positive")
    assert plain.agreement.value == found.agreement.value
    with pytest.raises(TypeError, match=r"activations must be .* got Tensor; try .*from_arrays"):
        eg.sae_agreement(PLANTED.sae, acts.layer(0))
    with pytest.raises(TypeError, match=r"no keyword 'labels'; write .*from_arrays"):
        eg.sae_agreement(PLANTED.sae, acts.layer(0), labels=acts.labels)


def test_misfits_are_named():
    acts = PLANTED.activations
    other = eg.Activations(acts.values, (5,), acts.labels, acts.groups)
    with pytest.raises(ValueError, match=r"reads blocks.0.hook_resid_post, these activations are from blocks.5"):
        eg.sae_agreement(PLANTED.sae, other)
    with pytest.raises(ValueError, match="reads vectors of width 64, these have 32"):
        eg.sae_agreement(PLANTED.sae, eg.Activations(acts.values[..., :32], (0,), acts.labels, acts.groups))
    with pytest.raises(ValueError, match="does not occur among the labels"):
        eg.sae_agreement(PLANTED.sae, acts, positive="warm")
    with pytest.raises(ValueError, match="at least 8 scenarios"):
        eg.sae_agreement(PLANTED.sae, acts[:10])
    three = np.where(np.arange(len(acts)) < 20, "third", acts.labels)
    with pytest.raises(ValueError, match=r"classes .* say which two"):
        eg.sae_agreement(PLANTED.sae, eg.Activations(acts.values, (0,), three, acts.groups))
    silent = eg.sae.SparseAutoencoder(PLANTED.sae.decoder, lambda x: torch.zeros(len(x), 192), lambda f: f[:, :64])
    with pytest.raises(ValueError, match="no feature fires"):
        eg.sae_agreement(silent, acts)
    with pytest.raises(TypeError, match="activations must be"):
        eg.sae_agreement(PLANTED.sae, "texts")


def test_bandwidth_takes_an_sae(monkeypatch):
    model = tiny_bridge("llama", n_ctx=1024)
    texts = eg.datasets.empathy_pairs()
    kept = list(dict.fromkeys(texts.groups.tolist()))[:14]
    sae = untrained(
        eg.sae.SparseAutoencoder(
            torch.randn(48, 16), lambda x: x.relu(), lambda f: f @ torch.zeros(48, 16), (1, "resid_post")
        ),
        l0=4,
        center=torch.zeros(16),
    )
    result = eg.measure_bandwidth(
        model,
        texts.where(group=kept),
        design=eg.BandwidthDesign(
            layers=[0, 2],
            search=eg.SearchDesign(n_prompts=2, max_new_tokens=4, units="residual_norm"),
            n_permutations=9,
        ),
        sae=sae,
        progress=False,
    )
    assert result.sae.layer == 1
    assert result.to_dict()["sae"]["study"] == "sae_agreement"
    assert result.sae.verdict in str(result)
    with pytest.raises(ValueError, match="width 20"):
        eg.measure_bandwidth(model, texts, sae=eg.sae.SparseAutoencoder(torch.eye(20), lambda x: x, lambda f: f))
