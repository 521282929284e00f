"""`causal_effects`: edits inside the forward pass, read out at tokens, later layers and written text."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from empathy_geometry.causal.design import CausalDesign
from empathy_geometry.causal.edit_values import (
    BASE,
    READOUTS,
    Key,
    measure_edits,
    necessity_edits,
    neutral_nll,
    sufficiency_edits,
)
from empathy_geometry.causal.effect_rows import (
    damage_rows,
    doses_of,
    necessity_rows,
    separates,
    specificity_of,
    sufficiency_rows,
    written_rows,
)
from empathy_geometry.causal.preparation import Contrast, Preparation, prepare
from empathy_geometry.causal.readouts import check_readout_layers, default_readout_layers
from empathy_geometry.causal.result import CausalEffect, CausalEffects, CausalVerdict
from empathy_geometry.causal.verdicts import combine
from empathy_geometry.causal.written_text import check_prompts, default_prompts, write_and_read
from empathy_geometry.foundation._types import FloatArray, Layer
from empathy_geometry.foundation.names import as_name
from empathy_geometry.foundation.provenance import Provenance, kind_of
from empathy_geometry.foundation.settings import takes_settings
from empathy_geometry.geometry.directions import ConceptDirection
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.models.hooked_model import HookedModel, hook_name
from empathy_geometry.models.identity import model_identity
from empathy_geometry.models.loading import check_model
from empathy_geometry.steering.hook import SteeringHook
from empathy_geometry.steering.stream_edit import StreamEdit
from empathy_geometry.texts.labeled_texts import LabeledTexts

__all__ = ["CausalDesign", "CausalEffect", "CausalEffects", "CausalVerdict", "causal_effects"]


@takes_settings()
def causal_effects(
    model: HookedModel,
    directions: ConceptDirection | Mapping[str, ConceptDirection | Contrast],
    texts: LabeledTexts,
    *,
    layer: Layer | None = None,
    direction_texts: LabeledTexts | None = None,
    controls: Mapping[str, ConceptDirection] = MappingProxyType({}),
    design: CausalDesign = CausalDesign(),  # noqa: B008 - immutable
    seed: int = 0,
    progress: bool = True,
) -> CausalEffects:
    """Does the model use a direction? Adding it must move what comes later, and without it less must come.

    The stream is edited after block `layer`, at every token but outlier tokens, and read elsewhere: at the logit
    difference of marker tokens, by probes at later layers, and in what the model writes. Both sides are needed.
    Sufficiency: alpha units are added to held-out texts of the negative class. Necessity: in held-out texts of both
    classes the direction is mean-ablated to the negative class (and, shown beside, ablated to nought); how much
    closer do the classes come? Every effect is ranked among at least 20 random directions of the same length and 20
    directions of shuffled labels (without what those have of the tested directions). For necessity these are
    placebos: at every token as large as the ablation, along another direction.

    Nothing reads where it was edited. The residual stream hands an edit on to every later layer, where a probe would
    move by algebra too; so probes are fitted to unedited activations without the tested direction, and the edit itself
    is taken out of what they read: they see what later blocks made of it.

    Scenarios have one use each: directions (where they are estimated here), readouts (probes, marker tokens), tests
    (edits, prompts). `verdicts` holds the rules for the verdicts.

    Args:
        model: HookedTransformer or TransformerBridge.
        directions: By name, a `ConceptDirection` whose classes occur in `texts`, or a pair (positive class, negative
            class; "rest" means all others) for which a mean difference is estimated here. All at one layer.
        texts: Labelled texts; scenarios need every class that a direction names.
        layer: Where to edit; needed for pairs, otherwise that of the directions.
        direction_texts: What given directions were estimated from; scenarios shared with `texts` are left out.
        controls: Further concepts' directions at this layer, shown beside.
        design: Doses, units, readouts, prompts, markers, and how many controls, scenarios and prompts.
        seed: Of the division of scenarios and the random directions.
        progress: Show bars (never when the output is not a terminal).

    Raises:
        TypeError: not a hooked model, or texts are not `LabeledTexts`.
        ValueError: a readout layer that is not later than the edited one, directions of several layers or another
            width or model, unknown classes, too few scenarios, controls or prompts, or a marker that cannot be one.

    Source: Hase et al. (2023), Makelov et al. (2023) for what interventions can feign; Arditi et al. (2024) for adding
        and removing; AxBench, Wu et al. (2025), for the prompt baseline; Phipson & Smyth (2010) for p.

    Example:
        >>> result = causal_effects(model, {"affective": ("affective", "neutral")}, texts, layer=15)  # doctest: +SKIP
        >>> print(result)  # doctest: +SKIP
    """
    check_model(model)
    if not isinstance(texts, LabeledTexts):
        raise TypeError(
            f"texts must be LabeledTexts, got {type(texts).__name__}; try LabeledTexts(texts, labels, groups)"
        )
    if not isinstance(design, CausalDesign):
        raise TypeError(f"design must be a CausalDesign, got {type(design).__name__}; try CausalDesign(n_prompts=0)")
    named = _named(directions)
    doses = design.doses
    at = _layer(named, controls, layer)
    hook_name(model, at)
    n_layers = int(model.cfg.n_layers)
    later = (
        default_readout_layers(at, n_layers)
        if design.readout_layers is None
        else check_readout_layers(design.readout_layers, at, n_layers)
    )
    for name, control in controls.items():
        if name in named:
            raise ValueError(f"control {name!r} has the name of a direction; rename it")
        SteeringHook(control, layers=[at]).check_fits(model)
    design.check_directions(named)
    prepared = prepare(
        model,
        named,
        texts,
        layer=at,
        readout_layers=later,
        direction_texts=direction_texts,
        design=design,
        seed=seed,
        progress=progress,
    )
    first = prepared.targets[0]
    asked: tuple[str, ...] = ()
    if design.prompts is not None:
        asked = check_prompts(design.prompts, prepared)
    elif design.n_prompts:
        asked = tuple(default_prompts(prepared.split.test, first.negatives, design.n_prompts))
    others = {name: d.vector for name, d in controls.items()}
    adding = sufficiency_edits(prepared, doses, others)
    removing = {t.name: necessity_edits(t, prepared, others) for t in prepared.targets}
    values = measure_edits(model, prepared, adding, removing, n_scenarios=design.n_scenarios, progress=progress)
    damage = _damage(model, prepared, adding, removing, max(doses), design.neutral_texts)
    written = None
    if asked:
        instructions = {
            f"prompt: {t.name}": design.prompt_baselines.get(t.name, f"Answer in a {t.positive} way.")
            for t in prepared.targets
        }
        written = write_and_read(
            model,
            prepared,
            asked,
            _written_edits(prepared, max(doses), others),
            instructions,
            max_new_tokens=design.max_new_tokens,
            date=design.date,
            progress=progress,
        )
    valid = {
        t.name: {r: separates(values, j, k) for k, r in enumerate(READOUTS)} for j, t in enumerate(prepared.targets)
    }
    rows: list[CausalEffect] = []
    for j, t in enumerate(prepared.targets):
        rows += sufficiency_rows(values, prepared, j, max(doses), valid[t.name], tuple(controls))
        rows += necessity_rows(values, prepared, j, valid[t.name], tuple(controls))
        if written is not None:
            rows += written_rows(written, values, prepared, j, valid[t.name], tuple(controls))
        rows += damage_rows(damage, prepared, j, max(doses), tuple(controls))
    identity = model_identity(model)
    settings = {
        "alphas": list(doses),
        "units": prepared.units,
        "n_random": design.n_random,
        "n_shuffled": design.n_shuffled,
        "n_scenarios": design.n_scenarios,
        "n_prompts": len(asked),
        "max_new_tokens": design.max_new_tokens,
        "date": design.date,
        "n_markers": design.n_markers,
        "probe": " ".join(str(design.probe or Probe("logistic")).split()),
        "controls": sorted(controls),
        "torch_threads": torch.get_num_threads(),
    }
    return CausalEffects(
        rows=tuple(rows),
        verdicts={t.name: combine([r for r in rows if r.direction == t.name]) for t in prepared.targets},
        doses={t.name: doses_of(values, j, doses) for j, t in enumerate(prepared.targets)},
        specificity=specificity_of(values, prepared, max(doses), seed),
        readouts=valid,
        markers={t.name: t.markers.words for t in prepared.targets},
        texts={} if written is None else written.texts,
        prompts=asked,
        layer=at,
        readout_layers=later,
        alphas=doses,
        units=prepared.units,
        lengths={t.name: t.length * max(doses) for t in prepared.targets},
        notes=prepared.notes,
        provenance=Provenance(
            kind_of(identity),
            model=identity,
            texts={texts.name: texts.sha256},
            seed=seed,
            settings=settings,
        ),
    )


def _named(
    directions: ConceptDirection | Mapping[str, ConceptDirection | Contrast],
) -> dict[str, ConceptDirection | Contrast]:
    if isinstance(directions, ConceptDirection):
        return {directions.positive: directions}
    named = dict(directions)
    if not named:
        raise ValueError("directions is empty; give a ConceptDirection, or {name: direction}")
    for name, given in dict(named).items():
        if isinstance(given, ConceptDirection):
            continue
        if not isinstance(given, tuple) or len(given) != 2:
            raise TypeError(
                f"directions[{name!r}] must be a ConceptDirection or a pair of class names, got {type(given).__name__}"
            )
        positive, negative = (str(as_name(c, f"directions[{name!r}]")) for c in given)
        named[name] = positive, negative
    return named


def _layer(
    directions: Mapping[str, ConceptDirection | Contrast], controls: Mapping[str, ConceptDirection], layer: Layer | None
) -> Layer:
    given = {n: d for n, d in {**directions, **controls}.items() if isinstance(d, ConceptDirection)}
    for name, direction in given.items():
        if direction.site != "resid_post":
            raise ValueError(f"{name!r} is of site {direction.site!r}; causal_effects edits the residual stream")
    layers = {name: d.layer for name, d in given.items() if d.layer is not None}
    at = layer if layer is not None else next(iter(layers.values()), None)
    if at is None:
        raise ValueError("where shall the stream be edited? Pass layer=..., or directions that know their layer")
    elsewhere = {name: own for name, own in layers.items() if own != at}
    if elsewhere:
        raise ValueError(f"all directions must be of one layer, here {at}; got {elsewhere}. Call once for each layer")
    return at


def _written_edits(prepared: Preparation, dose: float, others: Mapping[str, Tensor]) -> dict[str, StreamEdit]:
    """Directions, isotropic controls (at the first direction's length) and the user's controls."""
    edits = {t.name: StreamEdit.adding(t.direction.vector, dose * t.length) for t in prepared.targets}
    length = dose * prepared.targets[0].length
    for i, vector in enumerate(prepared.nulls["isotropic"]):
        edits[f"isotropic {i + 1}"] = StreamEdit.adding(vector, length)
    return edits | {f"control: {name}": StreamEdit.adding(vector, length) for name, vector in others.items()}


def _damage(
    model: HookedModel,
    prepared: Preparation,
    adding: Mapping[Key, StreamEdit],
    removing: Mapping[str, Mapping[Key, StreamEdit]],
    dose: float,
    neutral_texts: Sequence[str],
) -> dict[Key, FloatArray]:
    """Change of nats per token of neutral text, [n_texts], by edit."""
    edits: dict[Key, StreamEdit] = {BASE: StreamEdit.nothing(int(model.cfg.d_model))}
    # A key of three is a direction at a dose, one of four a control at the largest.
    edits |= {key: edit for key, edit in adding.items() if len(key) == 4 or key[2] == dose}
    for t in prepared.targets:
        edits |= {(op, t.name): removing[t.name][op, t.name] for op in ("mean_ablate", "ablate")}
    nll = neutral_nll(model, prepared, edits, neutral_texts)
    return {key: np.asarray(value - nll[BASE]) for key, value in nll.items()}
