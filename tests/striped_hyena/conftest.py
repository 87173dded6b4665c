"""Small models, and the vectors that vortex 1.1.0 computed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from workflow.striped_hyena import ModelConfig, StripedHyena2

DATA = Path(__file__).parent.parent / "data"
#: Every kind of layer, twice the medium filter's length within reach.
SMALL = ModelConfig("SDH*S", width=32, heads=2, mlp_width=48, filter_groups=8)


@dataclass
class Vortex:
    """One of vortex's models: its configuration, weights and answers."""

    tag: str
    config: ModelConfig
    columns: list[int]
    arrays: dict[str, np.ndarray]

    def tensor(self, name: str) -> torch.Tensor:
        return torch.from_numpy(self.arrays[f"{self.tag}/{name}"])

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        prefix = f"{self.tag}/weights/"
        return {
            key.removeprefix(prefix): torch.from_numpy(a) for key, a in self.arrays.items() if key.startswith(prefix)
        }

    @property
    def lengths(self) -> list[str]:
        return [key.rpartition("/")[2] for key in self.arrays if key.startswith(f"{self.tag}/ids/")]

    def ids(self, length: str) -> torch.Tensor:
        return self.tensor(f"ids/{length}").long()

    def model(self) -> StripedHyena2:
        model = StripedHyena2(self.config)
        model.load_state_dict(self.weights)
        return model


@pytest.fixture(params=["base", "interpolated"])
def vortex(request: pytest.FixtureRequest) -> Vortex:
    facts = json.loads((DATA / "vortex_tiny.json").read_text())[request.param]
    with np.load(DATA / "vortex_tiny.npz") as file:
        arrays = {key: file[key] for key in file.files if key.startswith(request.param + "/")}
    config = ModelConfig(
        facts["pattern"],
        width=facts["hidden_size"],
        heads=facts["num_heads"],
        mlp_width=facts["inner_mlp_size"],
        filter_groups=facts["groups_short"],
        rope_base=facts["rope_base"],
        rope_scale=facts["rope_position_scale"],
    )
    return Vortex(request.param, config, facts["logit_columns"], arrays)


@pytest.fixture
def model() -> StripedHyena2:
    """A random model whose logits spread as widely as a trained one's."""
    torch.manual_seed(0)
    small = StripedHyena2(SMALL)
    with torch.no_grad():
        for name, parameter in small.named_parameters():
            if not name.endswith(("log_poles", "scale")):
                parameter.normal_(std=0.3)
    return small.eval()


DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> torch.device:
    """The CPU, and the GPU where there is one."""
    return torch.device(request.param)


def random_bases(rows: int, length: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.tensor(list(b"ACGT"))[torch.randint(4, (rows, length), generator=generator)]
