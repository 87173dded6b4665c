from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tests.striped_hyena.conftest import SMALL, random_bases
from workflow.checkpoints import fp8_scales
from workflow.errors import InputError
from workflow.striped_hyena import StripedHyena2, score_sequences
from workflow.striped_hyena.adapters import add_lora
from workflow.striped_hyena.fp8 import Fp8Linear, emulate_fp8, round_e4m3, scales_of

HYENA = ("blocks.0.projections", "blocks.1.projections", "blocks.2.projections", "blocks.4.projections")


def e4m3_numbers() -> list[float]:
    """Every finite number of the format, from its definition: a sign, four bits of exponent, three of mantissa."""
    small = [mantissa * 2.0**-9 for mantissa in range(8)]
    large = [(1 + mantissa / 8) * 2.0 ** (exponent - 7) for exponent in range(1, 16) for mantissa in range(8)]
    positive = [*small, *large][:-1]  # the last pattern is NaN
    return sorted({*positive, *(-number for number in positive)})


NUMBERS = e4m3_numbers()


def extra_state(input_scale: float, weight_scale: float, **more: Any) -> io.BytesIO:
    """The state of a layer as Transformer Engine saves it: tables for its input, weight and output."""
    state = {
        "scale_fwd": torch.tensor([input_scale, weight_scale, 1.0]),
        "scale_inv_fwd": 1 / torch.tensor([input_scale, weight_scale, 1.0]),
        "amax_history_fwd": torch.zeros(16, 3),
        "scale_bwd": torch.ones(2),
        "scale_inv_bwd": torch.ones(2),
        "amax_history_bwd": torch.zeros(16, 2),
        "extra_fp8_variables": {"fp8_max_fwd": 448.0, "num_gemms": 1, "fp8_checkpoint": True},
    }
    file = io.BytesIO()
    torch.save(state | more, file)
    return file


# ---------------------------------------------------------------- rounding


def test_numbers_of_the_format() -> None:
    assert len(NUMBERS) == 253 and NUMBERS[-1] == 448 and min(n for n in NUMBERS if n > 0) == 2**-9
    values = torch.tensor(NUMBERS)
    assert torch.equal(round_e4m3(values).float(), values)


@pytest.mark.parametrize(
    ("value", "rounded"),
    [
        (0.1, 0.1015625),
        (3.3, 3.25),
        (17.0, 16.0),  # ties go to the even mantissa
        (19.0, 20.0),
        (18.0, 18.0),
        (300.0, 288.0),
        (447.0, 448.0),
        (449.0, 448.0),
        (1e9, 448.0),
        (-1e9, -448.0),
        (2**-9, 2**-9),
        (2**-10, 0.0),
        (1.5 * 2**-9, 2 * 2**-9),
        (-0.3, -0.3125),
        (0.0, 0.0),
    ],
)
def test_known_roundings(value: float, rounded: float) -> None:
    assert round_e4m3(torch.tensor([value])).float().item() == rounded


@given(st.floats(-1000, 1000, allow_nan=False, width=32))
def test_rounding_is_to_the_nearest_number(value: float) -> None:
    nearest = min(abs(number - value) for number in NUMBERS)
    assert abs(round_e4m3(torch.tensor([value])).float().item() - value) == pytest.approx(nearest, abs=1e-12)


# ---------------------------------------------------------------- one layer


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_numbers_of_the_format_pass_unchanged(dtype: torch.dtype) -> None:
    """With values that FP8 holds, the layer is the plain one."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randint(-8, 9, (12, 8), generator=generator).float() / 4
    x = torch.randint(-8, 9, (2, 5, 8), generator=generator).to(dtype)
    out = Fp8Linear(weight, (2.0, 4.0))(x)
    assert out.dtype == dtype
    assert torch.equal(out, nn.functional.linear(x, weight.to(dtype)))


def test_scales_are_those_given() -> None:
    layer = Fp8Linear(torch.tensor([[0.1, -0.7]]), (3.0, 10.0))
    # 0.1 · 10 and 0.7 · 10 are numbers of the format; 1.1 · 3 = 3.3 becomes 3.25, and 0.2 · 3 = 0.6 becomes 0.625.
    assert layer.weight.tolist() == [[pytest.approx(0.1), pytest.approx(-0.7)]]
    out = layer(torch.tensor([[1.1, 0.2]]))
    assert out.item() == pytest.approx((3.25 * 1.0 - 0.625 * 7.0) / 30)


def test_input_beyond_the_scale_saturates() -> None:
    layer = Fp8Linear(torch.tensor([[1.0]]), (1.0, 1.0))
    assert layer(torch.tensor([[400.0], [500.0], [-1e6]])).flatten().tolist() == [384.0, 448.0, -448.0]


def test_own_scales_use_the_whole_range() -> None:
    generator = torch.Generator().manual_seed(1)
    weight, x = torch.randn(16, 32, generator=generator), torch.randn(4, 32, generator=generator) * 1e-3
    layer = Fp8Linear(weight)
    assert layer.weight_e4m3.float().abs().max() == 448
    exact = x @ weight.T
    assert (layer(x) - exact).norm() / exact.norm() < 0.05
    assert torch.isfinite(Fp8Linear(torch.zeros(2, 32))(x)).all()
    assert torch.equal(layer(torch.zeros(1, 32)), torch.zeros(1, 16))


def test_own_scale_of_a_position_does_not_depend_on_the_others() -> None:
    generator = torch.Generator().manual_seed(2)
    layer, x = Fp8Linear(torch.randn(6, 8, generator=generator)), torch.randn(3, 8, generator=generator)
    loud = torch.cat([x, 1e4 * torch.ones(1, 8)])
    assert torch.equal(layer(loud)[:3], layer(x))


# ---------------------------------------------------------------- the model


def test_only_hyena_projections_are_emulated(model: StripedHyena2) -> None:
    before = {name: tensor.clone() for name, tensor in model.named_parameters()}
    assert emulate_fp8(model) is model
    found = [name for name, module in model.named_modules() if isinstance(module, Fp8Linear)]
    assert tuple(found) == HYENA
    for name, tensor in model.named_parameters():
        assert torch.equal(tensor, before[name])


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_emulation_changes_scores_a_little(model: StripedHyena2, precision: str) -> None:
    ids = random_bases(2, 150)
    model = model.to_bfloat16() if precision == "bf16" else model
    exact = model(ids).logits.float()
    rounded = emulate_fp8(model)(ids).logits.float()
    difference = ((rounded - exact).norm() / exact.norm()).item()
    assert 1e-3 < difference < 0.3


def test_stored_scales_are_used(model: StripedHyena2) -> None:
    scales = {name: (8.0 + number, 64.0 + number) for number, name in enumerate(HYENA)}
    emulate_fp8(model, scales)
    for name, (of_input, of_weight) in scales.items():
        layer = model.get_submodule(name)
        assert isinstance(layer, Fp8Linear)
        assert (layer.input_scale, layer.weight_scale) == (of_input, of_weight)


def test_score_is_the_same_alone_and_in_a_batch(model: StripedHyena2) -> None:
    emulate_fp8(model)
    sequences = [row.numpy().astype(np.uint8) for row in random_bases(3, 90)]
    sequences[1] = sequences[1][:40]
    together = list(score_sequences(model, sequences, batch_tokens=1000))
    for sequence, score in zip(sequences, together, strict=True):
        (alone,) = score_sequences(model, [sequence], batch_tokens=1000)
        np.testing.assert_allclose(alone.logprobs, score.logprobs, atol=1e-4)


def test_adapters_beside_the_weights_are_kept(model: StripedHyena2) -> None:
    adapted = add_lora(model, rank=2, alpha=4, dropout=0.0, targets=["projections", "l1"])
    emulate_fp8(adapted.get_base_model())
    names = [name for name, module in adapted.named_modules() if isinstance(module, Fp8Linear)]
    assert [name.removeprefix("base_model.model.") for name in names] == [f"{name}.base_layer" for name in HYENA]
    ids = random_bases(1, 20)
    before = adapted(ids).logits
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "projections.lora_B" in name:
                parameter.add_(0.1)
    assert not torch.equal(adapted(ids).logits, before)


@pytest.mark.parametrize("change", ["missing", "further"])
def test_scales_of_another_model(model: StripedHyena2, change: str) -> None:
    scales = dict.fromkeys(HYENA, (1.0, 1.0))
    if change == "missing":
        del scales["blocks.2.projections"]
        named = "blocks.2.projections"
    else:
        scales["blocks.9.projections"] = (1.0, 1.0)
        named = "blocks.9.projections"
    with pytest.raises(InputError, match=f"^the FP8 scales do not fit this model: {named} is missing"):
        emulate_fp8(model, scales)


# ---------------------------------------------------------------- published files


def published(folder: Path, states: dict[str, Any]) -> Path:
    """A `.pt` with the weights of a small model and the states of layers."""
    weights = {name: tensor.to(torch.bfloat16) for name, tensor in StripedHyena2(SMALL).state_dict().items()}
    torch.save(weights | {f"{name}._extra_state": state for name, state in states.items()}, folder / "x.pt")
    return folder / "x.pt"


def test_scales_of_a_published_file(tmp_path: Path, model: StripedHyena2) -> None:
    states = {name: extra_state(2.0**number, 100.0 + number) for number, name in enumerate(HYENA)}
    scales = fp8_scales(published(tmp_path, states))
    assert scales == {name: (2.0**number, 100.0 + number) for number, name in enumerate(HYENA)}
    emulate_fp8(model, scales)
    assert torch.isfinite(model(random_bases(1, 30)).logits).all()


def test_scales_of_a_published_file_in_parts(tmp_path: Path) -> None:
    whole = published(tmp_path, {name: extra_state(2.0, 3.0) for name in HYENA})
    content = whole.read_bytes()
    half = len(content) // 2
    (tmp_path / "y.pt.part0").write_bytes(content[:half])
    (tmp_path / "y.pt.part1").write_bytes(content[half:])
    assert fp8_scales(tmp_path / "y.pt.part0") == fp8_scales(whole) == dict.fromkeys(HYENA, (2.0, 3.0))


def test_states_that_hold_nothing(tmp_path: Path) -> None:
    assert scales_of({"blocks.0.projections._extra_state": io.BytesIO()}, "x.pt") == {}
    states = {
        "blocks.1.projections": None,
        "blocks.2.projections": torch.empty(0, dtype=torch.uint8),
        "blocks.3.inner_mha_cls.Wqkv": extra_state(7.0, 7.0),
    }
    assert fp8_scales(published(tmp_path, states)) == {}
    assert fp8_scales(published(tmp_path, {})) == {}


def test_state_as_a_tensor_of_bytes() -> None:
    content = torch.frombuffer(bytearray(extra_state(3.0, 5.0).getvalue()), dtype=torch.uint8)
    assert scales_of({"blocks.4.projections._extra_state": content}, "x.pt") == {"blocks.4.projections": (3.0, 5.0)}


class Intruder:
    """Pickled, it would run code when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("intruded"),)


def pickled(value: object) -> io.BytesIO:
    return io.BytesIO(pickle.dumps(value, protocol=2))


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (io.BytesIO(b"nonsense"), "is damaged or not a plain table"),
        (pickled(Intruder()), "is damaged or not a plain table"),
        (pickled({"recipe": Intruder()}), "is damaged or not a plain table"),
        (extra_state(1, 1, scale_fwd=torch.ones(1)), "has no scale_fwd of input and weight"),
        (extra_state(1, 1, scale_fwd=None), "has no scale_fwd of input and weight"),
        (extra_state(0.0, 1.0), r"the scales 0\.0 and 1\.0 must be positive"),
        (extra_state(1.0, float("nan")), r"the scales 1\.0 and nan must be positive"),
        ("text", "holds a str, not the FP8 state of a layer"),
    ],
)
def test_damaged_states_are_one_line(state: Any, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = published(tmp_path, {"blocks.0.projections": state})
    with pytest.raises(InputError, match=rf"x\.pt: blocks\.0\.projections\._extra_state.*{told}") as caught:
        fp8_scales(path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "intruded").exists()


def test_damaged_files_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    with pytest.raises(InputError, match=r"^checkpoint .*x\.pt does not exist$"):
        fp8_scales(path)
    path.write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"^checkpoint .*x\.pt is damaged or not a plain table"):
        fp8_scales(path)
    torch.save([1, 2], path)
    with pytest.raises(InputError, match=r"^checkpoint .*x\.pt holds a list, not a table of weights"):
        fp8_scales(path)
