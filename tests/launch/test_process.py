import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from workflow.errors import InputError, ToolError
from workflow.launch import process
from workflow.launch.process import PreemptedError, Program, run_program

Make = Callable[..., Program]


@pytest.fixture
def python(tmp_path: Path) -> Make:
    """Makes a program of Python code; further values are found in `sys.argv[1:]`."""

    def make(code: str, *values: object, **settings: object) -> Program:
        script = tmp_path / "script.py"
        script.write_text(textwrap.dedent(code))
        argv = [sys.executable, "-u", "-S", str(script), *map(str, values)]
        return Program(
            **{"argv": argv, "environment": {}, "log": tmp_path / "log.txt", "name": "train_evo2", **settings}
        )

    return make


@pytest.fixture
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_LEFTOVER_SECONDS", 0.5)


def log_without_headers(program: Program) -> bytes:
    lines = program.log.read_bytes().splitlines(keepends=True)
    return b"".join(line for line in lines if not line.startswith(b"# 20"))


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that nobody has collected yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def read_pids(path: Path, count: int) -> list[int]:
    wait_until(lambda: path.exists() and len(path.read_text().split()) == count)
    return [int(pid) for pid in path.read_text().split()]


#: A program that starts two of its own: one in its group, and, like a worker of torchrun, one in a session of its
#: own. Their process ids go into a file, then it prints "ready".
FAMILY = """
    import os, signal, subprocess, sys, time
    {prelude}
    sleep = [sys.executable, "-S", "-c", {child!r}]
    children = [subprocess.Popen(sleep), subprocess.Popen(sleep, start_new_session=True)]
    with open(sys.argv[1] + ".new", "w") as file:
        file.write(" ".join(str(pid) for pid in [os.getpid(), *(child.pid for child in children)]))
    time.sleep(0.2)
    os.rename(sys.argv[1] + ".new", sys.argv[1])
    print("ready")
    {ending}
"""
SLEEPER = "import time; time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"


def family(prelude: str = "", child: str = SLEEPER, ending: str = "time.sleep(60)") -> str:
    return FAMILY.format(prelude=prelude, child=child, ending=ending)


# ---------------------------------------------------------------- what is printed


def test_lines_of_both_streams_in_order(python: Make) -> None:
    program = python(
        """
        import sys
        for number in range(3):
            print("out", number)
            print("err", number, file=sys.stderr)
        """
    )
    lines: list[str] = []
    run_program(program, on_line=lines.append)
    assert lines == ["out 0", "err 0", "out 1", "err 1", "out 2", "err 2"]


def test_log_is_kept_byte_for_byte(python: Make) -> None:
    printed = b"bar 1\rbar 2\r\n\xff\xfe not text\n\n\xc3\xa9 last, without an end"
    program = python(f"import sys; sys.stdout.buffer.write({printed!r})")
    lines: list[str] = []
    run_program(program, on_line=lines.append)
    header, _, rest = program.log.read_bytes().partition(b"\n")
    assert header.startswith(b"# 20") and header.endswith(b"script.py")
    assert rest == printed
    assert lines == ["bar 1", "bar 2", "�� not text", "é last, without an end"]


def test_lines_come_while_the_program_runs(python: Make, tmp_path: Path) -> None:
    program = python(
        """
        import os, sys, time
        print("waiting")
        while not os.path.exists(sys.argv[1]):
            time.sleep(0.01)
        """,
        tmp_path / "go",
    )
    run_program(program, on_line=lambda line: (tmp_path / "go").touch(), silence_minutes=0.2)
    assert log_without_headers(program) == b"waiting\n"


def test_states_of_a_bar_come_as_lines(python: Make) -> None:
    program = python(
        """
        import sys
        for share in (10, 20, 30):
            sys.stdout.write(f"\\r{share}%")
            sys.stdout.flush()
        """
    )
    lines: list[str] = []
    run_program(program, on_line=lines.append)
    assert lines == ["10%", "20%", "30%"]


def test_a_letter_cut_in_two(python: Make) -> None:
    program = python(
        """
        import sys, time
        for part in (b"m\\xc3", b"\\xbcl", b"ler\\r", b"\\nnext\\n"):
            sys.stdout.buffer.write(part)
            sys.stdout.flush()
            time.sleep(0.1)
        """
    )
    lines: list[str] = []
    run_program(program, on_line=lines.append)
    assert lines == ["müller", "next"]


def test_much_output(python: Make) -> None:
    program = python("print('x' * 99 + '\\n' + ('y' * 99 + '\\n') * 50_000, end='')")
    count = 0

    def on_line(line: str) -> None:
        nonlocal count
        count += 1

    run_program(program, on_line=on_line)
    assert count == 50_001
    assert len(log_without_headers(program)) == 5_000_100


def test_nothing_is_printed(python: Make) -> None:
    program = python("")
    run_program(program)
    assert log_without_headers(program) == b""


def test_log_is_appended_to(python: Make) -> None:
    run_program(python("print('first', end='')"))
    program = python("print('second')")
    run_program(program)
    lines = program.log.read_text().splitlines()
    assert [line[:3] for line in lines[::2]] == ["# 2", "# 2"]
    assert lines[1::2] == ["first", "second"]


def test_header_tells_time_and_command_but_no_secret(python: Make, tmp_path: Path) -> None:
    environment = {"SEED_OF_TEST": "4 2", "HF_TOKEN": "hf_hidden", "TOKENIZERS_PARALLELISM": "false"}
    program = python(
        "import os; print(os.environ['HF_TOKEN'][:2], os.environ['SEED_OF_TEST'])", environment=environment
    )
    run_program(program)
    header, line = program.log.read_text().splitlines()
    assert line == "hf 4 2"
    assert "hf_hidden" not in header
    assert "+00:00 $ SEED_OF_TEST='4 2' HF_TOKEN=\"$HF_TOKEN\" TOKENIZERS_PARALLELISM=false " in header


def test_folder_environment_and_closed_input(python: Make, tmp_path: Path) -> None:
    folder = tmp_path / "where"
    folder.mkdir()
    program = python("import os, sys; print(os.getcwd(), 'PATH' in os.environ, repr(sys.stdin.read()))", folder=folder)
    run_program(program)
    assert log_without_headers(program).decode() == f"{folder} True ''\n"


def test_ticks_come_in_silence(python: Make) -> None:
    ticks: list[float] = []
    run_program(
        python("import time; time.sleep(0.7)"), on_tick=lambda: ticks.append(time.monotonic()), tick_seconds=0.1
    )
    assert 3 <= len(ticks) <= 8


def test_ticks_come_in_a_flood(python: Make) -> None:
    ticks: list[float] = []
    code = "import time\nuntil = time.monotonic() + 0.7\nwhile time.monotonic() < until: print('x' * 1000)"
    run_program(python(code), on_tick=lambda: ticks.append(time.monotonic()), tick_seconds=0.1)
    assert 3 <= len(ticks) <= 8


# ---------------------------------------------------------------- how it ends


def test_exit_code_with_the_last_lines(python: Make, capsys: pytest.CaptureFixture[str]) -> None:
    program = python(
        """
        for number in range(100):
            print("line", number)
        for share in range(50):
            print(share, end="\\r")
        print("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.")
        raise SystemExit(3)
        """
    )
    with pytest.raises(ToolError) as told:
        run_program(program)
    message = str(told.value)
    assert message.startswith("train_evo2 ended with exit code 3: out of GPU memory: use a smaller train.batch_size")
    assert message.endswith(f"the whole log: {program.log}")
    assert "\n" not in message
    shown = capsys.readouterr().err.splitlines()
    assert len(shown) == 30
    assert shown[0] == "  | line 71"
    assert shown[-1].startswith("  | torch.OutOfMemoryError")


def test_the_first_error_is_found_before_many_lines(python: Make) -> None:
    code = "print('RuntimeError: CUDA out of memory.')\nprint('later\\n' * 500)\nraise SystemExit(1)"
    with pytest.raises(ToolError, match="out of GPU memory"):
        run_program(python(code))


def test_unknown_failure(python: Make) -> None:
    with pytest.raises(
        ToolError, match="train_evo2 ended with exit code 1: no known failure, its last lines are above;"
    ):
        run_program(python("raise ValueError('odd')"))


@pytest.mark.parametrize(
    ("signum", "told"),
    [
        ("SIGKILL", "train_evo2 was ended by SIGKILL: killed by SIGKILL, most often"),
        ("SIGTERM", "train_evo2 was ended by SIGTERM: stopped from outside"),
        ("SIGUSR1", "train_evo2 was ended by SIGUSR1: no known failure"),
    ],
)
def test_death_by_signal(python: Make, signum: str, told: str) -> None:
    with pytest.raises(ToolError, match=told):
        run_program(python(f"import os, signal; os.kill(os.getpid(), signal.{signum})"))


@pytest.mark.parametrize("code", [0, 1])
def test_preemption_is_told_as_such(python: Make, code: int) -> None:
    lines = "[NeMo I] Preemption detected, saving checkpoint and exiting\\n" + "saving\\n" * 100
    with pytest.raises(PreemptedError, match="train_evo2 was asked to stop and saved its state") as told:
        run_program(python(f"print('{lines}', end=''); raise SystemExit({code})"))
    assert isinstance(told.value, ToolError)


def test_preemption_that_could_not_be_saved(python: Make) -> None:
    code = "print('exiting program after receiving SIGTERM.'); print('OSError: [Errno 28] No space left on device'); "
    with pytest.raises(ToolError, match="the disk is full") as told:
        run_program(python(code + "raise SystemExit(1)"))
    assert not isinstance(told.value, PreemptedError)


def test_missing_program(tmp_path: Path) -> None:
    program = Program(["train_evo2_of_nobody", "--help"], {}, tmp_path / "log.txt")
    with pytest.raises(ToolError, match="train_evo2_of_nobody is not on PATH: run inside the container"):
        run_program(program)


def test_path_of_the_program_itself(tmp_path: Path) -> None:
    tool = tmp_path / "bin" / "tool"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho $0\n")
    tool.chmod(0o755)
    program = Program(["tool"], {"PATH": f"{tool.parent}:/usr/bin:/bin"}, tmp_path / "log.txt")
    run_program(program)
    assert log_without_headers(program).decode() == f"{tool}\n"


def test_program_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("text")
    program = Program([str(tmp_path / "tool")], {}, tmp_path / "log.txt")
    with pytest.raises(ToolError, match="tool cannot be started: Permission denied"):
        run_program(program)


def test_missing_folder(tmp_path: Path) -> None:
    program = Program(["true"], {}, tmp_path / "log.txt", folder=tmp_path / "nowhere")
    with pytest.raises(ToolError, match=r"true cannot be started: its folder .*nowhere does not exist"):
        run_program(program)


# ---------------------------------------------------------------- stopping it


def test_silence(python: Make, tmp_path: Path) -> None:
    program = python(family(), tmp_path / "pids")
    with pytest.raises(
        ToolError, match=r"printed nothing for 0.01 minutes and was stopped \(backend.silence_minutes"
    ) as told:
        run_program(program, silence_minutes=0.01)
    assert "\n" not in str(told.value)
    assert not any(map(is_alive, read_pids(tmp_path / "pids", 3)))


def test_silence_after_a_known_failure(python: Make) -> None:
    program = python("import time; print('rank 3: torch.OutOfMemoryError', flush=True); time.sleep(60)")
    with pytest.raises(ToolError, match="and was stopped: out of GPU memory"):
        run_program(program, silence_minutes=0.005)


def test_output_puts_silence_off(python: Make) -> None:
    run_program(python("import time\nfor _ in range(8): print('.'); time.sleep(0.1)"), silence_minutes=0.4 / 60)


@pytest.mark.parametrize("of", ["line", "tick"])
def test_exception_stops_all_of_it(python: Make, tmp_path: Path, of: str) -> None:
    def refuse(*line: str) -> None:
        if (tmp_path / "pids").exists():
            raise InputError("loss is NaN")

    callback = {"on_line": refuse} if of == "line" else {"on_tick": refuse}
    with pytest.raises(InputError, match="loss is NaN"):
        run_program(python(family(), tmp_path / "pids"), tick_seconds=0.05, **callback)
    assert not any(map(is_alive, read_pids(tmp_path / "pids", 3)))


def test_stubborn_program_is_killed(python: Make, tmp_path: Path, short_grace: None) -> None:
    def refuse(line: str) -> None:
        raise InputError("enough")

    program = python(family("signal.signal(signal.SIGTERM, signal.SIG_IGN)"), tmp_path / "pids")
    started = time.monotonic()
    with pytest.raises(InputError, match="enough"):
        run_program(program, on_line=refuse, stop_seconds=0.5)
    assert time.monotonic() - started > 0.5
    assert not any(map(is_alive, read_pids(tmp_path / "pids", 3)))


def test_time_to_save_its_state(python: Make, tmp_path: Path) -> None:
    """Its helpers live until it has ended, and what it prints meanwhile is kept."""
    helper_lives = "all(child.poll() is None for child in children)"
    prelude = f"""
    def save(*_):
        time.sleep(0.5)
        print("saved", {helper_lives})
        sys.exit(0)
    signal.signal(signal.SIGTERM, save)
    """

    def refuse(line: str) -> None:
        raise InputError("enough")

    program = python(family(prelude), tmp_path / "pids")
    with pytest.raises(InputError, match="enough"):
        run_program(program, on_line=refuse)
    assert log_without_headers(program) == b"ready\nsaved True\n"
    assert not any(map(is_alive, read_pids(tmp_path / "pids", 3)))


@pytest.mark.parametrize("ending", ["sys.exit(0)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_what_a_program_leaves_behind_is_ended(python: Make, tmp_path: Path, short_grace: None, ending: str) -> None:
    program = python(family(child=STUBBORN, ending=ending), tmp_path / "pids")
    if "exit" in ending:
        run_program(program)
    else:
        with pytest.raises(ToolError, match="SIGKILL"):
            run_program(program)
    assert not any(map(is_alive, read_pids(tmp_path / "pids", 3)))


def test_stop_command_runs_after_a_forced_stop_only(python: Make, tmp_path: Path) -> None:
    stop = ["touch", str(tmp_path / "stopped")]
    run_program(python("print('done')", stop=stop))
    assert not (tmp_path / "stopped").exists()

    def refuse(line: str) -> None:
        raise InputError("enough")

    with pytest.raises(InputError, match="enough"):
        run_program(python("import time; print('ready'); time.sleep(60)", stop=stop), on_line=refuse)
    assert (tmp_path / "stopped").exists()


def test_in_another_thread(python: Make) -> None:
    lines: list[str] = []
    program = python("print('from afar')")
    thread = threading.Thread(target=run_program, args=[program], kwargs={"on_line": lines.append})
    thread.start()
    thread.join()
    assert lines == ["from afar"]


def test_handlers_are_put_back(python: Make) -> None:
    def handler(signum: int, frame: object) -> None:
        raise AssertionError

    before = signal.signal(signal.SIGTERM, handler)
    try:
        during: list[object] = []
        run_program(python("print('x')"), on_line=lambda line: during.append(signal.getsignal(signal.SIGTERM)))
        assert signal.getsignal(signal.SIGTERM) is handler
        assert during[0] is not handler
    finally:
        signal.signal(signal.SIGTERM, before)


# ---------------------------------------------------------------- signals to the caller


CALLER = """
import sys
from pathlib import Path
from workflow.launch.process import Program, run_program
folder = Path(sys.argv[1])
program = Program([sys.executable, "-u", "-S", str(folder / "tool.py"), str(folder / "pids")], {}, folder / "log.txt")
try:
    run_program(program, stop_seconds=float(sys.argv[2]))
except BaseException as error:
    (folder / "raised").write_text(repr(error))
    raise
"""


class Caller:
    """A process that runs `run_program`, and can be sent signals."""

    def __init__(self, folder: Path, tool: str, stop_seconds: float = 20.0, nohup: bool = False) -> None:
        (folder / "tool.py").write_text(textwrap.dedent(tool))
        (folder / "caller.py").write_text(CALLER)
        self.folder = folder
        self.process = subprocess.Popen(
            [*(["nohup"] if nohup else []), sys.executable, str(folder / "caller.py"), str(folder), str(stop_seconds)],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.pids = read_pids(folder / "pids", 3)
        # It has told its ids before it printed: give the caller time to be where a user would interrupt it.
        wait_until(lambda: b"ready" in (folder / "log.txt").read_bytes())

    def send(self, signum: int) -> None:
        self.process.send_signal(signum)

    def wait(self) -> tuple[int, str]:
        """Exit code and what was raised; nothing may be left running."""
        self.process.communicate(timeout=20)
        assert not any(map(is_alive, self.pids))
        return self.process.returncode, (self.folder / "raised").read_text()


def test_sigterm(tmp_path: Path) -> None:
    caller = Caller(tmp_path, family())
    assert all(map(is_alive, caller.pids))
    caller.send(signal.SIGTERM)
    assert caller.wait() == (143, "SystemExit(143)")


def test_ctrl_c(tmp_path: Path) -> None:
    """The program gets the same signal."""
    caught = "signal.signal(signal.SIGINT, lambda *_: (print('interrupted'), sys.exit(0)))"
    caller = Caller(tmp_path, family(caught))
    caller.send(signal.SIGINT)
    assert caller.wait() == (-signal.SIGINT, "KeyboardInterrupt()")
    assert "interrupted" in (tmp_path / "log.txt").read_text()


def test_lost_terminal(tmp_path: Path) -> None:
    caller = Caller(tmp_path, family())
    caller.send(signal.SIGHUP)
    assert caller.wait() == (129, "SystemExit(129)")


def test_lost_terminal_under_nohup(tmp_path: Path) -> None:
    caller = Caller(tmp_path, family(ending="time.sleep(1); sys.exit(5)"), nohup=True)
    caller.send(signal.SIGHUP)
    code, raised = caller.wait()
    assert code == 1
    assert "ended with exit code 5" in raised


def test_sigterm_to_a_stubborn_family(tmp_path: Path) -> None:
    ignore = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    caller = Caller(tmp_path, family(ignore, child=STUBBORN), stop_seconds=0.5)
    caller.send(signal.SIGTERM)
    assert caller.wait() == (143, "SystemExit(143)")


def test_second_ctrl_c_kills_at_once(tmp_path: Path) -> None:
    ignore = "signal.signal(signal.SIGINT, signal.SIG_IGN)"
    caller = Caller(tmp_path, family(ignore), stop_seconds=60)
    caller.send(signal.SIGINT)
    time.sleep(0.5)
    assert caller.process.poll() is None
    started = time.monotonic()
    caller.send(signal.SIGINT)
    assert caller.wait()[1] == "KeyboardInterrupt()"
    assert time.monotonic() - started < 5


def test_time_to_save_on_sigterm(tmp_path: Path) -> None:
    save = "signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.5), print('saved'), sys.exit(0)))"
    caller = Caller(tmp_path, family(save))
    caller.send(signal.SIGTERM)
    assert caller.wait() == (143, "SystemExit(143)")
    assert (tmp_path / "log.txt").read_text().endswith("ready\nsaved\n")
