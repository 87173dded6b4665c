"""The notebooks as they are kept: two files each that say the same, without outputs and without logic."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import jupytext
import nbformat
import pytest
from jupytext.compare import compare_notebooks

from evaluation.notebooks import NOTEBOOKS

NAMES = [
    "01_data_and_splits",
    "02_training",
    "03_predictions",
    "04_generation",
    "05_your_own_analysis",
    "06_variant_effects",
    "07_exon_intron",
    "08_continued_pretraining",
    "09_generation_settings",
    "10_classification",
]
LOGIC = (ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.For, ast.While, ast.Try, ast.ListComp, ast.DictComp)
each = pytest.mark.parametrize("name", NAMES)


def script(name: str) -> Path:
    return NOTEBOOKS / f"{name}.py"


def notebook(name: str) -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)


def code(name: str) -> list[str]:
    return [cell.source for cell in notebook(name).cells if cell.cell_type == "code"]


def test_every_notebook_has_both_files() -> None:
    for suffix in (".py", ".ipynb"):
        assert sorted(path.stem for path in NOTEBOOKS.glob(f"*{suffix}")) == NAMES


@each
def test_both_files_say_the_same(name: str) -> None:
    # `jupytext --sync notebooks/*.py` after a change of either.
    compare_notebooks(notebook(name), jupytext.read(script(name)), fmt="py:percent")


@each
def test_the_notebook_is_valid_and_bare(name: str) -> None:
    kept = notebook(name)
    nbformat.validate(kept)
    assert kept.metadata.kernelspec.name == "python3"
    assert kept.metadata.jupytext.formats == "ipynb,py:percent"
    for cell in kept.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
            assert cell.source.strip()


@each
def test_it_begins_with_what_it_answers_and_its_parameters(name: str) -> None:
    title, parameters, *_ = notebook(name).cells
    assert title.cell_type == "markdown"
    assert title.source.startswith(f"# {name[:2]} ")
    assert f"python -m evaluation.notebooks runs/NAME --only {name[:2]}" in title.source.replace("\n", " ")
    assert "?" in title.source or name.startswith("05")
    assert parameters.metadata.tags == ["parameters"]
    assert re.match(r'run = "\.\./runs/[\w-]+"$', parameters.source.splitlines()[0])


@each
def test_it_names_no_place_of_a_machine(name: str) -> None:
    for path in (script(name), script(name).with_suffix(".ipynb")):
        assert not re.search(r"""["'`(\s](/[a-z]+/|~/|[A-Z]:\\)""", path.read_text())


@each
def test_it_calls_the_package_and_holds_no_logic(name: str) -> None:
    cells = [ast.parse(source) for source in code(name)]
    assert not [node for cell in cells for node in ast.walk(cell) if isinstance(node, LOGIC)]
    imported = {
        node.module.split(".")[0]
        for cell in cells
        for node in ast.walk(cell)
        if isinstance(node, ast.ImportFrom) and node.module
    }
    assert "evaluation" in imported
    modules = [n.module for c in cells for n in ast.walk(c) if isinstance(n, ast.ImportFrom) and n.module]
    assert {m for m in modules if m.startswith("workflow")} <= {"workflow.artifacts"}


@each
def test_every_cell_that_shows_something_is_introduced(name: str) -> None:
    # A heading and a sentence on how to read what follows, before at most four cells with code.
    kinds = "".join("m" if cell.cell_type == "markdown" else "c" for cell in notebook(name).cells)
    assert "ccccc" not in kinds
    assert kinds.count("m") >= kinds.count("c") / 2
