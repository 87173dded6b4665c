import re

import pytest

from workflow.launch.diagnosis import FAILURES, diagnose, tells_preemption

#: Lines as the tools, PyTorch, CUDA, docker and the system print them, by the failure that each tells.
LINES = [
    (
        "gpu_memory",
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity",
    ),
    ("gpu_memory", "[rank3]: RuntimeError: CUDA error: out of memory"),
    ("gpu_memory", "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ("gpu_memory", "ncclUnhandledCudaError: Call to CUDA function failed. Last error: Cuda failure 2 'out of memory'"),
    ("shared_memory", "RuntimeError: DataLoader worker (pid 412) is killed by signal: Bus error. It is possible that"),
    (
        "shared_memory",
        "RuntimeError: unable to open shared memory object </torch_31_17> in read-write mode: No space left",
    ),
    (
        "shared_memory",
        "Error while creating shared memory segment /dev/shm/nccl-Zd4 (size 9637888), error: No space left",
    ),
    ("shared_memory", "OSError: [Errno 28] No space left on device: '/dev/shm/x'"),
    ("disk_full", "OSError: [Errno 28] No space left on device: '/data/runs/x/__0_0.distcp'"),
    ("disk_full", "OSError: [Errno 122] Disk quota exceeded"),
    ("disk_full", "RuntimeError: [enforce fail at inline_container.cc:626] . unexpected pos 192 vs 86"),
    ("lora_tensorboard", "AttributeError: 'Parameter' object has no attribute 'main_grad'"),
    (
        "weights_only",
        "_pickle.UnpicklingError: Weights only load failed. This file can still be loaded, to do so you have",
    ),
    ("gated", "requests.exceptions.HTTPError: 401 Client Error: Unauthorized for url: https://huggingface.co/a/b"),
    ("gated", "huggingface_hub.errors.GatedRepoError: 403 Client Error. Access to model a/b is restricted"),
    ("docker_image", "docker: Error response from daemon: unauthorized: authentication required."),
    ("docker_image", "docker: Error response from daemon: manifest for nvcr.io/x/y:9 not found: manifest unknown"),
    ("docker_gpu", 'docker: Error response from daemon: could not select device driver "" with capabilities: [[gpu]].'),
    (
        "docker_daemon",
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
    ),
    (
        "tokenizer",
        "OSError: Can't load tokenizer for 'tok512'. If you were trying to load it from 'https://huggingface.co",
    ),
    (
        "tokenizer",
        "FileNotFoundError: [Errno 2] No such file or directory: '/x/nucleotide_fast_tokenizer_512/tokenizer.json'",
    ),
    ("tokenizer", "predict_evo2: error: the following arguments are required: --hf-tokenizer-model-path"),
    ("offline", "huggingface_hub.errors.LocalEntryNotFoundError: An error happened while trying to locate the file"),
    (
        "offline",
        "ConnectionError: HTTPSConnectionPool(host='x', port=443): Max retries exceeded with url: /",
    ),
    (
        "fp8_shape",
        "FP8 execution requires 2D input matrices with height divisible by 8 and width divisible by 16, ",
    ),
    ("fp8", "AssertionError: Device compute capability 8.9 or higher required for FP8 execution."),
    ("fp8", "AssertionError: Device compute capability 10.0 or higher required for MXFP8 execution."),
    (
        "checkpoint_version",
        "AttributeError: Can't get attribute 'X' on <module 'megatron.core.dist_checkpointing.mapping' from",
    ),
    ("checkpoint_version", "ModuleNotFoundError: No module named 'megatron.core.tokenizers.text'"),
    (
        "checkpoint_format",
        "megatron.core.dist_checkpointing.core.CheckpointingException: /x/ckpt is not a distributed checkpoint",
    ),
    ("checkpoint_format", "CheckpointingException: Checkpoint directory /x/weights does not exist"),
    (
        "checkpoint_format",
        'RuntimeError: Error(s) in loading state_dict: Missing key(s) in state_dict: "decoder.layers.0"',
    ),
    (
        "checkpoint_format",
        "size mismatch for blocks.0.mlp.l1.weight: copying a param with shape torch.Size([11008, 4096])",
    ),
    (
        "checkpoint_format",
        "CheckpointingException: Global shape mismatch for loaded (torch.Size([5120])) and expected ((4096,))",
    ),
    ("checkpoint_format", "FileNotFoundError: [Errno 2] No such file or directory: '/x/iter_0000001/metadata.json'"),
    (
        "checkpoint_format",
        "RuntimeError: PytorchStreamReader failed reading zip archive: failed finding central directory",
    ),
    (
        "dataset",
        "AssertionError: One or both of the .idx and .bin files cannot be found at the path prefix /x/demo_val",
    ),
    ("dataset", "ValueError: cannot mmap an empty file"),
    ("dataset", "FileNotFoundError: [Errno 2] No such file or directory: '/x/demo_byte-level_train.idx'"),
    (
        "not_a_number",
        "RuntimeError: Rank 0, node n1, device 0, iteration 5: Unexpected result nan (message='found NaN in local",
    ),
    ("not_a_number", "found NaN in local grad norm for bucket #0 in backward pass before data-parallel communication"),
    (
        "batch_sizes",
        "AssertionError: global batch size (6) is not divisible by micro batch size (4) times data parallel size",
    ),
    ("parallel_sizes", "RuntimeError: world_size (6) is not divisible by 4"),
    ("parallel_sizes", "ValueError: num_attention_heads (15) must be a multiple of tensor_model_parallel_size (2)."),
    ("no_such_gpu", "MisconfigurationException: You requested gpu: [0, 1] But your machine only has: [0]"),
    ("no_such_gpu", "torch.AcceleratorError: CUDA error: invalid device ordinal"),
    ("driver", "RuntimeError: The NVIDIA driver on your system is too old (found version 12020)."),
    ("driver", "RuntimeError: Found no NVIDIA driver on your system."),
    ("driver", "ImportError: libcudnn.so.9: cannot open shared object file: No such file or directory"),
    (
        "port",
        "DistNetworkError: The server socket has failed to listen on any local network address. EADDRINUSE",
    ),
    ("port", "OSError: [Errno 98] Address already in use"),
    (
        "nccl_timeout",
        "[Rank 1] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=3, OpType=ALLREDUCE) ran for 600",
    ),
    (
        "rendezvous",
        "torch.distributed.DistStoreError: Timed out after 901 seconds waiting for clients. 1/2 clients joined.",
    ),
    ("nccl", "torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:3356, unhandled system error"),
    ("arguments", "train_evo2: error: unrecognized arguments: --no-such-flag 3"),
    ("no_program", "FileNotFoundError: [Errno 2] No such file or directory: 'train_evo2'"),
    (
        "no_program",
        'docker: Error response from daemon: exec: "train_evo2": executable file not found in $PATH: unknown.',
    ),
    ("host_memory", "RuntimeError: [enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory"),
    ("host_memory", "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 40.0 GiB for an array"),
    ("killed", "RuntimeError: DataLoader worker (pid 4120) is killed by signal: Killed."),
    ("killed", "  exitcode  : -9 (pid: 1732)"),
    ("crash", "Fatal Python error: Segmentation fault"),
]
#: What a healthy run prints.
HARMLESS = [
    " [2026-11-20 23:55:12] iteration        3/       6 | lm loss: 5.659441E+00 | number of nan iterations:   0 |",
    "Training epoch 0, iteration 5/5 | lr: 3e-05 | global_step: 5 | reduced_train_loss: 4.821 | val_loss: 5.123",
    "[NeMo W nemo_logging:405] WandB is currently turned off.",
    "FutureWarning: You are using `torch.load` with `weights_only=False` (the current default value)",
    "NCCL version 2.26.3+cuda12.9",
    "All distributed processes registered. Starting with 8 processes",
    "saving checkpoint to /x/metadata.json",
]


def named(name: str) -> str:
    """Beginning of what is told of a failure."""
    return next(failure.what for failure in FAILURES if failure.name == name)


@pytest.mark.parametrize(("name", "line"), LINES)
def test_known_lines(name: str, line: str) -> None:
    told = diagnose(["something before", line, "something after"], 1)
    assert told is not None
    assert told.startswith(named(name))


@pytest.mark.parametrize(
    ("name", "exit_code"),
    [
        ("killed", -9),
        ("killed", 137),
        ("terminated", -15),
        ("terminated", 143),
        ("shared_memory", -7),
        ("crash", -11),
        ("crash", 139),
        ("no_program", 127),
    ],
)
def test_known_exit_codes(name: str, exit_code: int) -> None:
    assert (diagnose(HARMLESS, exit_code) or "").startswith(named(name))


def test_every_failure_is_tried_here() -> None:
    assert {name for name, _ in LINES} | {"terminated"} == {failure.name for failure in FAILURES}


def test_every_failure_is_told_in_one_line_with_a_remedy() -> None:
    for failure in FAILURES:
        assert failure.remedy
        assert "\n" not in failure.what + failure.remedy
        assert failure.pattern or failure.exit_codes
        assert re.compile(failure.pattern).groups <= 1


@pytest.mark.parametrize("line", HARMLESS)
def test_harmless_lines(line: str) -> None:
    assert diagnose([line], 1) is None
    assert not tells_preemption(line)


def test_nothing_known() -> None:
    assert diagnose([], 0) is None
    assert diagnose([], 1) is None


def test_cause_before_consequence() -> None:
    lines = [
        "[rank1]: Watchdog caught collective operation timeout",
        "[rank0]: NCCL error: remote process exited",
        "[rank3]: torch.OutOfMemoryError: CUDA out of memory",
        "  exitcode  : -9 (pid: 12)",
    ]
    assert (diagnose(lines, -9) or "").startswith("out of GPU memory")


def test_line_before_exit_code() -> None:
    assert (diagnose(["No space left on device"], -15) or "").startswith("the disk is full")


def test_refused_argument_is_quoted() -> None:
    told = diagnose(["usage: train_evo2 [-h]", "train_evo2: error: argument --seq-length: invalid int value: 'x'"], 2)
    assert told is not None
    assert told.startswith("the tool does not take these arguments (argument --seq-length: invalid int value: 'x'): ")


@pytest.mark.parametrize(
    "line",
    [
        "[NeMo I 2026-11-20 23:50:06 nemo_logging:393] Preemption detected, saving checkpoint and exiting",
        "exiting program after receiving SIGTERM.",
    ],
)
def test_preemption(line: str) -> None:
    assert tells_preemption(line)
