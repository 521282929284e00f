"""SAELens's trainer, step by step: our own data order, bar and checkpoints, so that a killed run goes on exactly."""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from empathy_geometry.foundation.artefact import load_artefact, save_artefact
from empathy_geometry.sae.lens import sae_lens

CHECKPOINT_SECONDS = 30.0
_COUNTERS = ("n_training_samples", "n_training_steps", "n_frac_active_samples", "started_fine_tuning")
_RUNNING = ("act_freq_scores", "n_forward_passes_since_fired")


@dataclass(eq=False)
class TrainingLoop:
    """Drives a `sae_lens` SAETrainer through its public steps.

    Every pass shows the tokens in a new order that follows from seed and pass alone. So a run that was interrupted and
    taken up again sees the same batches, and ends with the same weights, as one that was not.

    Attributes:
        sae: A SAELens training SAE.
        rows: Training tokens, [n, d_model].
        n_steps: Optimiser steps in all.
        batch_size: Tokens a step.
        learning_rate: Of Adam, with a warm-up over the first twentieth and a linear decay over the last fifth.
        dead_window: Steps without firing after which a feature counts as dead, for the auxiliary loss.
        seed: Of the order.
        run: What decides the result; a checkpoint of another run is refused.
        checkpoint: File to keep the state in, or None.
        progress: Show a bar.
        seconds: Time spent training, over all sessions.
    """

    sae: Any
    rows: Float[Tensor, "n d_model"]
    n_steps: int
    batch_size: int
    learning_rate: float
    dead_window: int
    seed: int
    run: str
    checkpoint: Path | None
    progress: bool
    seconds: float = 0.0
    _trainer: Any = field(init=False, repr=False)
    _order: tuple[int, Tensor] | None = field(init=False, default=None, repr=False)

    def __post_init__(self) -> None:
        lens = sae_lens("sae_lens.training.sae_trainer")
        config = sae_lens("sae_lens.config").SAETrainerConfig(
            total_training_samples=self.n_steps * self.batch_size,
            train_batch_size_samples=self.batch_size,
            lr=self.learning_rate,
            lr_end=self.learning_rate / 10,
            lr_warm_up_steps=max(2, self.n_steps // 20),
            lr_decay_steps=max(1, self.n_steps // 5),
            dead_feature_window=self.dead_window,
            device=str(self.sae.W_dec.device),
        )
        self._trainer = lens.SAETrainer(cfg=config, sae=self.sae, data_provider=iter(()))
        # SAELens estimates this from random batches; all training tokens are at hand.
        self._trainer.activation_scaler.scaling_factor = scale_of(self.rows)
        if self.checkpoint is not None and self.checkpoint.is_file():
            self._restore(self.checkpoint)

    def fit(self, *, stop_after: int | None = None) -> bool:
        """Train to the end, or for `stop_after` steps; whether the end was reached.

        At the end the scale is folded into the weights, so that the SAE reads raw activations.
        """
        trainer, began, saved = self._trainer, time.perf_counter(), time.perf_counter()
        before, last = self.seconds, self.n_steps
        if stop_after is not None:
            last = min(last, trainer.n_training_steps + stop_after)
        bar = tqdm(
            total=self.n_steps,
            initial=trainer.n_training_steps,
            unit="step",
            desc="training SAE",
            disable=None if self.progress else True,
        )
        with bar:
            while trainer.n_training_steps < last:
                output = trainer.step(self._batch(trainer.n_training_steps))
                trainer.n_training_steps += 1
                bar.update()
                if trainer.n_training_steps % 50 == 0:
                    bar.set_postfix(loss=f"{float(output.loss):.2f}")
                now = time.perf_counter()
                self.seconds = before + now - began
                if self.checkpoint is not None and now - saved > CHECKPOINT_SECONDS:
                    self.save()
                    saved = now
        if trainer.n_training_steps < self.n_steps:
            self.save()
            return False
        self.sae.fold_activation_norm_scaling_factor(trainer.activation_scaler.scaling_factor)
        return True

    def save(self) -> None:
        """Write weights, optimiser and counters to the checkpoint, atomically."""
        if self.checkpoint is None:
            return
        t = self._trainer
        tensors = {f"sae.{name}": value for name, value in self.sae.state_dict().items()}
        tensors |= {f"trainer.{name}": getattr(t, name) for name in _RUNNING}
        optimiser = t.optimizer.state_dict()
        for key, state in optimiser["state"].items():
            tensors |= {f"adam.{key}.{name}": torch.as_tensor(value) for name, value in state.items()}
        described = {
            "run": self.run,
            "seconds": self.seconds,
            "counters": {name: getattr(t, name) for name in _COUNTERS},
            "groups": optimiser["param_groups"],
            "schedule": t.lr_scheduler.state_dict(),
            "coefficients": {name: s.state_dict() for name, s in t.coefficient_schedulers.items()},
        }
        # Through JSON now, so that what cannot be saved fails here and not after a kill.
        save_artefact(self.checkpoint, "sae_checkpoint", tensors, json.loads(json.dumps(described)))

    def _restore(self, path: Path) -> None:
        tensors, described = load_artefact(path, "sae_checkpoint")
        if described["run"] != self.run:
            raise ValueError(
                f"{path} is the checkpoint of another run (other tokens, settings or seed); use another folder, or "
                f"resume=False"
            )
        self.sae.load_state_dict({k.removeprefix("sae."): v for k, v in tensors.items() if k.startswith("sae.")})
        t, state = self._trainer, dict[int, dict[str, Tensor]]()
        for key in (name for name in tensors if name.startswith("adam.")):
            _, number, name = key.split(".")
            state.setdefault(int(number), {})[name] = tensors[key]
        t.optimizer.load_state_dict({"state": state, "param_groups": described["groups"]})
        t.lr_scheduler.load_state_dict(described["schedule"])
        for name, value in described["coefficients"].items():
            t.coefficient_schedulers[name].load_state_dict(value)
        for name in _COUNTERS:
            setattr(t, name, described["counters"][name])
        for name in _RUNNING:
            setattr(t, name, tensors[f"trainer.{name}"])
        self.seconds = float(described["seconds"])

    def _batch(self, step: int) -> Tensor:
        """The tokens of one step; the last batch of a pass takes the first tokens of its order again."""
        steps_a_pass = max(1, -(-len(self.rows) // self.batch_size))
        number, at = divmod(step, steps_a_pass)
        if self._order is None or self._order[0] != number:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
            self._order = (number, torch.randperm(len(self.rows), generator=generator))
        index = (torch.arange(self.batch_size) + at * self.batch_size) % len(self.rows)
        return self.rows[self._order[1][index]]


def scale_of(rows: Float[Tensor, "n d_model"]) -> float:
    """The factor that brings the mean norm of rows to sqrt(d_model), as SAELens's expected_average_only_in.

    Example:
        >>> scale_of(torch.full((5, 4), 3.0))
        0.333...
    """
    return float(rows.shape[1] ** 0.5 / rows.norm(dim=1).mean())
