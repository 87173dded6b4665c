"""`infer_evo2` of both generations; the engine draws bases alone, where the real models may draw any token."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from tests.emulator.loading import load_mbridge, load_nemo2
from tests.emulator.setting import Refused, Setting, log, world_of_torchrun
from workflow.striped_hyena.generation import Generated, Sampling, generate

_LONGEST = 8192


def infer(arguments: argparse.Namespace, setting: Setting) -> None:
    """Continue one prompt, or with mbridge those of a file."""
    if setting.is_nemo2:
        _infer_nemo2(arguments, setting)
    else:
        _infer_mbridge(arguments, setting)


def _infer_nemo2(arguments: argparse.Namespace, setting: Setting) -> None:
    model = load_nemo2(Path(arguments.ckpt_dir), None, None, setting)
    sampling, length = _sampling(arguments), arguments.max_new_tokens
    (answer,) = generate(model, [arguments.prompt], length, sampling=sampling, seeds=[arguments.seed or 0])
    text = _request(arguments, answer)
    if arguments.output_file:
        Path(arguments.output_file).write_text(text, encoding="utf-8")
    else:
        log(text)


def _request(arguments: argparse.Namespace, answer: Generated) -> str:
    """What Python prints of the request that the tool answers."""
    ids = torch.tensor(list(answer.sequence.encode("ascii")))
    length = len(answer.sequence)
    return (
        f"InferenceRequest(request_id='0', prompt={arguments.prompt!r}, sampling_params=SamplingParams(temperature="
        f"{arguments.temperature}, top_k={arguments.top_k}, top_p={arguments.top_p}, return_log_probs=False, "
        f"return_segments=False, num_tokens_to_generate={arguments.max_new_tokens}, top_n_logprobs=0, "
        "return_prompt_top_n_logprobs=False), inference_parameters=None, prompt_tokens="
        f"{list(arguments.prompt.encode('ascii'))}, arrival_time=1795219419.2085462, status=<Status.COMPLETED: 4>, "
        f"encoder_prompt=None, generated_text={answer.sequence!r}, segments=None, generated_segments=None, "
        f"generated_sequence_lengths=tensor([{length}], dtype=torch.int32), generated_tokens={ids!r}, "
        "prompt_log_probs=None, generated_log_probs=None, prompt_top_n_logprobs=None, generated_top_n_logprobs=None, "
        f"generated_length={length}, tpot={[0.001] * length})"
    )


def _infer_mbridge(arguments: argparse.Namespace, setting: Setting) -> None:
    world_of_torchrun()
    model = load_mbridge(arguments.ckpt_dir, setting)
    requests = _requests(arguments)
    longest = arguments.max_seq_length or _LONGEST
    sampling, length = _sampling(arguments), arguments.max_new_tokens
    lines = []
    for number, request in enumerate(requests):
        prompt = request["prompt"]
        if len(prompt) + length > longest:
            raise Refused(f"ValueError: prompt and new tokens ({len(prompt) + length}) exceed the length of {longest}")
        seed = (arguments.seed or 0) + number
        (answer,) = generate(model, [prompt], length, sampling=sampling, seeds=[seed])
        if number:
            setting.fault.midway()
        lines.append(json.dumps(_answer(str(request.get("id", number)), prompt, answer, arguments.return_log_probs)))
    text = "".join(line + "\n" for line in lines)
    if arguments.output_file:
        arguments.output_file.write_text(text, encoding="utf-8")
    else:
        log(text)


def _requests(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    if arguments.prompt_file is None:
        return [{"prompt": arguments.prompt}]
    return [json.loads(line) for line in arguments.prompt_file.read_text().splitlines() if line.strip()]


def _answer(name: str, prompt: str, answer: Generated, with_log_probs: bool) -> dict[str, Any]:
    read, new = len(prompt), len(answer.sequence)
    usage = {"prompt_tokens": read, "completion_tokens": new, "total_tokens": read + new}
    out = {"id": name, "prompt": prompt, "completion": answer.sequence, "finish_reason": "length", "usage": usage}
    return out | ({"logprobs": {"completion_logprobs": answer.logprobs.tolist()}} if with_log_probs else {})


def _sampling(arguments: argparse.Namespace) -> Sampling:
    """Off is 0 for the tools' top-p, and 1 for the engine's."""
    return Sampling(arguments.temperature, arguments.top_k, arguments.top_p or 1.0)
