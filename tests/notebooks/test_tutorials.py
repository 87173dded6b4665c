"""The tutorials executed on small runs of the genomes that ship."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pandas as pd
from hydra import compose, initialize_config_dir

from evaluation import notebooks
from workflow.command import resolve
from workflow.pipeline import Run

ROOT = Path(__file__).parent.parent.parent
DEMO = ROOT / "data" / "demo"
PHAGE = (
    "stage=[prepare,preprocess,convert,train,predict]",
    "genome=phix174",
    "train=full",
    "train.steps=2",
    "train.validate_every=2",
    "train.batch_size=2",
    "train.validation_samples=2",
    "windows.length=128",
    "predict.forgetting=null",
    "split.block_length=256",
    "split.fractions.train=0.5",
    "split.fractions.val=0.15",
    "split.fractions.test=0.35",
)
#: The gates that refuse a context that is too short.
OVERRIDDEN = ("gates.context_length=warn", "gates.first_validation_loss=warn")


def execute(folder: Path, name: str, *settings: str) -> Path:
    """Run stages; what several runs have in common is made once."""
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        config = resolve(compose("config", [*settings, f"runs_folder={folder}", f"run_name={name}"]))
    Run(config, shared=folder / "shared").execute()
    return folder / name


def shown(run: Path, number: str) -> str:
    """Everything that a tutorial shows; it neither warns nor tells a place of this machine."""
    assert notebooks.main([str(run), "--only", number]) == 0
    (path,) = (run / "notebooks").glob(f"{number}_*.ipynb")
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type in ("stream", "error")]
    assert str(run) not in path.read_text()
    return "\n".join(str(output.data) for output in outputs)


def test_variants_and_exons_against_introns(tmp_path: Path) -> None:
    table = pd.read_csv(DEMO / "tutorial_variants.csv")
    small = pd.concat([part.iloc[::20] for _, part in table.groupby("consequence")]).sort_values("position")
    small.to_csv(tmp_path / "variants.csv", index=False)
    run = execute(
        tmp_path / "runs",
        "small",
        "stage=[prepare,convert,variants]",
        "train=none",
        f"variants.table={tmp_path / 'variants.csv'}",
        "variants.label_column=consequence",
        "variants.positive=[missense,nonsense]",
        "variants.negative=[synonymous]",
        "variants.consequence_column=codon_position",
        "variants.window=128",
        "variants.layer=3",
    )
    effects = shown(run, "06")
    for told in ("distance at the variant, cosine", "k-mer regression", "codon position alone", "missense"):
        assert told in effects
    groups = shown(run, "07")
    for told in ("Mann–Whitney, GC-matched", "paired test (wrong)", "distance of the means, L2", "image/png"):
        assert told in groups


def test_continued_pretraining(tmp_path: Path) -> None:
    run = execute(tmp_path, "phix174-good", *PHAGE, "train.context_length=128")
    execute(tmp_path, "phix174-short", *PHAGE, "train.context_length=8", *OVERRIDDEN)
    execute(tmp_path, "phix174-fast", *PHAGE, "train.context_length=128", "train.learning_rate=0.03")
    told = shown(run, "08")
    for name in ("phix174-good", "phix174-short", "phix174-fast", "Markov model of order", "uniform guess"):
        assert name in told
    assert told.count("data:image/png") == 2


def test_generation_settings(tmp_path: Path) -> None:
    small = ("stage=[prepare,convert,infer]", "train=none", "infer.n_prompts=3", "infer.samples=2", "infer.length=60")
    run = execute(tmp_path, "plastid-one", *small)
    execute(tmp_path, "plastid-cold", *small, "infer.temperature=0.5")
    told = shown(run, "09")
    for name in ("base, colder", "real, twice as long", "longest open frame"):
        assert name in told
    assert told.count("data:image/png") == 1


def test_classification(tmp_path: Path) -> None:
    files = {}
    for split, step in (("train", 8), ("dev", 6), ("test", 4)):
        files[split] = tmp_path / f"{split}.csv"
        pd.read_csv(DEMO / f"tutorial_{split}.csv").iloc[::step].to_csv(files[split], index=False)
    run = execute(
        tmp_path / "runs",
        "plastid-coding",
        "stage=[convert,classify]",
        "train=none",
        "classify.split=given",
        f"classify.table={files['train']}",
        f"classify.validation_table={files['dev']}",
        f"classify.test_table={files['test']}",
        "classify.epochs=1",
        "classify.methods=[kmer,head]",
    )
    told = shown(run, "10")
    assert "Verdict" in told and "MCC" in told
    assert told.count("data:image/png") >= 3
