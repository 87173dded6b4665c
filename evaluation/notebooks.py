"""The notebooks executed on a run: `python -m evaluation.notebooks runs/NAME`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from workflow.artifacts import InputError, write_text

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
#: The last one that any run can be shown with; those after it are tutorials, which need stages of their own.
_LAST_OF_ANY_RUN = "05"
_KERNEL = "python3"
#: JupyterLab's page without the scripts that it would fetch; whatever the outputs hold, a browser fetches nothing.
_OFFLINE = """
{%- extends "lab/index.html.j2" -%}
{%- block html_head_js -%}
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; font-src data:; style-src 'unsafe-inline'">
{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
"""


def execute(notebook: Path, run: Path, out: Path, as_html: bool) -> list[Path]:
    """Execute a notebook on a run, with `out` as its working folder, and write it there with its outputs.

    Parameters
    ----------
    notebook : Path
        An `.ipynb` file with a cell tagged `parameters`, in which `run` is the run folder.
    run, out : Path
        Existing folders.
    as_html : bool
        Whether a copy is written that any web browser shows without the internet.

    Returns
    -------
    list of Path
        The files written, apart from those that the notebook's own cells write.

    Raises
    ------
    InputError
        What notebooks need is not installed, or a cell failed; nothing is written then.
    """
    try:
        import nbformat
        import papermill
        from jupyter_client.kernelspec import NoSuchKernel
        from nbconvert import HTMLExporter
        from papermill.exceptions import PapermillExecutionError
        from traitlets.config import Config
    except ImportError as error:
        raise _not_installed(str(error.name)) from None
    source = nbformat.read(notebook, as_version=4)  # type: ignore[no-untyped-call]
    # Relative, so that what is executed still finds its run when both have moved.
    run_from_out = os.path.relpath(run.resolve(), out.resolve())
    try:
        executed = papermill.execute_notebook(
            source,
            None,
            {"run": run_from_out},
            kernel_name=_KERNEL,
            progress_bar=False,
            cwd=out,
            # Others on a shared computer must not read along; and what the kernel has to say is told below.
            config=Config(KernelManager={"transport_encryption": "auto"}),
            extra_arguments=["--IPKernelApp.log_level=50"],
        )
    except PapermillExecutionError as error:
        sources = [cell.source for cell in source.cells if cell.cell_type == "code"]
        # As the user knows the run folder.
        message = error.evalue.replace(f"{run_from_out}/", f"{run}/")
        raise _failed(notebook, 1 + sources.index(error.source), error.ename, message) from None
    except RuntimeError as error:
        told = str(error).splitlines()[0]
        raise InputError(f"{notebook.name}: its kernel failed ({told}), most often for want of memory") from None
    except NoSuchKernel:
        raise _not_installed(f"the Jupyter kernel {_KERNEL}") from None
    written = {out / notebook.name: nbformat.writes(executed) + "\n"}  # type: ignore[no-untyped-call]
    if as_html:
        exporter = HTMLExporter(raw_template=_OFFLINE)  # type: ignore[no-untyped-call]
        page, _ = exporter.from_notebook_node(executed, {"metadata": {"name": notebook.stem}})
        written[(out / notebook.name).with_suffix(".html")] = page
    for path, text in written.items():
        write_text(path, text)
    return list(written)


def _not_installed(what: str) -> InputError:
    return InputError(f"{what} is not installed: pip install 'evo2-adaptation[notebooks]'")


def _failed(notebook: Path, cell: int, kind: str, message: str) -> InputError:
    """The error of a cell, counted from 1 among those with code, in one line."""
    told = " ".join(message.split())
    return InputError(f"{notebook.name}, code cell {cell}: {told if kind == 'InputError' else f'{kind}: {told}'}")


def chosen(numbers: list[str] | None) -> list[Path]:
    """The notebooks whose names begin with one of `numbers`, such as `03`; by default those for any run, 01 to 05.

    Raises
    ------
    InputError
        There is none of a number.
    """
    notebooks = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    if not notebooks:
        raise InputError(f"{NOTEBOOKS} holds no notebooks: install the project from its checkout (pip install -e .)")
    for number in numbers or []:
        if number not in [notebook.name[:2] for notebook in notebooks]:
            raise InputError(f"there is no notebook {number}: {', '.join(notebook.stem for notebook in notebooks)}")
    if numbers is None:
        return [notebook for notebook in notebooks if notebook.name[:2] <= _LAST_OF_ANY_RUN]
    return [notebook for notebook in notebooks if notebook.name[:2] in numbers]


def main(arguments: list[str] | None = None) -> int:
    """Execute the notebooks on a run; one that fails does not keep the others from being written."""
    parser = argparse.ArgumentParser(prog="python -m evaluation.notebooks", description=main.__doc__)
    parser.add_argument("run", type=Path, metavar="RUN", help="run folder, runs/NAME")
    parser.add_argument("--only", nargs="+", metavar="NUMBER", help="numbers, such as 03; by default 01 to 05")
    parser.add_argument("--out", type=Path, help="folder for what is executed; by default RUN/notebooks")
    parser.add_argument("--html", action="store_true", help="also write copies for a web browser")
    given = parser.parse_args(arguments)
    out = given.out or given.run / "notebooks"
    failed = False
    try:
        notebooks = chosen(given.only)
        if not given.run.is_dir():
            raise InputError(f"{given.run} is no folder: give that of a run, runs/NAME")
        _require_apart(out)
        out.mkdir(parents=True, exist_ok=True)
    except InputError as error:
        return _tell(error)
    for notebook in notebooks:
        try:
            sys.stdout.writelines(f"{path}\n" for path in execute(notebook, given.run, out, given.html))
        except InputError as error:
            failed = bool(_tell(error))
    return 2 * failed


def _require_apart(out: Path) -> None:
    """The sources stay without outputs."""
    if out.resolve() == NOTEBOOKS.resolve():
        raise InputError(f"{out} holds the notebooks themselves: name another folder with --out")


def _tell(error: InputError) -> int:
    """Write an error. Returns the exit code."""
    sys.stderr.write(f"error: {error}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
