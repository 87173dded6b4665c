import subprocess
import sys
from pathlib import Path

import pytest

from workflow.command import split_options

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (
            ["stage=all", "--config-dir", "mine", "launcher=ours"],
            ["--config-dir", "mine", "stage=all", "launcher=ours"],
        ),
        (["a=1", "--config-dir=mine", "b=2"], ["--config-dir=mine", "a=1", "b=2"]),
        (["a=1", "-cd", "a=b", "b=2"], ["-cd", "a=b", "a=1", "b=2"]),
        (["genome=phix174", "--cfg", "job", "seed=1"], ["--cfg", "job", "genome=phix174", "seed=1"]),
        (["seed=1", "--help"], ["--help", "seed=1"]),
        (
            ["--resolve", "+model.tool_sizes.nemo2=test", "~train"],
            ["--resolve", "+model.tool_sizes.nemo2=test", "~train"],
        ),
        ([], []),
    ],
)
def test_options_may_stand_anywhere(typed: list[str], expected: list[str]) -> None:
    options, settings = split_options(typed)
    assert options + settings == expected


def test_a_folder_of_settings_in_the_middle_of_a_command(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "mine.yaml").write_text("method: lora\nsteps: 7\nlearning_rate: 1.0e-3\n")
    argv = ["genome=phix174", "--config-dir", str(tmp_path), "train=mine", "--cfg", "job", "seed=3"]
    done = subprocess.run(
        [sys.executable, "-m", "workflow.run", *argv], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "steps: 7" in done.stdout and "seed: 3" in done.stdout


def test_a_reader_that_has_read_enough(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "workflow.run", "genome=phix174", "split.method=block", "dry_run=true"]
    with subprocess.Popen(
        [*argv, f"runs_folder={tmp_path}"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
