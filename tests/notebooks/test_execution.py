"""The notebooks of any run executed, all five, on the artefacts of a small run of the demo genome."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir

from evaluation import notebooks
from evaluation.findings import Settings, collect
from workflow.artifacts import publish, write_json
from workflow.command import resolve
from workflow.pipeline import Run

ROOT = Path(__file__).parent.parent.parent
SMALL = (
    "stage=[prepare,preprocess,convert,train,predict,infer]",
    "train.steps=2",
    "train.validate_every=2",
    "train.batch_size=2",
    "train.context_length=256",
    "train.validation_samples=2",
    "infer.n_prompts=2",
    "infer.samples=2",
    "infer.prompt_length=32",
    "infer.length=40",
    f"predict.forgetting={ROOT / 'tests' / 'data' / 'other_organisms.fa'}",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's run with little training, and the tracks of its report without the page."""
    runs = tmp_path_factory.mktemp("runs")
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        config = resolve(compose("config", [*SMALL, f"runs_folder={runs}", "run_name=small"]))
    Run(config).execute()
    with publish(runs / "small" / "evaluate") as folder:
        collect(runs / "small", folder, Settings(bootstrap_samples=50, markov_max_order=2))
        write_json(folder / "manifest.json", {"stage": "evaluate"})
    return runs / "small"


@pytest.fixture
def only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is taken for that of the notebooks."""
    folder = tmp_path / "own notebooks"
    folder.mkdir()
    monkeypatch.setattr(notebooks, "NOTEBOOKS", folder)
    return folder


def write_notebook(path: Path, *sources: str) -> None:
    cells = [nbformat.v4.new_code_cell("run = None", metadata={"tags": ["parameters"]})]
    cells += [nbformat.v4.new_code_cell(source) for source in sources]
    language = {"language_info": {"name": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=language), path)


def outputs(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def test_all_of_them_run_on_a_real_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in notebooks.NOTEBOOKS.iterdir() if path.is_file()}
    assert notebooks.main([str(run), "--html"]) == 0
    printed = capsys.readouterr()
    names = sorted(path.stem for path in notebooks.NOTEBOOKS.glob("0[1-5]*.ipynb"))
    assert len(names) == 5
    assert printed.out.split() == [str(run / "notebooks" / f"{n}{s}") for n in names for s in (".ipynb", ".html")]
    shown = {}
    for name in names:
        executed = nbformat.read(run / "notebooks" / f"{name}.ipynb", as_version=4)
        found = outputs(executed)
        # Neither a warning nor the path of this machine.
        assert not [output for output in found if output.output_type in ("stream", "error")], name
        assert str(run) not in nbformat.writes(executed)
        shown[name[:2]] = "\n".join(str(output.data) for output in found)
    pictures = {number: page.count("data:image/png") for number, page in shown.items()}
    assert all(count >= least for count, least in zip(pictures.values(), (2, 1, 14, 5, 3), strict=True)), pictures
    assert "154,478" in shown["01"]
    assert "trainable_parameters" in shown["02"]
    assert "The adapted model" in shown["03"]
    assert "Drosophila" in shown["03"]
    assert "uniform guess" in shown["03"]
    assert "genome, random" in shown["04"]
    assert "gain.bw" in shown["05"]
    written = pd.read_csv(run / "notebooks" / "genes_scored.csv")
    assert written["bases"].max() > 100
    assert written.loc[written["bases"] > 0, "nll_markov"].between(0.5, 2).all()
    assert before == {path: path.read_bytes() for path in notebooks.NOTEBOOKS.iterdir() if path.is_file()}
    for name in names:
        page = (run / "notebooks" / f"{name}.html").read_text()
        assert f"<title>{name}</title>" in page
        assert "<script" not in page
        assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//|url\(["']?http|@import""", page)
        assert page.count('src="data:image/png') == pictures[name[:2]]


def test_a_stage_that_is_missing_is_named_and_the_others_are_written(
    tmp_path: Path, only: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = "from pathlib import Path\nfrom evaluation.artefacts.records import stage_record"
    write_notebook(only / "01_one.ipynb", source, "stage_record(Path(run) / 'train')")
    write_notebook(only / "02_two.ipynb", "open('table.csv', 'w').close()")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert notebooks.main([str(empty), "--out", str(tmp_path / "new" / "out")]) == 2
    printed = capsys.readouterr()
    assert printed.err == (
        f"error: 01_one.ipynb, code cell 3: {empty}/train holds no finished stage (no manifest.json): "
        "run stage=train first\n"
    )
    assert sorted(path.name for path in (tmp_path / "new" / "out").iterdir()) == ["02_two.ipynb", "table.csv"]


def test_other_faults_of_a_cell_tell_their_kind_in_one_line(
    tmp_path: Path, only: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_notebook(only / "01_one.ipynb", "raise ValueError('first\\nsecond')")
    write_notebook(only / "02_two.ipynb", "import os\nos._exit(9)")
    assert notebooks.main([str(tmp_path)]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first == "error: 01_one.ipynb, code cell 2: ValueError: first second"
    assert second == "error: 02_two.ipynb: its kernel failed (Kernel died), most often for want of memory"
    assert list((tmp_path / "notebooks").iterdir()) == []


def test_faults_of_the_command(
    tmp_path: Path, only: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def error(*arguments: str) -> str:
        assert notebooks.main(list(arguments)) == 2
        message = capsys.readouterr().err
        assert message.startswith("error: ")
        assert message.count("\n") == 1
        return message

    assert "holds no notebooks: install the project from its checkout" in error(str(tmp_path))
    write_notebook(only / "01_one.ipynb")
    assert "there is no notebook 7: 01_one" in error(str(tmp_path), "--only", "7")
    assert "missing is no folder: give that of a run" in error(str(tmp_path / "missing"))
    assert "name another folder with --out" in error(str(tmp_path), "--out", str(only))
    monkeypatch.setattr(notebooks, "_KERNEL", "no-such-kernel")
    assert "kernel no-such-kernel is not installed: pip install" in error(str(tmp_path))
    monkeypatch.setitem(sys.modules, "papermill", None)
    assert "papermill is not installed: pip install 'evo2-adaptation[notebooks]'" in error(str(tmp_path))
