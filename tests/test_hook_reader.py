"""Hook reading: passes end early, hooks come off, the model is left as it was."""

from typing import Any

import pytest
import torch
from tiny_models import tiny_bridge

from empathy_geometry.activations.hook_reader import HookReader, to_cpu
from empathy_geometry.models.hooked_model import hook_name
from empathy_geometry.models.model_view import wrapped_passes


def _keep(stream: torch.Tensor) -> torch.Tensor:
    return stream.clone()


def _n_hooks(model: Any) -> int:
    return sum(len(point.fwd_hooks) for point in model.hook_dict.values())


def test_reads_what_run_with_cache_caches_and_runs_no_deeper(tiny_model: Any) -> None:
    ids = tiny_model.to_tokens("abc I am")
    names = [hook_name(tiny_model, 0), hook_name(tiny_model, 1, "mlp_out")]
    deeper: list[str] = []
    with torch.no_grad():
        _, cache = tiny_model.run_with_cache(ids)
        with (
            tiny_model.hooks(fwd_hooks=[(hook_name(tiny_model, 2), lambda stream, hook: deeper.append("block 2"))]),
            wrapped_passes(),  # as run_with_cache runs; test_model_view.py holds views without wrappers against it
        ):
            read = HookReader(tiny_model, names).read(ids, torch.ones_like(ids, dtype=torch.bool), [_keep, _keep])
    assert deeper == []
    for name, stream in zip(names, read, strict=True):
        assert torch.equal(stream, cache[name])


def test_the_model_is_left_as_it_was(tiny_model: Any) -> None:
    ids = tiny_model.to_tokens("abc I am")
    seen: list[int] = []
    with torch.no_grad():
        before = tiny_model(ids)
    tiny_model.add_hook(hook_name(tiny_model, 1), lambda stream, hook: seen.append(1))
    try:
        hooks = _n_hooks(tiny_model)
        reader = HookReader(tiny_model, [hook_name(tiny_model, 2)])
        with pytest.raises(ZeroDivisionError):
            reader.read(ids, torch.ones_like(ids, dtype=torch.bool), [lambda stream: stream / (1 // 0)])
        assert _n_hooks(tiny_model) == hooks
        with torch.no_grad():
            assert torch.equal(tiny_model(ids), before)
        assert len(seen) == 2  # the user's own hook was there all the time
    finally:
        tiny_model.reset_hooks()


def test_a_hook_point_that_does_not_fire_is_an_error() -> None:
    model = tiny_bridge("llama")
    ids = model.to_tokens("abc")
    reader = HookReader(model, ["blocks.1.attn.hook_rot_k", "blocks.1.hook_resid_post", "blocks.2.mlp.gate.hook_in"])
    model.blocks[2].mlp.forward = lambda x: x  # the MLP's parts do not run
    with torch.no_grad(), pytest.raises(RuntimeError, match=r"did not reach hook points \[.*'blocks.2.mlp.gate"):
        reader.read(ids, torch.ones_like(ids, dtype=torch.bool), [_keep, _keep, _keep])


def test_vectors_come_to_the_cpu_in_order() -> None:
    vectors = [torch.full((2, 1, 3), float(i)) for i in range(4)]
    assert [float(v[0, 0, 0]) for v in to_cpu(vectors)] == [0, 1, 2, 3]
