"""Speed and memory of the local engine: forward and backward, tokens per second and peak memory.

python benchmarks/engine.py [--widths 128 1920] [--lengths 1024 8192] [--device cpu]

Each case runs in a process of its own, so that its peak memory is its own. Where the package `vtx` can be
imported, which needs CUDA and flash-attn, the same case runs on it and the ratio is printed.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import torch
import torch.nn.functional as F

from workflow.striped_hyena import ModelConfig, StripedHyena2

#: One layer of each kind.
PATTERN = "SDH*"


def config(width: int) -> ModelConfig:
    return ModelConfig(PATTERN, width=width, heads=width // 64, mlp_width=width * 8 // 3 // 16 * 16, filter_groups=16)


def steps_per_case(width: int, length: int) -> int:
    return 10 if width * length < 1e6 else 2


def measure(width: int, length: int, device: str, engine: str, checkpointing: bool) -> dict[str, float]:
    """Tokens per second of forward and backward after one step to warm up, and peak memory in GiB."""
    torch.manual_seed(0)
    if engine == "ours":
        model = StripedHyena2(config(width), activation_checkpointing=checkpointing)
        run = lambda ids: model(ids).logits  # noqa: E731
    else:
        model, run = vortex(width)
    model.to(device)
    ids = torch.tensor(list(b"ACGT"))[torch.randint(4, (1, length))].to(device)
    before = peak_gib(device)
    count = steps_per_case(width, length)
    for step in range(count + 1):
        if step == 1:
            synchronize(device)
            started = time.perf_counter()
        model.zero_grad()
        F.cross_entropy(run(ids)[0, :-1].float(), ids[0, 1:]).backward()
    synchronize(device)
    seconds = (time.perf_counter() - started) / count
    return {"tokens_per_second": length / seconds, "peak_gib": peak_gib(device) - before}


def vortex(width: int):
    """The same shape in the authors' inference package."""
    from vortex.model.model import StripedHyena
    from vortex.model.utils import dotdict

    c = config(width)
    places = {kind: [i for i, letter in enumerate(PATTERN) if letter == kind] for kind in PATTERN}
    settings = {
        "vocab_size": 512,
        "hidden_size": width,
        "num_filters": width,
        "num_layers": len(PATTERN),
        "num_attention_heads": c.heads,
        "inner_mlp_size": c.mlp_width,
        "hcs_layer_idxs": places["S"],
        "hcm_layer_idxs": places["D"],
        "hcl_layer_idxs": places["H"],
        "attn_layer_idxs": places["*"],
        "hcs_filter_groups": c.filter_groups,
        "hcm_filter_groups": c.filter_groups,
        "hcl_filter_groups": width,
        "hcs_filter_length": 7,
        "hcm_filter_length": 128,
        "state_size": 16,
        "short_filter_length": 3,
        "eps": 1e-6,
        "max_seqlen": 8192,
        "tie_embeddings": True,
        "proj_groups": 1,
        "interleave": True,
        "evo2_style_activations": True,
        "column_split": False,
        "column_split_hyena": False,
        "use_fp8_input_projections": False,
        "use_flash_attn": True,
        "rotary_emb_base": 10000,
        "short_filter_bias": False,
        "mha_out_proj_bias": True,
        "qkv_proj_bias": False,
        "model_parallel_size": 1,
        "pipe_parallel_size": 1,
        "make_vocab_size_divisible_by": 8,
        "inner_size_multiple_of": 16,
        "final_norm": True,
        "mlp_activation": "gelu",
        "print_activations": False,
    }
    model = StripedHyena(dotdict(settings))
    return model, lambda ids: model(ids)[0]


def synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def peak_gib(device: str) -> float:
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def in_own_process(*case: object) -> dict[str, float]:
    line = [sys.executable, __file__, "--case", json.dumps(case)]
    done = subprocess.run(line, capture_output=True, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else {"error": done.stderr.strip().splitlines()[-1]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="+", default=[128, 1920])
    parser.add_argument("--lengths", type=int, nargs="+", default=[1024, 8192])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--case", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(measure(*options.case)))
        return
    print(
        f"layers {PATTERN}, batch 1, float32, {options.device}, {torch.get_num_threads()} threads, forward + backward"
    )
    print(f"{'width':>6} {'length':>7}  {'engine':<24} {'tokens/s':>10} {'peak GiB':>9} {'speed':>7} {'memory':>7}")
    for width in options.widths:
        for length in options.lengths:
            ours = in_own_process(width, length, options.device, "ours", False)
            cases = {
                "ours": ours,
                "ours, checkpointing": in_own_process(width, length, options.device, "ours", True),
                "vtx": in_own_process(width, length, options.device, "vtx", False),
            }
            for name, result in cases.items():
                if "error" in result:
                    print(f"{width:>6} {length:>7}  {name:<24} not run: {result['error'][:80]}")
                    continue
                speed = result["tokens_per_second"] / ours["tokens_per_second"]
                memory = result["peak_gib"] / ours["peak_gib"]
                print(
                    f"{width:>6} {length:>7}  {name:<24} {result['tokens_per_second']:>10,.0f} "
                    f"{result['peak_gib']:>9.2f} {speed:>6.2f}× {memory:>6.2f}×"
                )


if __name__ == "__main__":
    main()
