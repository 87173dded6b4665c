from __future__ import annotations

import pytest
import torch

from tests.classification.conftest import TINY, model
from workflow.classification.backbone import shorten
from workflow.classification.methods import make_trainable
from workflow.config import ClassifyConfig, LoraConfig
from workflow.config.classify import NEURAL
from workflow.errors import GateError, InputError
from workflow.gates import GateLog

CONFIG = ClassifyConfig(table="made.csv", lora=LoraConfig(rank=2, alpha=4, dropout=0.0), frozen_share=0.5)


@pytest.mark.parametrize("method", NEURAL)
def test_heads_train_with_every_method(method: str) -> None:
    # MicrobeRT and the tutorial freeze them with the adapters (peft_heads: head_trainable and score_trainable false).
    made = make_trainable(method, model(), [3, 2], CONFIG, 1)
    assert {name for name in made.trained if name.startswith("heads.")} == {
        "heads.0.weight",
        "heads.0.bias",
        "heads.1.weight",
        "heads.1.bias",
    }
    adapters = {name for name in made.trained if "lora_" in name or "ia3_" in name}
    # LoRA: A and B of 3 hyena mixers × 2, an attention × 2 and 4 MLPs × 3. IA3: a vector each of 4 mixers and 4 MLPs.
    assert len(adapters) == {"lora": 2 * (3 * 2 + 2 + 4 * 3), "ia3": 8}.get(method, 0)
    assert (made.adapter is not None) == bool(adapters)
    others = len(made.trained) - len(adapters) - 4
    assert (others > 0) == (method in ("full", "frozen", "random"))


def test_the_frozen_share_is_of_the_blocks_from_the_first_and_is_told_in_parameters() -> None:
    made = make_trainable("frozen", model(), [2], CONFIG, 1)
    moving = {name.split(".")[2] for name in made.trained if name.startswith("backbone.blocks")}
    assert moving == {"2", "3"} and "backbone.norm.scale" in made.trained
    frozen = [p.numel() for p in made.classifier.backbone.parameters() if not p.requires_grad]
    assert made.frozen_share == pytest.approx(sum(frozen) / TINY.parameters)
    everything = ClassifyConfig(table="made.csv", frozen_share=1.0)
    assert set(make_trainable("frozen", model(), [2], everything, 1).trained) == {"heads.0.weight", "heads.0.bias"}
    assert make_trainable("full", model(), [2], CONFIG, 1).frozen_share == 0


def test_random_weights_are_others_than_the_model_s_and_follow_from_the_seed() -> None:
    made = [make_trainable("random", model(), [2], CONFIG, seed).classifier.backbone for seed in (5, 5, 6)]
    weights = [backbone.embedding_layer.weight for backbone in made]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    assert not torch.equal(weights[0], model().embedding_layer.weight)


@pytest.mark.parametrize(("method", "part"), [("head", "heads"), ("lora", "lora_B"), ("ia3", "ia3_l")])
def test_what_does_not_move_stops_the_run(method: str, part: str) -> None:
    made = make_trainable(method, model(), [2], CONFIG, 1)
    with torch.no_grad():
        for name, parameter in made.trained.items():
            if part not in name:
                parameter.add_(0.1)
    with pytest.raises(GateError, match=rf"heads and adapters of {method} unmoved after 7 steps"):
        made.check_movement(GateLog(), 7)
    with torch.no_grad():
        for name, parameter in made.trained.items():
            if part in name:
                parameter.add_(0.1)
    gates = GateLog()
    made.check_movement(gates, 7)
    assert [result.passed for result in gates.results] == [True]


def test_lora_on_a_model_that_ends_before_its_attention_takes_what_is_there() -> None:
    made = make_trainable("lora", shorten(model(), 0), [2], CONFIG, 1)
    # A and B of a hyena mixer's 2 layers and an MLP's 3.
    assert sum("lora_" in name for name in made.trained) == 2 * (2 + 3)


def test_an_adapter_on_a_layer_that_does_not_exist_is_refused() -> None:
    config = ClassifyConfig(table="made.csv", lora=LoraConfig(rank=2, alpha=4, targets=["query"]))
    with pytest.raises(InputError, match="query"):
        make_trainable("lora", model(), [2], config, 1)
