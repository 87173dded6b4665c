from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed import checkpoint as dcp

from tests.checkpoints.conftest import (
    CHECKPOINTS,
    CONFIG,
    MBRIDGE,
    MBRIDGE_FULL,
    NEMO2,
    NEMO2_FULL,
    SAVANNA,
    SEQUENCES,
    VORTEX,
    Answers,
    answers,
    logits,
    mean_logprob,
)
from workflow.checkpoints import load_model, read_weights
from workflow.checkpoints.formats import open_checkpoint
from workflow.checkpoints.names import Dialect, correspondences
from workflow.errors import InputError
from workflow.striped_hyena import PRESETS, StripedHyena2

#: The tools compute in bfloat16, the engine here in float32; the logits' standard deviation is 0.4.
BFLOAT16_ROUNDING = 0.02
#: The tools' filters pass through bfloat16 in NeMo2 only, and vortex stores products of rounded exponentials.
FORMAT_ROUNDING = 2e-6
FORMATS = {"savanna": SAVANNA, "vortex": VORTEX, "nemo2": NEMO2, "mbridge": MBRIDGE}


def loaded(name: str) -> StripedHyena2:
    return load_model(FORMATS[name], CONFIG)


@pytest.mark.parametrize("version", ["nemo2-2.7.1", "mbridge-2026.05"])
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_logits_of_both_tools(name: str, version: str) -> None:
    model, predicted = loaded(name), answers(version, "predict_epoch_logits")
    for sequence, bases in SEQUENCES.items():
        # The begin token, then every base: the logits behind the last predict what would follow.
        theirs = predicted.of(sequence, "token_logits")[: len(bases) + 1]
        torch.testing.assert_close(logits(model, bases, begin=True), theirs, atol=BFLOAT16_ROUNDING, rtol=0)


def test_all_formats_give_the_same_logits() -> None:
    bases = SEQUENCES["alpha"]
    savanna = logits(loaded("savanna"), bases, begin=True)
    assert torch.equal(logits(loaded("mbridge"), bases, begin=True), savanna)
    for name in ("vortex", "nemo2"):
        torch.testing.assert_close(logits(loaded(name), bases, begin=True), savanna, atol=FORMAT_ROUNDING, rtol=0)


@pytest.mark.parametrize(
    ("name", "rounded"),
    [
        ("mbridge", ()),
        # Its frequencies are 1 / base^x, ours base^-x.
        ("vortex", ("inv_freq",)),
        # The parameters of its filters went through bfloat16.
        ("nemo2", ("blocks.1.filter.h", "log_poles", "residues")),
    ],
)
def test_weights_are_equal_bit_by_bit(name: str, rounded: tuple[str, ...]) -> None:
    savanna = loaded("savanna").state_dict()
    for key, tensor in loaded(name).state_dict().items():
        if key.endswith(rounded):
            torch.testing.assert_close(tensor, savanna[key], rtol=0.02, atol=1e-3)
        else:
            assert tensor.dtype == savanna[key].dtype and torch.equal(tensor, savanna[key]), (name, key)


def test_full_training_gives_the_predictions_of_the_tool() -> None:
    model, predicted = load_model(MBRIDGE_FULL), Answers(CHECKPOINTS / "predictions" / "mbridge_full_mean.pt")
    before = loaded("mbridge")
    for sequence, bases in SEQUENCES.items():
        theirs = float(predicted.of(sequence, "log_probs_seqs"))
        assert mean_logprob(model, bases) == pytest.approx(theirs, abs=5e-3)
        assert abs(mean_logprob(before, bases) - theirs) > 1


def test_tensors_are_read_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = read_weights(NEMO2)
    asked: list[str] = []
    store = type(weights.tensors._table._opened.store)  # type: ignore[attr-defined]
    plain = store.read
    monkeypatch.setattr(store, "read", lambda self, name: asked.append(name) or plain(self, name))
    weights.tensors["blocks.0.mlp.l1.weight"]
    weights.tensors["blocks.0.mlp.l2.weight"]
    assert asked == ["module.decoder.layers.0.mlp.linear_fc1.weight"]


def test_the_architecture_comes_from_the_folder_and_is_checked_against_the_asked_one() -> None:
    assert read_weights(NEMO2).config == read_weights(MBRIDGE).config == CONFIG
    for changes, told in (
        ({"heads": 8}, "heads 4 instead of 8"),
        ({"rope_scale": 128.0}, "rope_scale 1.0 instead of 128.0; folders of 1M models that were converted before"),
        ({"mlp_width": 80, "rope_base": 1e6}, "mlp_width 96 instead of 80, rope_base 10000.0 instead of 1000000.0"),
    ):
        with pytest.raises(InputError, match=f"another architecture than asked for: {told}"):
            read_weights(NEMO2, replace(CONFIG, **changes))


@pytest.mark.parametrize("path", [SAVANNA, VORTEX])
def test_a_file_that_does_not_say_its_architecture_needs_it_said(path: Path) -> None:
    with pytest.raises(InputError, match=r"its shapes fit no published model: name it with model\.architecture"):
        read_weights(path)


@pytest.mark.parametrize(
    ("path", "changes", "message"),
    [
        (SAVANNA, {"mlp_width": 80}, r"of another shape: blocks\.0\.mlp\.l1\.weight \(96, 64\) instead of \(80, 64\)"),
        (SAVANNA, {"pattern": "SDH*S"}, r"missing: module\.sequential\.6\."),
        (VORTEX, {"pattern": "SDD*"}, r"missing: blocks\.2\.filter\.h; unknown: blocks\.2\.filter\.log_poles"),
        (VORTEX, {"rope_base": 1e6}, "is not that of rope_base 1e\\+06 and 4 heads"),
        (VORTEX, {"heads": 8}, "is not that of rope_base 10000 and 8 heads"),
    ],
)
def test_the_wrong_architecture_is_refused(path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_model(path, replace(CONFIG, **changes))
    assert "\n" not in str(caught.value)


def test_a_preset_is_found_by_its_shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESETS, "twin", CONFIG)
    assert read_weights(SAVANNA).config == read_weights(VORTEX).config == CONFIG
    monkeypatch.setitem(PRESETS, "longer", replace(CONFIG, rope_scale=32))
    with pytest.raises(InputError, match="its shapes fit twin and longer: name it"):
        read_weights(SAVANNA)


def changed_archive(path: Path, out: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    content = torch.load(path, weights_only=True)
    change(content.get("module", content))
    torch.save(content, out)
    return out


@pytest.mark.parametrize(
    ("path", "change", "message"),
    [
        (
            SAVANNA,
            lambda t: t.pop("module.sequential.3.mixer.mixer.filter.decay"),
            "missing: .*3.mixer.mixer.filter.decay",
        ),
        (SAVANNA, lambda t: t.update({"module.sequential.3.bias": torch.ones(1)}), "unknown: module.sequential.3.bias"),
        (
            SAVANNA,
            lambda t: t.update({"module.sequential.8.word_embeddings.weight": torch.ones(512, 64)}),
            "sequential.8.word_embeddings.weight differs from embedding_layer.weight",
        ),
        (SAVANNA, lambda t: t.update({"module.sequential.4.mixer.mixer.filter.p": torch.ones(7)}), "cannot be"),
        (VORTEX, lambda t: t.update({"unembed.weight": torch.ones(512, 64)}), "unembed.weight differs"),
    ],
)
def test_damaged_tables_are_told_in_one_line(
    tmp_path: Path, path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_model(changed_archive(path, tmp_path / "x.pt", change), CONFIG)
    assert "\n" not in str(caught.value)


def test_what_real_savanna_files_carry_beside_the_weights(tmp_path: Path) -> None:
    def add(table: dict[str, Any]) -> None:
        table["module.sequential.8.word_embeddings.weight"] = table["module.sequential.0.word_embeddings.weight"]
        table["module.sequential.5.mixer.rotary_emb.inv_freq"] = torch.ones(8)
        table["module.sequential.2.mixer.dense_projection._extra_state"] = torch.ones(1)
        # The 20b model has its final norm one place before the others'.
        table["module.sequential.6.norm.weight"] = table.pop("module.sequential.7.norm.weight")
        # Longer than what is used: the filter is cut.
        for part in ("h", "decay"):
            key = f"module.sequential.3.mixer.mixer.filter.{part}"
            table[key] = torch.cat([table[key], torch.ones(8, 72)], dim=1)
        table["module.sequential.4.mixer.mixer.filter.R"] = table["module.sequential.4.mixer.mixer.filter.R"].flatten()

    model = load_model(changed_archive(SAVANNA, tmp_path / "x.pt", add), CONFIG)
    for name, tensor in loaded("savanna").state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name


def edited(tmp_path: Path, old: str, new: str) -> Path:
    folder = shutil.copytree(NEMO2, tmp_path / "copy")
    file = folder / "context" / "model.yaml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    return folder


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("normalization: RMSNorm", "normalization: LayerNorm", "normalization=LayerNorm is not what Evo 2 models have"),
        ("  hidden_size: 64\n", "", "does not say hidden_size"),
        ("num_groups_hyena_short: 8", "num_groups_hyena_short: 4", "filter groups of short and medium layers differ"),
        ("  num_layers: 4\n", "  num_layers: 5\n", r"5 layers, but the pattern SDH\* has 4"),
        ("hybrid_override_pattern: SDH*", "hybrid_override_pattern: SDM*", "may hold the letters S, D, H and"),
        ("\nconfig:\n", "\nsettings:\n", "has no section with the sizes"),
        ("\nconfig:\n", "\nconfig: {\n", "cannot be read: "),
    ],
)
def test_configurations_of_other_models_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_model(edited(tmp_path, old, new))
    assert "model.yaml" in str(caught.value) and "\n" not in str(caught.value)


def test_yaml_may_name_python_objects_and_none_is_made(tmp_path: Path) -> None:
    touch = f"!!python/object/apply:pathlib.Path.touch [{tmp_path / 'run'}]"
    harm = f"\nharm: {touch}\nsizes: !!python/tuple [1, 2]\nconfig:\n"
    assert load_model(edited(tmp_path, "\nconfig:\n", harm)).config == CONFIG
    assert not (tmp_path / "run").exists()


def test_a_position_scale_is_read(tmp_path: Path) -> None:
    folder = edited(tmp_path, "seq_len_interpolation_factor: null", "seq_len_interpolation_factor: 128")
    assert load_model(folder, replace(CONFIG, rope_scale=128.0)).config.rope_scale == 128


def test_a_missing_shard_is_named() -> None:
    with pytest.raises(InputError, match=r"is incomplete: __0_\d\.distcp is missing"):
        load_model(NEMO2_FULL)


def test_the_names_of_the_norms_without_transformer_engine(tmp_path: Path) -> None:
    """A folder written without Transformer Engine, by torch, from the same tensors."""
    opened = open_checkpoint(MBRIDGE)
    state = {
        plain: opened.store.read(name)
        for entry in correspondences("SDH*")
        for name, plain in zip(entry.megatron, entry.names(Dialect.MEGATRON_PLAIN), strict=True)
    }
    folder = shutil.copytree(
        MBRIDGE / "iter_0000001", tmp_path / "iter_0000001", ignore=shutil.ignore_patterns("*.distcp", ".metadata")
    )
    with pytest.warns(UserWarning, match="torch.distributed is disabled"):
        dcp.save(state, checkpoint_id=folder, no_dist=True)
    model = load_model(folder)
    for name, tensor in loaded("mbridge").state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name


def test_a_model_of_mbridge_from_random_weights_knows_fewer_tokens(tmp_path: Path) -> None:
    opened = open_checkpoint(MBRIDGE)
    state = {name: opened.store.read(name) for name in opened.store.infos}
    embedding = "embedding.word_embeddings.weight"
    state[embedding] = state[embedding][:256].clone()
    folder = shutil.copytree(
        MBRIDGE / "iter_0000001", tmp_path / "iter_0000001", ignore=shutil.ignore_patterns("*.distcp", ".metadata")
    )
    with pytest.warns(UserWarning, match=r"torch\.distributed is disabled"):
        dcp.save(state, checkpoint_id=folder, no_dist=True)
    assert load_model(folder).config == replace(CONFIG, vocabulary=256)
    with pytest.raises(InputError, match="vocabulary 256 instead of 512"):
        load_model(folder, CONFIG)
