"""FSDP: each process holds a part of every layer, and of its gradients and optimizer state (Zhao et al. 2023,
arXiv:2304.11277; the per-parameter sharding of `torch.distributed.fsdp.fully_shard`).

What is saved is whole, so that any number of processes goes on from it, sharded or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from peft import PeftModel
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

from workflow.striped_hyena.model import StripedHyena2


def shard(model: StripedHyena2 | PeftModel, mesh: DeviceMesh) -> None:
    """Spread the parameters of each block, and of what surrounds the blocks, over a mesh; once."""
    if isinstance(model, FSDPModule):
        return
    engine: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    for block in engine.blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)


def shard_whole(module: nn.Module, mesh: DeviceMesh) -> None:
    """Spread the parameters of a module that is called by itself over a mesh; once."""
    if not isinstance(module, FSDPModule):
        fully_shard(module, mesh=mesh)


def gathered(tensors: Mapping[str, Tensor], keep: bool) -> dict[str, Tensor]:
    """Tensors as they are as a whole, in main memory; all processes have to ask for them.

    Parameters
    ----------
    tensors : mapping of Tensor
        Of some, each process may have a part.
    keep : bool
        Whether this process needs them; else it gets empty ones, which cost no memory.
    """
    return {name: _whole(tensor, keep) for name, tensor in tensors.items()}


def trained_weights(model: nn.Module) -> dict[str, Tensor]:
    """The parameters that are trained, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


class Sharded(ModelParallelStrategy):
    """Lightning's strategy for FSDP, with checkpoints that do not know of it.

    Parameters
    ----------
    processes : int
        All of them share the model.
    """

    def __init__(self, processes: int) -> None:
        super().__init__(data_parallel_size=processes, tensor_parallel_size=1)

    @property
    def mesh(self) -> DeviceMesh:
        """The processes that share the model."""
        return self.device_mesh["data_parallel"]

    @property
    def lightning_restore_optimizer(self) -> bool:
        """Its state comes with the checkpoint."""
        return True

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """What is trained, whole, in the first process."""
        assert self.lightning_module is not None
        return gathered(trained_weights(self.lightning_module), keep=self.is_global_zero)

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """The optimizer's state, whole, in the first process."""
        state = optimizer.state_dict()
        whole = {number: gathered(values, keep=self.is_global_zero) for number, values in state["state"].items()}
        return state | {"state": whole}

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any = None) -> None:
        """Let the first process write it."""
        if self.is_global_zero:
            self.checkpoint_io.save_checkpoint(checkpoint, filepath, storage_options)

    def load_checkpoint(self, checkpoint_path: Any, *unused: Any, **options: Any) -> dict[str, Any]:
        """All of it, in each process; the file is mapped, not read."""
        return self.checkpoint_io.load_checkpoint(checkpoint_path)

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Take this process's part of each tensor."""
        assert self.lightning_module is not None
        parameters = dict(self.lightning_module.named_parameters())
        with torch.no_grad():
            for name, tensor in checkpoint["state_dict"].items():
                parameters[name].copy_(_part(tensor, parameters[name]))

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Take this process's part of each tensor."""
        for optimizer, saved in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            state = {
                number: {name: _part(tensor, parameters[number]) for name, tensor in values.items()}
                for number, values in saved["state"].items()
            }
            optimizer.load_state_dict(saved | {"state": state})


def _whole(tensor: Tensor, keep: bool) -> Tensor:
    if isinstance(tensor, DTensor):
        tensor = tensor.full_tensor()
    return tensor.detach().cpu() if keep else torch.empty(0)


def _part(tensor: Tensor, parameter: Tensor) -> Tensor:
    """This process's part of a tensor that is spread as a parameter is; one of another shape is not spread."""
    if not isinstance(parameter, DTensor) or tensor.shape != parameter.shape:
        return tensor
    return distribute_tensor(tensor, parameter.device_mesh, parameter.placements)
