"""A real SLURM of five machines, all of them this one: slurmctld, five slurmd and munged of Debian's packages."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

NODES = ("nodea", "nodeb", "nodec")
#: Machines of a partition of their own, of which one may be lost while others are at work.
SPARE = ("spared", "sparee")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "scancel", "srun")
_INSTALL = "apt-get install --no-install-recommends slurmctld slurmd slurm-client munge"
_SBIN = "/usr/sbin:/sbin"
_CONFIG = """\
ClusterName=loop
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
SlurmctldPort={ports[0]}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdSpoolDir={folder}/spool-%n
StateSaveLocation={folder}/state
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
KillWait=4
MinJobAge=600
SlurmdTimeout=3
MessageTimeout=5
BatchStartTimeout=10
GresTypes=gpu
{nodes}
PartitionName=gpu Nodes={names} Default=YES State=UP PriorityTier=1
PartitionName=urgent Nodes={names} State=UP PriorityTier=10
PartitionName=spare Nodes={spare} State=UP PriorityTier=1
"""
_NODE = "NodeName={name} NodeAddr=127.0.0.1 Port={port} CPUs=4 RealMemory=4000 Gres=gpu:2 State=UNKNOWN"


@dataclass
class Cluster:
    """The cluster while it runs; `SLURM_CONF` of this process names it."""

    folder: Path
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, *line: str) -> None:
        with (self.folder / f"{name}.out").open("ab") as out:
            self.daemons[name] = subprocess.Popen(
                line, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )

    def start_node(self, name: str) -> None:
        self.start(name, "slurmd", "-D", "-f", str(self.folder / "slurm.conf"), "-N", name)

    def lose_node(self, name: str) -> None:
        """The machine loses its power: all that runs on it is gone at once, those first who would tell of it."""
        self.daemons[name].kill()
        self.daemons[name].wait()
        working = list(self._processes(f"SLURMD_NODENAME={name}\0"))
        parents = {int(_stat(pid)[1]) for pid in working}
        watching = [pid for pid in parents if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"slurmstepd")]
        _kill(watching)
        _kill(working)

    def wait_for_nodes(self) -> None:
        wait_until(lambda: asked("sinfo", "-h", "-o", "%T %D") == f"idle {len(NODES + SPARE)}", 30, self.logs)

    def logs(self) -> str:
        return "\n".join(f"== {path.name}\n{path.read_text()[-3000:]}" for path in sorted(self.folder.glob("*.log")))

    def _processes(self, *marks: str) -> Iterator[int]:
        """Processes of this cluster whose environment or command line holds one of the marks."""
        for place in Path("/proc").iterdir():
            if place.name.isdigit() and int(place.name) != os.getpid():
                with suppress(OSError):
                    environment = (place / "environ").read_bytes().decode(errors="replace")
                    line = (place / "cmdline").read_bytes().decode(errors="replace")
                    if str(self.folder) in environment + line and any(mark in environment + line for mark in marks):
                        yield int(place.name)

    def stop(self) -> None:
        asked("scancel", "--user", getpass.getuser())
        for daemon in reversed(self.daemons.values()):
            daemon.terminate()
        for daemon in self.daemons.values():
            try:
                daemon.wait(5)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        _kill(self._processes("SLURM_JOB_ID=", "slurm"))


def _stat(pid: int) -> list[str]:
    """State, parent and more of a process."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Start the cluster, and leave nothing of it behind."""
    before = {name: os.environ.get(name) for name in ("PATH", "SLURM_CONF")}
    os.environ["PATH"] = f"{os.environ['PATH']}:{_SBIN}"
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    assert not missing, f"{', '.join(missing)} not found: {_INSTALL}"
    # A socket has no long path.
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    cluster = Cluster(folder)
    try:
        _write_settings(folder)
        os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
        key = ("--key-file", str(folder / "munge.key"), "--socket", str(folder / "munge.socket"))
        files = [f"--{kind}-file={folder}/munged.{kind}" for kind in ("pid", "log", "seed")]
        # Forced: the folder is this user's alone.
        cluster.start("munged", "munged", "--foreground", "--force", *key, *files)
        wait_until((folder / "munge.socket").exists, 10, cluster.logs)
        cluster.start("slurmctld", "slurmctld", "-D", "-i", "-f", str(folder / "slurm.conf"))
        for name in NODES + SPARE:
            cluster.start_node(name)
        cluster.wait_for_nodes()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _write_settings(folder: Path) -> None:
    everything = NODES + SPARE
    ports = _free_ports(1 + len(everything))
    (folder / "state").mkdir()
    for name in everything:
        (folder / f"spool-{name}").mkdir()
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o400)
    for number in range(2):
        (folder / f"gpu{number}").touch()
    names, spare = ",".join(NODES), ",".join(SPARE)
    (folder / "gres.conf").write_text(f"NodeName={names},{spare} Name=gpu File={folder}/gpu[0-1]\n")
    nodes = "\n".join(_NODE.format(name=name, port=port) for name, port in zip(everything, ports[1:], strict=True))
    host = socket.gethostname().split(".")[0]
    (folder / "slurm.conf").write_text(
        _CONFIG.format(
            host=host, user=getpass.getuser(), folder=folder, ports=ports, nodes=nodes, names=names, spare=spare
        )
    )


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def asked(*line: str) -> str:
    """What a program of SLURM prints."""
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=30).stdout.strip()


def wait_until(condition: Callable[[], object], seconds: float = 30.0, tell: Callable[[], str] = str) -> None:
    """Wait for something to become true; what `tell` says is the reason of the failure."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"waited in vain\n{tell()}"
        time.sleep(0.1)
