"""Known failures of NVIDIA's tools: by what they print, what they are, and how to mend them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_PREEMPTION = re.compile(r"Preemption detected, saving checkpoint and exiting|exiting program after receiving SIGTERM")
_INSPECT = "look at it with `python -m workflow.checkpoint inspect PATH`"
_DOCTOR = "`python -m workflow.doctor` shows what is installed"


@dataclass(frozen=True)
class Failure:
    """A known way to fail.

    Attributes
    ----------
    name : str
        Short name.
    what, remedy : str
        What happened and how to mend it, one phrase each.
    pattern : str
        Regular expression of a line that tells it, where one does. What its group `detail` matches is quoted.
    exit_codes : tuple of int
        Exit codes that tell it, where no line tells anything; negative for signals.
    """

    name: str
    what: str
    remedy: str
    pattern: str = ""
    exit_codes: tuple[int, ...] = ()


#: Causes before their consequences: when one GPU runs out of memory, the others report a lost connection.
FAILURES = (
    Failure(
        "gpu_memory",
        "out of GPU memory",
        "use a smaller train.batch_size (predict.batch_tokens in scoring) or train.context_length, "
        "train.activation_checkpointing=true, or more GPUs with parallel.tensor or parallel.context",
        r"CUDA out of memory|CUDA error: out of memory|OutOfMemoryError|CUBLAS_STATUS_ALLOC_FAILED"
        r"|Cuda failure.{0,8}out of memory|cudaErrorMemoryAllocation",
    ),
    Failure(
        "shared_memory",
        "out of shared memory",
        "give more: launcher.shm_size=64g for docker, --ipc=host for a container of your own",
        r"(?i:bus error)|unable to open shared memory object|insufficient shared memory|SIGBUS"
        r"|(?i:shared memory segment /dev/shm)|No space left on device.*(?:/dev/shm|/torch_\d)",
        (-7, 135),
    ),
    Failure(
        "disk_full",
        "the disk is full, or your quota on it is used up",
        "make room, or give another place with runs_folder=…",
        r"No space left on device|Disk quota exceeded|\bENOSPC\b|\bEDQUOT\b|\[Errno (?:28|122)\]"
        r"|PytorchStreamWriter failed|inline_container\.cc.*unexpected pos",
    ),
    Failure(
        "lora_tensorboard",
        "the tools of mbridge cannot train LoRA while they write TensorBoard files",
        "pass --disable-tensorboard-logger; check backend.extra.train_evo2, which must not take it away",
        r"has no attribute 'main_grad'",
    ),
    Failure(
        "weights_only",
        "PyTorch refused to unpickle the checkpoint, which holds more than tensors",
        "give a local savanna file as hf://./FILE, or set +launcher.environment.TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1 "
        "for a file that you trust",
        r"Weights only load failed|WeightsUnpickler error",
    ),
    Failure(
        "gated",
        "the server refuses the download without a login",
        "accept the model's terms in a browser and set HF_TOKEN (NGC_CLI_API_KEY for NGC), or download by hand and "
        "give the path as model.checkpoint",
        r"(?:401|403) Client Error|GatedRepoError|is a gated repo|RepositoryNotFoundError"
        r"|Invalid (?:API key|username or password)"
        r"|(?i:ngc.*(?:unauthori[sz]ed|invalid api key))",
    ),
    Failure(
        "docker_image",
        "docker may not pull the image",
        "log in with `docker login nvcr.io` (user $oauthtoken, your NGC key as password), or correct launcher.image",
        r"pull access denied|unauthorized: authentication required|manifest (?:for \S+ not found|unknown)",
    ),
    Failure(
        "docker_gpu",
        "docker does not see the GPUs",
        "install the NVIDIA Container Toolkit, or correct launcher.gpus",
        r"could not select device driver|nvidia-container-cli: .*error",
    ),
    Failure(
        "docker_daemon",
        "docker does not answer",
        "start it, join the group docker, or use launcher=process inside the container",
        r"(?i:cannot connect to the docker daemon)|permission denied while trying to connect to the Docker",
    ),
    Failure(
        "tokenizer",
        "the tokenizer is missing",
        "set backend.tokenizer to the folder nucleotide_fast_tokenizer_512 (…_256 for train=scratch)",
        r"(?i:can'?t load tokenizer|couldn'?t (?:load|instantiate).* tokenizer|error loading tokenizer)"
        r"|nucleotide_fast_tokenizer\w*.*(?i:not found|does not exist|no such file|is not a local folder|not a valid)"
        r"|(?i:no such file or directory).*tokenizer(?:_config)?\.json"
        r"|the following arguments are required:.*tokenizer",
    ),
    Failure(
        "offline",
        "the download failed: no way to the server",
        "try again with a network, or download by hand and give the path as model.checkpoint",
        r"LocalEntryNotFoundError|OfflineModeIsEnabled|couldn'?t connect to 'https://|Cannot reach https://"
        r"|Max retries exceeded with url|Temporary failure in name resolution|Name or service not known"
        r"|outgoing traffic has been disabled",
    ),
    Failure(
        "fp8_shape",
        "FP8 needs batches whose sides divide by 8 and 16",
        "use a train.context_length that divides by 16, or precision bf16",
        r"height divisible by 8 and width divisible by 16|dimensions? divisible by 8.*FP8",
    ),
    Failure(
        "fp8",
        "this GPU cannot compute in FP8, which needs compute capability 8.9 or more (H100, H200, L40S)",
        "use another GPU, or backend.precision=bf16 with a checkpoint that is right in it (model=evo2_1b_bf16, "
        "evo2_7b, evo2_40b_bf16)",
        r"required for (?:\w+ )?(?:MX)?FP8|(?i:fp8 (?:is|execution is) not (?:supported|available))",
    ),
    Failure(
        "checkpoint_version",
        "the checkpoint was written by a newer version of Megatron than this one reads",
        "use the container that wrote it, or convert the published checkpoint again with stage=convert force=true",
        r"Can't get attribute '?\S+ on <module 'megatron|No module named 'megatron\.core\."
        r"|Cannot find a default strategy for|Unknown checkpoint version"
        r"|(?i:unsupported (?:distributed )?checkpoint version)",
    ),
    Failure(
        "checkpoint_format",
        "the checkpoint does not fit: another format, another model size, or parts of it are missing",
        f"{_INSPECT}, see that model=… names its size, and convert again with stage=convert force=true",
        r"is not a distributed checkpoint|Checkpoint directory \S* ?does not exist|Missing key\(s\) in state_dict"
        r"|Unexpected key\(s\) in state_dict|size mismatch for \S+|(?i:missing keys:|missing keys \(not found)"
        r"|(?i:some keys are missing|keys not found in (?:the )?checkpoint)|Missing key in checkpoint state_dict"
        r"|Global shape mismatch|Size mismatch between saved"
        r"|No such file or directory: '\S*(?:metadata\.json|\.metadata|common\.pt|run_config\.yaml)'"
        r"|PytorchStreamReader failed|invalid header or archive is corrupted",
    ),
    Failure(
        "dataset",
        "token files are missing or empty",
        "make them again with stage=preprocess force=true; a split without sequences makes an empty file",
        r"\.idx and \.bin files cannot be found|cannot mmap an empty file|No such file or directory: '\S+\.(?:bin|idx)'"
        r"|bad header, cannot read: \S+\.idx",
    ),
    Failure(
        "not_a_number",
        "NaN or infinity in the loss or in the gradients",
        "use a smaller train.learning_rate or a longer train.warmup_steps, and see that the checkpoint is right in "
        "this precision",
        r"found (?:NaN|Inf) in|loss is (?:NaN|Inf)\b|Unexpected result (?:nan|inf)\b"
        r"|(?:NaN|Inf) (?:loss|gradients?) (?:found|detected)",
    ),
    Failure(
        "batch_sizes",
        "the batch does not divide by the GPUs",
        "choose train.batch_size, train.accumulate and parallel sizes so that the global batch divides by micro-batch "
        "× data-parallel GPUs",
        r"batch size.{0,40}is not divisible",
    ),
    Failure(
        "parallel_sizes",
        "the parallel sizes do not fit the model or the GPUs",
        "parallel.nodes · parallel.devices must divide by parallel.tensor · pipeline · context, and the heads by "
        "parallel.tensor (the 1B model has 15: parallel.tensor=1)",
        r"(?i:world[_ ]size).{0,40}(?:is not divisible|must be divisible)|must be (?:divisible by|a multiple of) tensor"
        r"|num_attention_heads.{0,60}(?:multiple of|divisible by)|(?:num_)?layers.{0,60}divisible by",
    ),
    Failure(
        "no_such_gpu",
        "there are fewer GPUs than asked for",
        "lower parallel.devices, or see CUDA_VISIBLE_DEVICES and launcher.gpus",
        r"But your machine only has|invalid device ordinal",
    ),
    Failure(
        "driver",
        "CUDA does not work here: no GPU, no driver, one that is too old, or a library is missing",
        f"run inside NVIDIA's container with --gpus all; {_DOCTOR}",
        r"driver version is insufficient|driver on your system is too old|Found no NVIDIA driver"
        r"|No CUDA GPUs are available|no CUDA-capable device is detected|no kernel image is available"
        r"|CUDA unknown error|lib(?:cu|nv|nccl|transformer_engine)\S*: cannot open shared object file|undefined symbol",
    ),
    Failure(
        "port",
        "the port for the processes to meet at is taken",
        "wait until the other run has ended, or choose another one with launcher.rendezvous=HOST:PORT",
        r"EADDRINUSE|(?i:address already in use)|server socket has failed to listen",
    ),
    Failure(
        "nccl_timeout",
        "one GPU waited for another that was slow, stuck or dead (NCCL watchdog)",
        "look for the first error of another rank in the log; if one was still building the data index, start again: "
        "the index is kept",
        r"(?i:watchdog caught collective operation timeout)|NCCL operations have failed or timed out"
        r"|Watchdog got stuck|heartbeat monitor timed out",
    ),
    Failure(
        "rendezvous",
        "the machines did not meet",
        "type the same command on each of the parallel.nodes machines, with its own launcher.node_rank and the same "
        "launcher.rendezvous=HOST:PORT, which all of them can reach",
        r"Timed out after \d+ seconds waiting for clients|Rendezvous(?:Timeout|Connection)Error"
        r"|client socket has (?:failed|timed out)",
    ),
    Failure(
        "nccl",
        "the GPUs could not talk to each other (NCCL)",
        "start again with +launcher.environment.NCCL_DEBUG=INFO and read what NCCL says; `python -m workflow.doctor` "
        "shows its settings",
        r"NCCL error|nccl(?:SystemError|UnhandledCudaError|InternalError|InvalidUsage|RemoteError)|DistBackendError",
    ),
    Failure(
        "arguments",
        "the tool does not take these arguments",
        f"backend.version must be the installed one and backend.extra right; {_DOCTOR}",
        r"^[\w.-]+: error: (?P<detail>.+)",
    ),
    Failure(
        "no_program",
        "the program is not there",
        f"run inside NVIDIA's container, or use launcher=docker; {_DOCTOR}",
        r"executable file not found in \$PATH|: command not found"
        r"|No such file or directory: '(?:\w+_evo2\w*|evo2_\w+|torchrun)'",
        (127,),
    ),
    Failure(
        "host_memory",
        "out of main memory",
        "ask for more memory, or use fewer data loader workers and a smaller train.batch_size; "
        "a checkpoint is read into main memory first",
        r"Cannot allocate memory|std::bad_alloc|DefaultCPUAllocator|(?i:oom-?kill)|Out of memory: Killed process"
        r"|^\S*MemoryError\b",
    ),
    Failure(
        "killed",
        "killed by SIGKILL, most often by the system for lack of main memory",
        "ask for more memory, or use fewer data loader workers and a smaller train.batch_size; the system's own log "
        "(`dmesg`) tells",
        r"is killed by signal: Killed|exitcode\s*:\s*-9\b|Signal 9 \(SIGKILL\)",
        (-9, 137),
    ),
    Failure(
        "terminated",
        "stopped from outside by SIGTERM: the job's time was over, or it had to make room",
        "start the same command again: training goes on from its newest checkpoint",
        exit_codes=(-15, 143),
    ),
    Failure(
        "crash",
        "crashed inside a compiled library",
        f"the versions of driver and libraries may not go together; {_DOCTOR}",
        r"Segmentation fault|Signal 11 \(SIGSEGV\)|exitcode\s*:\s*-11\b",
        (-11, 139),
    ),
)
#: `killed` too: hardly anything but the system kills a program at once.
_OUT_OF_MEMORY = ("gpu_memory", "host_memory", "killed")
_PATTERNS = [(failure, re.compile(failure.pattern)) for failure in FAILURES if failure.pattern]


def tells_preemption(line: str) -> bool:
    """Whether a training tool says that it was asked to stop and saves its state (`--enable-preemption`)."""
    return _PREEMPTION.search(line) is not None


def diagnose(lines: Sequence[str], exit_code: int) -> str | None:
    """What went wrong and how to mend it, in one line, when the failure is a known one.

    Parameters
    ----------
    lines : sequence of str
        What the program printed last.
    exit_code : int
        Negative for the signal that ended it, as subprocess has it; 0 looks at the lines only.
    """
    found = _recognise(lines, exit_code)
    return _tell(*found) if found else None


def is_out_of_memory(lines: Sequence[str], exit_code: int) -> bool:
    """Whether a program asked for more memory than there is, of the GPU or of the machine; arguments as `diagnose`."""
    found = _recognise(lines, exit_code)
    return found is not None and found[0].name in _OUT_OF_MEMORY


def _recognise(lines: Sequence[str], exit_code: int) -> tuple[Failure, re.Match[str] | None] | None:
    for failure, pattern in _PATTERNS:
        for line in lines:
            if match := pattern.search(line):
                return failure, match
    return next(((failure, None) for failure in FAILURES if exit_code in failure.exit_codes), None)


def _tell(failure: Failure, match: re.Match[str] | None) -> str:
    detail = match.groupdict().get("detail") if match else None
    return f"{failure.what}{f' ({detail.strip()})' if detail else ''}: {failure.remedy}"
