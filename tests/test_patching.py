"""Patches of installed packages: on a made-up package, and the shipped one's change on a made-up stack of layers."""

from __future__ import annotations

import hashlib
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from workflow import patching
from workflow.errors import InputError
from workflow.patching import Hunk, change_text

OLD = "import os\n\n\ndef answer():\n    return 41\n"
NEW = "import os\n\n\ndef answer():\n    # One more.\n    return 42\n"
DIFF = "@@ -4,2 +4,3 @@\n def answer():\n-    return 41\n+    # One more.\n+    return 42\n"


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def patch_text(old: str = OLD, new: str = NEW, diff: str = DIFF, versions: str = "[1.0, 1.1]") -> str:
    return (
        "package: made-up\nmodule: madeup\nfile: inner/code.py\nwhy: the answer is wrong\nissue: none\nuntil: 2.0\n"
        f"releases:\n  - versions: {versions}\n    before: {sha256(old)}\n    after: {sha256(new)}\n\n"
        f"--- a/madeup/inner/code.py\n+++ b/madeup/inner/code.py\n{diff}"
    ).replace("until: 2.0", "until: '2.0'")


@pytest.fixture
def patches(tmp_path: Path) -> Path:
    folder = tmp_path / "patches"
    folder.mkdir()
    (folder / "right.patch").write_text(patch_text())
    return folder


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Installs a package that cannot be imported, as one that needs a GPU; returns the file to be patched."""

    def make(text: str = OLD, version: str | None = "1.1") -> Path:
        site = tmp_path / "site"
        code = site / "madeup" / "inner" / "code.py"
        code.parent.mkdir(parents=True)
        (site / "madeup" / "__init__.py").write_text("raise ImportError('no GPU')\n")
        code.write_text(text)
        if version is not None:
            information = site / f"made_up-{version}.dist-info"
            information.mkdir()
            (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: made-up\nVersion: {version}\n")
        monkeypatch.syspath_prepend(site)
        return code

    return make


def state(patches: Path) -> str:
    (seen,) = patching.status(patches)
    return seen.state


def test_apply_and_revert(patches: Path, install: Callable[..., Path]) -> None:
    code = install()
    code.chmod(0o640)
    patch = patching.load_patch("right", patches)
    assert state(patches) == "applicable"
    assert not patching.is_applied("right", patches)
    assert patching.apply(patch).state == "applied"
    assert code.read_text() == NEW
    assert patching.is_applied("right", patches)
    assert patching.revert(patch).state == "applicable"
    assert code.read_text() == OLD
    assert stat.S_IMODE(code.stat().st_mode) == 0o640
    assert [path.name for path in code.parent.iterdir()] == ["code.py"]


def test_twice_is_once(patches: Path, install: Callable[..., Path]) -> None:
    code = install()
    patch = patching.load_patch("right", patches)
    assert patching.revert(patch).state == "applicable"
    patching.apply(patch)
    inode = code.stat().st_ino
    assert patching.apply(patch).state == "applied"
    assert code.stat().st_ino == inode


def test_other_links_to_the_file_are_left_alone(tmp_path: Path, patches: Path, install: Callable[..., Path]) -> None:
    cached = tmp_path / "cache.py"
    cached.hardlink_to(install())
    patching.apply(patching.load_patch("right", patches))
    assert cached.read_text() == OLD


def test_compiled_forms_go(patches: Path, install: Callable[..., Path]) -> None:
    code = install()
    compiled = code.parent / "__pycache__"
    compiled.mkdir()
    for name in ("code.cpython-312.pyc", "code.cpython-312.opt-1.pyc", "codec.cpython-312.pyc"):
        (compiled / name).write_bytes(b"")
    patching.apply(patching.load_patch("right", patches))
    assert [path.name for path in compiled.iterdir()] == ["codec.cpython-312.pyc"]


def test_the_hash_counts_not_the_version(patches: Path, install: Callable[..., Path]) -> None:
    install(version="1.1rc3+build7")
    assert state(patches) == "applicable"


def test_a_source_tree_without_metadata(patches: Path, install: Callable[..., Path]) -> None:
    install(version=None)
    assert state(patches) == "applicable"


def test_a_file_that_someone_changed(patches: Path, install: Callable[..., Path]) -> None:
    code = install(text=OLD + "# mine\n")
    (seen,) = patching.status(patches)
    assert seen.state == "unknown"
    patch = patching.load_patch("right", patches)
    for change in (patching.apply, patching.revert):
        with pytest.raises(InputError) as error:
            change(patch)
        assert str(error.value) == (
            f"right: made-up 1.1 is known, but not its {code} (sha256 {sha256(OLD + '# mine' + chr(10))[:12]}…), "
            "left alone: install the package anew"
        )
    assert code.read_text() == OLD + "# mine\n"


def test_a_version_that_the_patch_is_not_for(patches: Path, install: Callable[..., Path]) -> None:
    install(text="other\n", version="3.0")
    (seen,) = patching.status(patches)
    assert seen.state == "wrong version"
    assert seen.text.startswith("made-up 3.0 is not of 1.0 … 1.1, nor its ")


def test_a_version_without_the_file(patches: Path, install: Callable[..., Path]) -> None:
    install(version="3.0").unlink()
    (seen,) = patching.status(patches)
    assert (seen.state, seen.text) == (
        "wrong version",
        "made-up 3.0 has no madeup/inner/code.py: the patch is not for it",
    )


def test_nothing_installed(patches: Path) -> None:
    (seen,) = patching.status(patches)
    assert (seen.state, seen.file) == ("not installed", None)
    with pytest.raises(InputError, match=r"^right: made-up is not installed: nothing to patch$"):
        patching.apply(patching.load_patch("right", patches))


def test_a_patch_that_makes_another_file_than_promised(patches: Path, install: Callable[..., Path]) -> None:
    code = install()
    (patches / "right.patch").write_text(patch_text(new=NEW + "# more\n"))
    with pytest.raises(InputError, match=r"has not the promised sha256; fetch the patch anew$"):
        patching.apply(patching.load_patch("right", patches))
    assert code.read_text() == OLD


def test_a_folder_that_cannot_be_written(
    patches: Path, install: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    code = install()

    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied", str(code.parent / ".code.py.x"))

    monkeypatch.setattr(patching.tempfile, "mkstemp", refuse)
    with pytest.raises(InputError) as error:
        patching.apply(patching.load_patch("right", patches))
    assert str(error.value) == (
        f"{code.parent} cannot be written (Permission denied): run as its owner, or build an image of docker/"
    )


def test_a_failed_rename_leaves_nothing(
    patches: Path, install: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    code = install()

    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(patching.os, "replace", refuse)
    with pytest.raises(InputError, match=r"cannot be replaced \(Read-only file system\): make .* writable$"):
        patching.apply(patching.load_patch("right", patches))
    assert [path.name for path in code.parent.iterdir()] == ["code.py"]
    assert code.read_text() == OLD


# ---------------------------------------------------------------- the applier


@given(
    st.lists(st.sampled_from("abc"), max_size=12),
    st.lists(st.sampled_from("abcx"), min_size=1, max_size=3),
    st.lists(st.sampled_from("xyz"), min_size=1, max_size=3),
    st.booleans(),
)
def test_a_hunk_fits_once_or_is_refused(text: list[str], before: list[str], after: list[str], ends: bool) -> None:
    whole = "\n".join(text) + ("\n" if ends else "")
    lines = whole.split("\n")
    places = [i for i in range(len(lines)) if lines[i : i + len(before)] == before]
    hunk = Hunk(tuple(before), tuple(after))
    if len(places) != 1:
        with pytest.raises(InputError, match=f"hunk 1 fits in {len(places)} places instead of one"):
            change_text(whole, (hunk,), "p")
        return
    changed = change_text(whole, (hunk,), "p").split("\n")
    assert changed == lines[: places[0]] + after + lines[places[0] + len(before) :]


def test_hunks_in_order_and_back() -> None:
    hunks = (Hunk(("a",), ("a", "1")), Hunk(("c", "d"), ("d",)))
    changed = change_text("a\nb\nc\nd\n", hunks, "p")
    assert changed == "a\n1\nb\nd\n"
    assert change_text(changed, (Hunk(("a", "1"), ("a",)), Hunk(("d",), ("c", "d"))), "p") == "a\nb\nc\nd\n"


def test_white_space_counts() -> None:
    with pytest.raises(InputError, match="fits in 0 places"):
        change_text("  a\n", (Hunk((" a",), ("b",)),), "p")


# ---------------------------------------------------------------- damaged patches


HEAD = "madeup/inner/code.py"


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        (f"\n--- a/{HEAD}", "", ": no diff below the header (a line --- a/MODULE/FILE)"),
        ("why: ", "wy: ", ": the header has missing or unknown keys: why, wy"),
        ("why: ", "why: [", ", line 5: the header is not YAML"),
        ("issue: none", "issue: 7", ": issue must be text"),
        ("module: madeup", "module: made.up", ": module must be a top-level module, got made.up"),
        ("file: inner/code.py", "file: ../code.py", ": file must be a path inside the module, got ../code.py"),
        ("  - versions", "    versions", ": releases must be a list of versions, before, after"),
        ("versions: [1.0, 1.1]", "versions: 1.0", ": each of releases has the keys versions (a list), before, after"),
        (sha256(OLD), "12", ": releases: before 12 is not a SHA-256 of 64 hexadecimal digits"),
        (sha256(NEW), sha256(OLD), ": releases: a SHA-256 stands twice"),
        (f"+++ b/{HEAD}", "+++ b/other.py", f", line 12: expected --- a/{HEAD} and +++ b/{HEAD}"),
        ("@@ -4,2 +4,3 @@", "@@ -4,2 +4,4 @@", ", line 14: the counts of @@ and the lines below differ"),
        ("@@ -4,2 +4,3 @@", "@ -4,2 +4,3 @@", ", line 14: expected @@ -LINE,COUNT +LINE,COUNT @@"),
        ("+    # One more.", "\\ No newline", ", line 17: a line must begin with a space, + or -"),
        (DIFF, "", ": the diff has no hunk"),
    ],
)
def test_damaged(patches: Path, right: str, wrong: str, message: str) -> None:
    path = patches / "right.patch"
    text = path.read_text()
    assert right in text
    path.write_text(text.replace(right, wrong))
    with pytest.raises(InputError) as error:
        patching.load_patch("right", patches)
    assert str(error.value) == f"{path}{message}"


def test_no_such_patch(patches: Path) -> None:
    with pytest.raises(InputError, match=r"^no patch wrong; there are: right$"):
        patching.load_patch("wrong", patches)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist: run from a checkout"):
        patching.load_patches(tmp_path / "none")


# ---------------------------------------------------------------- what ships


def test_the_shipped_patches_are_small_and_whole() -> None:
    patches = patching.load_patches()
    assert [patch.name for patch in patches] == ["nemo2-lora-recompute"]
    for patch in patches:
        assert patch.package not in sys.modules
        added = sum(len(hunk.after) - len(hunk.before) for hunk in patch.hunks)
        assert 0 < added <= 5
        assert sum(len(hunk.before) for hunk in patch.hunks) == 1, "as little as can be of a file that is not ours"
        assert "2.7.3" in patch.versions
    readme = (patching.PATCHES / "README.md").read_text()
    assert all(f"`{patch.name}`" in readme for patch in patches)


#: A stack of layers that checkpoints as Megatron does, with the line by which the patch finds its place.
STACK = """
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.frozen = nn.Linear(8, 8).requires_grad_(False)
        self.adapter = nn.Linear(8, 8)

    def forward(self, hidden_states):
        return hidden_states + torch.tanh(self.frozen(hidden_states) + self.adapter(hidden_states))


class Stack(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(16, 8)
        self.layers = nn.ModuleList(Layer() for _ in range(3))
        self.final_norm = nn.LayerNorm(8)

    def _checkpointed_forward(self, hidden_states):
        if self.config.recompute_method == 'uniform':
            for layer in self.layers:
                hidden_states = checkpoint(layer, hidden_states, use_reentrant=True)
        return hidden_states

    def forward(self, tokens, recompute):
        hidden_states = self.embedding(tokens)
        if recompute:
            hidden_states = self._checkpointed_forward(hidden_states)
        else:
            for layer in self.layers:
                hidden_states = layer(hidden_states)
        return self.final_norm(hidden_states)
"""


class Uniform:
    recompute_method = "uniform"


def load_stack(source: str, frozen_embedding: bool = True) -> torch.nn.Module:
    names: dict[str, Any] = {"__name__": "stack"}
    exec(compile(source, "stack.py", "exec"), names)
    torch.manual_seed(0)
    stack: torch.nn.Module = names["Stack"](Uniform)
    stack.get_submodule("embedding").requires_grad_(not frozen_embedding)
    return stack


def gradients(source: str, recompute: bool, frozen_embedding: bool = True) -> dict[str, torch.Tensor | None]:
    """Gradient of each trainable tensor of the stack."""
    stack = load_stack(source, frozen_embedding)
    stack(torch.arange(6), recompute).square().sum().backward()
    return {name: tensor.grad for name, tensor in stack.named_parameters() if tensor.requires_grad}


@pytest.fixture(scope="module")
def mended() -> str:
    return change_text(STACK, patching.load_patch("nemo2-lora-recompute").hunks, "nemo2-lora-recompute")


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
def test_the_fault_only_the_last_norm_moves() -> None:
    moved = {name for name, gradient in gradients(STACK, recompute=True).items() if gradient is not None}
    assert moved == {"final_norm.weight", "final_norm.bias"}


@pytest.mark.parametrize("frozen_embedding", [True, False])
def test_mended_checkpointing_gives_the_gradients_of_none(mended: str, frozen_embedding: bool) -> None:
    expected = gradients(STACK, recompute=False, frozen_embedding=frozen_embedding)
    got = gradients(mended, recompute=True, frozen_embedding=frozen_embedding)
    assert len(got) == (8 if frozen_embedding else 9)
    for name, gradient in expected.items():
        assert gradient is not None
        torch.testing.assert_close(got[name], gradient)


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
def test_mended_without_gradients(mended: str) -> None:
    with torch.no_grad():
        assert not load_stack(mended)(torch.arange(6), True).requires_grad
