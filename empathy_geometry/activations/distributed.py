"""This process among those of a `torchrun` or `accelerate launch` job."""

import os
from dataclasses import dataclass

import torch
import torch.distributed


@dataclass(frozen=True)
class Processes:
    """Which of how many processes this one is; one of one outside a distributed job."""

    rank: int = 0
    n: int = 1

    @classmethod
    def current(cls, device: torch.device) -> "Processes":
        """The processes of this job, joined as `accelerate` joins them if nobody has done so yet.

        Args:
            device: The model's; its type decides how processes talk (gloo on the CPU, NCCL on CUDA).
        """
        if not _joined():
            if int(os.environ.get("WORLD_SIZE", "1")) < 2:
                return cls()
            from accelerate import PartialState

            PartialState(cpu=device.type == "cpu")
        return cls(torch.distributed.get_rank(), torch.distributed.get_world_size())

    def mine(self, item: int) -> bool:
        """Whether the numbered piece of work is this process's."""
        return item % self.n == self.rank

    def wait(self) -> None:
        """Until every process is here."""
        if self.n > 1:
            torch.distributed.barrier()


def _joined() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
