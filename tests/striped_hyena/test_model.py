from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from tests.striped_hyena.conftest import SMALL, Vortex, random_bases
from workflow.striped_hyena import PRESETS, DecodingState, ModelConfig, StripedHyena2
from workflow.striped_hyena.model import FLOAT32_NAMES
from workflow.striped_hyena.tokens import pad


def test_logits_are_vortex_s_at_every_length(vortex: Vortex, device: torch.device) -> None:
    model = vortex.model().to(device)
    assert len(vortex.lengths) == 7
    for length in vortex.lengths:
        with torch.no_grad():
            logits = model(vortex.ids(length).to(device)).logits.cpu()
        torch.testing.assert_close(logits[..., vortex.columns], vortex.tensor(f"logits/{length}"), atol=5e-5, rtol=0)
        torch.testing.assert_close(logits.logsumexp(-1), vortex.tensor(f"logsumexp/{length}"), atol=5e-5, rtol=0)


def test_loss_and_gradients_are_vortex_s(vortex: Vortex, device: torch.device) -> None:
    model, ids = vortex.model().to(device), vortex.ids("L129").to(device)
    loss = F.cross_entropy(model(ids).logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    loss.backward()
    assert float(loss.detach()) == pytest.approx(float(vortex.tensor("nll/L129")), abs=1e-5)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        expected = float(vortex.tensor(f"gradnorm/{name}"))
        assert float(parameter.grad.norm()) == pytest.approx(expected, rel=1e-4), name


def test_activation_checkpointing_changes_no_gradient(vortex: Vortex) -> None:
    gradients = []
    for checkpointing in (False, True):
        model, ids = vortex.model(), vortex.ids("L129")
        model.activation_checkpointing = checkpointing
        F.cross_entropy(model(ids).logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()).backward()
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, msg=name)


@pytest.mark.parametrize("prompt", [*range(1, 9), 126, 127, 128, 129, 130])
def test_step_by_step_gives_the_logits_of_the_whole(model: StripedHyena2, device: torch.device, prompt: int) -> None:
    model, ids = model.to(device), random_bases(2, 140).to(device)
    with torch.no_grad():
        whole = model(ids).logits
        state = DecodingState.empty(SMALL)
        parts = [model(ids[:, :prompt], state=state).logits]
        parts += [model(ids[:, i : i + 1], state=state).logits for i in range(prompt, 140)]
    scale = float(whole.std())
    assert float((torch.cat(parts, dim=1) - whole).abs().max()) < 1e-4 * max(scale, 1)
    assert state.positions == 140


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 8, 9, 64, 127, 200, 299])
def test_chunks_give_the_logits_of_the_whole(model: StripedHyena2, chunk: int) -> None:
    ids = random_bases(2, 300)
    with torch.no_grad():
        whole = model(ids).logits
        state = DecodingState.empty(SMALL)
        parts = [model(piece, state=state).logits for piece in ids.split(chunk, dim=1)]
    assert float((torch.cat(parts, dim=1) - whole).abs().max()) < 1e-4 * max(float(whole.std()), 1)


def test_padding_changes_no_position(model: StripedHyena2, device: torch.device) -> None:
    sequences = [random_bases(1, length, seed=length)[0] for length in (1, 3, 50, 128, 200, 256)]
    ids, mask = pad(sequences)
    with torch.no_grad():
        batch = model.to(device)(ids.to(device), mask.to(device)).logits.log_softmax(-1)
        for row, sequence in enumerate(sequences):
            alone = model(sequence[None].to(device)).logits.log_softmax(-1)[0]
            assert float((batch[row, : len(sequence)] - alone).abs().max()) < 1e-5


def test_later_bases_do_not_change_earlier_logits(model: StripedHyena2) -> None:
    ids = random_bases(1, 200)
    changed = ids.clone()
    changed[:, 150:] = ord("A")
    with torch.no_grad():
        difference = (model(ids).logits - model(changed).logits).abs().amax(-1)[0]
    assert float(difference[:150].max()) < 1e-5
    assert float(difference[150:].max()) > 1e-2


def test_bfloat16_stays_near_float32(model: StripedHyena2, device: torch.device) -> None:
    # At the initialisation of a real model; the wide weights of the fixture would amplify any rounding.
    torch.manual_seed(1)
    model = StripedHyena2(replace(SMALL, width=64, mlp_width=96)).to(device).eval()
    ids = random_bases(2, 200).to(device)
    with torch.no_grad():
        exact = model(ids).logits
        rounded = model.to_bfloat16()(ids).logits
    assert rounded.dtype == torch.bfloat16
    assert float((rounded.float() - exact).std() / exact.std()) < 0.03
    kept = {name for name, tensor in model.state_dict().items() if tensor.dtype == torch.float32}
    assert kept == {name for name in model.state_dict() if name.endswith(FLOAT32_NAMES)}


def test_hidden_states_of_chosen_layers(model: StripedHyena2) -> None:
    ids = random_bases(2, 20)
    with torch.no_grad():
        output = model(ids, hidden_layers=(0, -1))
        logits = F.linear(model.norm(output.hidden[-1]), model.embedding_layer.weight)
    assert set(output.hidden) == {0, -1}
    assert output.hidden[0].shape == (2, 20, SMALL.width)
    torch.testing.assert_close(logits, output.logits)


def test_unusable_calls_are_refused(model: StripedHyena2) -> None:
    ids = random_bases(1, 4)
    with pytest.raises(ValueError, match="layer 5 does not exist: the model has 5"):
        model(ids, hidden_layers=(5,))
    with pytest.raises(ValueError, match="empty"):
        model(ids[:, :0])
    with pytest.raises(ValueError, match="without a mask"):
        model(ids, torch.ones(1, 4), DecodingState.empty(SMALL))


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("evo2_1b_base", 1.108),
        ("evo2_7b_base", 6.481),
        ("evo2_7b", 6.582),
        ("evo2_20b", 19.74),
        ("evo2_40b", 41.1),
    ],
)
def test_presets_have_the_published_number_of_parameters(name: str, billions: float) -> None:
    assert PRESETS[name].parameters / 1e9 == pytest.approx(billions, rel=2e-3)


def test_parameters_are_counted_as_built() -> None:
    for config in (SMALL, PRESETS["tiny"]):
        built = sum(parameter.numel() for parameter in StripedHyena2(config).parameters())
        assert built == config.parameters


def test_configurations_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="letters S, D, H"):
        replace(SMALL, pattern="SDX")
    with pytest.raises(ValueError, match="3 heads"):
        replace(SMALL, heads=3)
    with pytest.raises(ValueError, match="filter groups"):
        replace(SMALL, filter_groups=5)
    with pytest.raises(ValueError, match="unknown fields"):
        ModelConfig.from_json('{"pattern": "S", "colour": 1}')
    with pytest.raises(ValueError, match="incomplete"):
        ModelConfig.from_json('{"pattern": "S"}')
    assert ModelConfig.from_json(SMALL.to_json()) == SMALL
