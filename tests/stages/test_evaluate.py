from __future__ import annotations

import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from workflow.config import BackendConfig, Config, EvaluationConfig, GenomeConfig, ModelConfig
from workflow.stages.context import StageContext
from workflow.stages.evaluate import evaluate

_BUILDER = Path(__file__).parents[1] / "evaluation" / "conftest.py"


def test_stage_passes_its_settings_on(tmp_path: Path) -> None:
    spec = spec_from_file_location("synthetic_run", _BUILDER)
    assert spec is not None
    assert spec.loader is not None
    builder = module_from_spec(spec)
    spec.loader.exec_module(builder)
    run = builder.build_run(tmp_path / "run", builder.noisy(1.25, 1), builder.noisy(1.2, 2), generated=False)
    out = tmp_path / "out"
    out.mkdir()
    config = Config(
        genome=GenomeConfig(name="toy", fasta="genome.fa"),
        model=ModelConfig(name="tiny", architecture="tiny", context_length=1024),
        backend=BackendConfig(name="local"),
        evaluation=EvaluationConfig(bootstrap_samples=200, confidence=0.9, markov_max_order=3),
        seed=5,
    )
    counts = evaluate(StageContext(config=config, out=out, run=run))
    assert counts["windows"] == 24
    assert str(counts["verdict"]).startswith("The adapted model explains")
    assert (out / "report.html").exists()
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["intervals"] == {"confidence": 0.9, "samples": 200, "seed": 5}
    assert metrics["markov"]["order"] <= 3
