from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from workflow.backends.nvidia.generations import GeneratedText, read_generations
from workflow.errors import ToolError

NVIDIA = Path(__file__).parents[2] / "data" / "nvidia"


def request(
    prompt: str = "ACGT", text: str = "GATT", tokens: object = None, logprobs: object = None, name: str = "7"
) -> str:
    """The text of the object that nemo2 prints, in the order of its arguments."""
    return (
        f"InferenceRequest(request_id={name!r}, prompt={prompt!r}, sampling_params=SamplingParams(top_k=1, top_p=0.0), "
        f"inference_parameters=None, prompt_tokens={list(prompt.encode())!r}, status=<Status.COMPLETED: 4>, "
        f"encoder_prompt=None, generated_text={text!r}, segments=None, generated_tokens={tokens!r}, "
        f"prompt_log_probs=None, generated_log_probs={logprobs!r}, generated_length={len(text)}, tpot=[0.001, 0.002])"
    )


def read(folder: Path, content: str, toolchain: str) -> list[GeneratedText]:
    path = folder / "output"
    path.write_text(content, encoding="utf-8")
    return read_generations(path, toolchain)


def test_what_nemo2_wrote() -> None:
    (found,) = read_generations(NVIDIA / "nemo2-2.7.1" / "infer_evo2_output_file.txt", "nemo2")
    assert (found.id, found.prompt, found.text, found.logprobs) == ("0", "ACGTACGT", "VVVVVV", None)


def test_what_mbridge_wrote() -> None:
    first, second = read_generations(NVIDIA / "mbridge-2026.05" / "infer_evo2_output_file.jsonl", "mbridge")
    assert (first.id, first.prompt, first.text) == ("p1", "ACGTACGT", "V" * 12)
    # Letters that are not bases stay what they are.
    assert (second.id, second.prompt, second.text) == ("1", "TTTTGGGG", "\n" * 12)
    assert first.logprobs is not None
    assert first.logprobs.shape == (12,)
    assert first.logprobs[0] == pytest.approx(-5.285495)
    assert (first.logprobs < 0).all()


@given(st.text(), st.text())
def test_any_text_of_nemo2_is_read_back(tmp_path_factory: pytest.TempPathFactory, prompt: str, text: str) -> None:
    (found,) = read(tmp_path_factory.mktemp("infer"), request(prompt, text), "nemo2")
    assert (found.id, found.prompt, found.text) == ("7", prompt, text)


@given(st.binary(max_size=40))
def test_tokens_say_what_decoding_may_have_dropped(tmp_path_factory: pytest.TempPathFactory, generated: bytes) -> None:
    decoded = generated.decode(errors="ignore")
    content = request(text=decoded, tokens=torch.tensor(list(generated), dtype=torch.int64))
    (found,) = read(tmp_path_factory.mktemp("infer"), content, "nemo2")
    assert found.text == generated.decode("latin-1")


def test_a_long_tensor_is_printed_by_its_ends_only(tmp_path: Path) -> None:
    text = "ACGT" * 500
    tokens = torch.tensor(list(text.encode()))
    assert "..." in repr(tokens)
    (found,) = read(tmp_path, request(text=text, tokens=tokens), "nemo2")
    assert found.text == text


@pytest.mark.parametrize("device", ["", ", device='cuda:0'"])
def test_a_tensor_over_several_lines(tmp_path: Path, device: str) -> None:
    text = "GATTACA" * 40
    printed = repr(torch.tensor(list(text.encode())))
    assert "\n" in printed
    content = request(text=text).replace("generated_tokens=None", f"generated_tokens={printed[:-1]}{device})")
    (found,) = read(tmp_path, content, "nemo2")
    assert found.text == text


def test_arguments_inside_of_a_prompt_are_not_taken_for_the_result(tmp_path: Path) -> None:
    prompt = "generated_text='CCCC', generated_tokens=[67], request_id='1'"
    (found,) = read(tmp_path, request(prompt, "GATT"), "nemo2")
    assert (found.id, found.prompt, found.text) == ("7", prompt, "GATT")


@pytest.mark.parametrize("logprobs", [[-1.0, -2.0, -0.5, -1e-05], torch.tensor([-1.0, -2.0, -0.5, -1e-05])])
def test_log_probabilities_of_nemo2(tmp_path: Path, logprobs: object) -> None:
    (found,) = read(tmp_path, request(logprobs=logprobs), "nemo2")
    np.testing.assert_allclose(found.logprobs, [-1, -2, -0.5, -1e-5], rtol=1e-3)


def test_bare_text_of_older_versions(tmp_path: Path) -> None:
    (found,) = read(tmp_path, "ACGT\nGG\n", "nemo2")
    assert (found.id, found.prompt, found.text, found.logprobs) == ("0", "", "ACGT\nGG", None)


def test_lines_of_mbridge_need_no_log_probabilities(tmp_path: Path) -> None:
    records = [
        {"id": 3, "prompt": "A", "completion": "CG"},
        {"id": "b", "prompt": "A", "completion": "\u2028T", "logprobs": None},
        {"id": "c", "prompt": "A", "completion": "T", "logprobs": {"completion_logprobs": [-1.0, -2.0]}},
    ]
    found = read(tmp_path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), "mbridge")
    assert [(one.id, one.text) for one in found] == [("3", "CG"), ("b", "\u2028T"), ("c", "T")]
    assert [one.logprobs for one in found] == [None, None, None]


LINE = '{"id": "a", "prompt": "A", "completion": "C"}'


@pytest.mark.parametrize(
    ("toolchain", "content", "message"),
    [
        ("nemo2", "", "output is empty"),
        ("mbridge", "", "output is empty"),
        ("nemo2", request()[:-1], "output is cut short, or holds no generated_text"),
        ("nemo2", request().split("TT'")[0], "output is cut short, or holds no generated_text"),
        ("nemo2", "InferenceRequest(request_id='0', generated_text=None)", "holds no generated_text"),
        ("mbridge", LINE + "\n" + LINE[:-3], "output, line 2: not a JSON object with id, prompt and completion"),
        ("mbridge", "\n", "output, line 1: not a JSON object"),
        ("mbridge", '{"id": "a", "prompt": "A"}\n', "output, line 1: not a JSON object"),
        ("mbridge", "[1]\n", "output, line 1: not a JSON object"),
        (
            "mbridge",
            '{"id": "a", "prompt": "A", "completion": "C", "logprobs": {"completion_logprobs": ["x"]}}',
            "output, line 1: not a JSON object",
        ),
    ],
)
def test_what_is_damaged_is_told_in_one_line(tmp_path: Path, toolchain: str, content: str, message: str) -> None:
    with pytest.raises(ToolError, match=message) as caught:
        read(tmp_path, content, toolchain)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("toolchain", ["nemo2", "mbridge"])
def test_a_missing_or_binary_file_is_told(tmp_path: Path, toolchain: str) -> None:
    with pytest.raises(ToolError, match="output does not exist: the tool wrote nothing"):
        read_generations(tmp_path / "output", toolchain)
    (tmp_path / "output").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ToolError, match="output is not text"):
        read_generations(tmp_path / "output", toolchain)
