"""A Slurm cluster on this machine, in a temporary folder, for the time of a test."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue")
_CONFIGURATION = """\
ClusterName=lic
SlurmctldHost=localhost
SlurmctldPort={controller_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=5,batch_sched_delay=0
ReturnToService=2
SlurmdParameters=config_overrides
MpiDefault=none
JobRequeue=1
KillWait=10
WaitTime=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=low Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE
PartitionName=high Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""
_NODE = "NodeName={name} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port} CPUs={cpus} RealMemory=4000\n"


class NoClusterError(Exception):
    """Why there is none."""


@dataclass
class Cluster:
    """One that runs: its files, and its daemons in the order of their start, the last node's last."""

    folder: Path
    daemons: list[subprocess.Popen[bytes]]

    @property
    def environment(self) -> dict[str, str]:
        """In which Slurm's commands find it, and in which tasks find each other."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf"), "MASTER_ADDR": "127.0.0.1"}

    def start(self, command: list[str]) -> None:
        """Start a daemon."""
        with (self.folder / "daemons.txt").open("ab") as said:
            process = subprocess.Popen(
                command,
                env=os.environ | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        self.daemons.append(process)

    def start_node(self, name: str, *options: str) -> None:
        """Start the daemon of a node; ``-b`` has it say that its machine has started, too."""
        self.start(["slurmd", "-D", "-N", name, "-f", self.environment["SLURM_CONF"], *options])

    def cut_power_of_node(self) -> None:
        """Kill the daemon of the only node, and all processes of its jobs."""
        self.daemons[-1].kill()
        self.daemons.pop().wait()
        own = f"SLURM_CONF={self.folder}/".encode()
        for process in Path("/proc").glob("[0-9]*"):
            environment = _content(process / "environ")
            is_step = _content(process / "cmdline").startswith(b"slurmstepd")
            if own in environment and (is_step or b"SLURM_JOB_ID=" in environment):
                with suppress(ProcessLookupError):
                    os.kill(int(process.name), signal.SIGKILL)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:  # it has just ended
        return b""


@contextmanager
def cluster(folder: Path, cpus: int | None = None, nodes: int = 1) -> Iterator[Cluster]:
    """Start the daemons of nodes that are called node1, node2, … and differ by their ports.

    No accounting, as on many small clusters: `sacct` knows nothing.

    Raises:
        NoClusterError: Slurm is not installed, or does not start here; the text says which.
    """
    os.environ["PATH"] += f"{os.pathsep}/usr/sbin"
    if missing := [name for name in PROGRAMS if not shutil.which(name)]:
        raise NoClusterError(f"{missing[0]} is not installed (slurm-wlm and munge)")
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    names = [f"node{i}" for i in range(1, nodes + 1)]
    for name in ("state", *(f"spool-{node}" for node in names)):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    configuration = folder / "slurm.conf"
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    own = [_NODE.format(name=name, port=_free_port(), cpus=cpus or os.cpu_count()) for name in names]
    shared = _CONFIGURATION.format(folder=folder, user=user, controller_port=_free_port())
    configuration.write_text(shared + "".join(own))
    files = {"key": key, "socket": folder / "munge.socket", "pid": folder / "munged.pid"}
    files |= {"log": folder / "munged.log", "seed": folder / "munged.seed"}
    options = [f"--{name}{'' if name == 'socket' else '-file'}={path}" for name, path in files.items()]
    environment = os.environ | {"SLURM_CONF": str(configuration)}
    made = Cluster(folder, [])
    try:
        for command in (
            ["munged", "--foreground", "--force", *options],
            ["slurmctld", "-D", "-f", str(configuration)],
        ):
            made.start(command)
            time.sleep(0.5)
        for name in names:
            made.start_node(name)
        _wait_until_idle(environment, made.daemons, folder)
        yield made
    finally:
        subprocess.run(["scancel", "--user", user], env=environment, capture_output=True, check=False)
        for daemon in reversed(made.daemons):
            daemon.terminate()
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _wait_until_idle(
    environment: dict[str, str], daemons: list[subprocess.Popen[bytes]], folder: Path
) -> None:
    for _ in range(60):
        asked = subprocess.run(
            ["sinfo", "--noheader", "--format=%t"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if set(asked.stdout.split()) == {"idle"}:
            return
        if any(daemon.poll() is not None for daemon in daemons):
            break
        time.sleep(0.5)
    raise NoClusterError(
        f"Slurm does not start: {(folder / 'daemons.txt').read_text('utf-8', 'replace')[-400:]}"
    )
