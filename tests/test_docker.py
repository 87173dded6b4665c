"""The images' recipes, as far as they can be checked without an engine; install.sh is run with a made-up pip."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from workflow.config import (
    BackendConfig,
    GatesConfig,
    InferConfig,
    LauncherConfig,
    ParallelConfig,
    PredictConfig,
    TrainConfig,
)

ROOT = Path(__file__).parents[1]
DOCKER = ROOT / "docker"
DOCKERFILES = sorted(DOCKER.glob("Dockerfile*"))
SCRIPTS = sorted(DOCKER.glob("*.sh"))
#: Packages of NVIDIA's images that must stay as they are.
PRECIOUS = re.compile(r"\b(torch|numpy|pandas|transformer[-_]engine|megatron[-_]core|nemo[-_]toolkit|flash[-_]attn)\b")

Instruction = tuple[str, str]


def instructions(dockerfile: Path) -> list[Instruction]:
    """Keyword and argument of each instruction, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", dockerfile.read_text(), flags=re.MULTILINE)
    joined = re.sub(r"\\\n\s*", " ", text)
    return [
        (keyword.upper(), rest) for keyword, rest in (line.split(maxsplit=1) for line in joined.splitlines() if line)
    ]


def defaults(parts: list[Instruction]) -> dict[str, str]:
    return dict(rest.replace('"', "").split("=", 1) for keyword, rest in parts if keyword == "ARG")


def bash_accepts(script: str) -> None:
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_there_are_three() -> None:
    assert [path.name for path in DOCKERFILES] == ["Dockerfile", "Dockerfile.cpu", "Dockerfile.mbridge"]


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
class TestDockerfile:
    def test_the_first_line_builds_it(self, dockerfile: Path) -> None:
        first = dockerfile.read_text().splitlines()[0]
        assert first.startswith(f"# docker build -f docker/{dockerfile.name} ")
        assert first.endswith(" .")

    def test_base_is_an_argument_with_a_fixed_version(self, dockerfile: Path) -> None:
        parts = instructions(dockerfile)
        (base,) = (rest for keyword, rest in parts if keyword == "FROM")
        assert parts[0][0] == "ARG"
        known = defaults(parts[:1])
        (name,) = re.findall(r"\$\{(\w+)\}", base)
        image = base.replace(f"${{{name}}}", known[name])
        assert re.search(r":\d+(\.\d+)+(-slim)?$", image)
        assert "latest" not in dockerfile.read_text()

    def test_commands_are_bash_and_stop_at_an_error(self, dockerfile: Path) -> None:
        parts = instructions(dockerfile)
        keywords = [keyword for keyword, _ in parts]
        assert ("SHELL", '["/bin/bash", "-o", "pipefail", "-c"]') in parts
        assert keywords.index("SHELL") < keywords.index("RUN")
        for keyword, command in parts:
            if keyword == "RUN":
                bash_accepts(command)
                assert ";" not in command, "a command after ; hides that the one before it failed"

    def test_what_is_copied_is_there_and_nothing_is_fetched(self, dockerfile: Path) -> None:
        parts = instructions(dockerfile)
        assert "ADD" not in dict(parts)
        assert ("COPY", ". /opt/evo2-adaptation") in parts
        text = dockerfile.read_text()
        assert not re.search(r"\b(curl|wget|git clone|sudo|chmod 777)\b", text)

    def test_system_packages_are_held_and_cleaned(self, dockerfile: Path) -> None:
        for keyword, command in instructions(dockerfile):
            if keyword == "RUN" and "apt-get" in command:
                assert "--no-install-recommends" in command
                assert "rm -rf /var/lib/apt/lists/*" in command
                packages = re.findall(r"install [^&]*", command)[0].split()[1:]
                assert all("=" in package for package in packages if not package.startswith("-"))

    def test_installs_no_package_of_the_image(self, dockerfile: Path) -> None:
        commands = [rest for keyword, rest in instructions(dockerfile) if keyword == "RUN"]
        assert not any(PRECIOUS.search(command) for command in commands)
        installs = [command for command in commands if "pip install" in command or "install.sh" in command]
        assert len(installs) == 1
        if "pip install" in installs[0]:
            assert "--constraint" in installs[0]
            assert "--no-cache-dir" in installs[0]

    def test_ends_as_a_user_who_is_not_root(self, dockerfile: Path) -> None:
        parts = instructions(dockerfile)
        users = [rest for keyword, rest in parts if keyword == "USER"]
        assert users[-1] == "${USER_ID}"
        assert int(defaults(parts)["USER_ID"]) > 1000
        after = parts[len(parts) - 1 - [keyword for keyword, _ in reversed(parts)].index("USER") :]
        assert "RUN" not in dict(after)

    def test_holds_no_secret(self, dockerfile: Path) -> None:
        assert not re.search(r"TOKEN|API_KEY|PASSWORD|SECRET", dockerfile.read_text())

    def test_starts_a_command_of_this_project(self, dockerfile: Path) -> None:
        command = yaml.safe_load(dict(instructions(dockerfile))["CMD"])
        assert command[:2] == ["python", "-m"]
        assert find_spec(command[2]) is not None


def test_context_is_what_is_needed() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert patterns[0] == "*", "everything is left out that is not named"
    named = allowed()
    assert all((ROOT / path).exists() for path in named)
    needed = {
        "workflow",
        "evaluation",
        "configs",
        "patches",
        "docker",
        "pyproject.toml",
        "constraints.txt",
        "data/tiny",
    }
    assert needed <= named
    assert "data" not in named, "genomes and checkpoints stay outside"


def allowed() -> set[str]:
    """What .dockerignore lets through."""
    return {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}


def test_rehearsal_takes_what_docker_takes() -> None:
    copies = re.findall(r"^cp -r (.*) \"\$folder", (DOCKER / "rehearse.sh").read_text(), flags=re.MULTILINE)
    assert {path for line in copies for path in line.split()} == allowed()


def test_apptainer_takes_what_docker_takes() -> None:
    text = (DOCKER / "apptainer.def").read_text()
    (block,) = re.findall(r"%files\n((?: +.*\n)+)", text)
    pairs = [line.split() for line in block.splitlines()]
    assert all(target == f"/opt/evo2-adaptation/{source}" for source, target in pairs)
    assert {source for source, _ in pairs} == allowed()
    assert "{{ BIONEMO_VERSION }}" in text
    version = defaults(instructions(DOCKER / "Dockerfile"))["BIONEMO_VERSION"]
    assert f"BIONEMO_VERSION={version}\n" in text
    for name in ("post", "runscript"):
        (script,) = re.findall(rf"%{name}\n((?: +.*\n|\n)+)", text + "\n")
        bash_accepts(script)


def test_compose() -> None:
    composed = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    services = composed["services"]
    assert set(services) == {"nemo2", "mbridge", "cpu"}
    for service in services.values():
        build = service["build"]
        dockerfile = (DOCKER / build["context"]).resolve() / build["dockerfile"]
        assert dockerfile in DOCKERFILES
        known = defaults(instructions(dockerfile))
        for name, value in build.get("args", {}).items():
            assert value == f"${{{name}:-{known[name]}}}"
        assert not service.get("privileged")
        assert service["user"].startswith("${HOST_UID:?")
        # A name without a value: taken from the shell that calls.
        assert all("=" not in name for name in service.get("environment", []))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_bash_and_stop_at_an_error(script: Path) -> None:
    text = script.read_text()
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in text
    assert script.stat().st_mode & stat.S_IXUSR
    bash_accepts(text)
    installs = [line for line in text.splitlines() if "pip install" in line]
    assert installs
    assert not any(PRECIOUS.search(line) for line in installs)


def test_stand_ins_satisfy_the_project() -> None:
    """A stand-in below a lower bound would be replaced, which install.sh refuses."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [Requirement(text) for text in project["dependencies"] + project["optional-dependencies"]["local"]]
    lines = (DOCKER / "container-constraints.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    shared = [requirement for requirement in wanted if requirement.name in pinned]
    assert {"torch", "numpy", "pandas", "lightning", "peft", "hydra-core"} <= {each.name for each in shared}
    for requirement in shared:
        assert requirement.specifier.contains(pinned[requirement.name]), requirement.name


# ---------------------------------------------------------------- install.sh


#: `python` of a made-up image: pip lists from a file and installs by appending to it; patches end as told.
PYTHON = """#!/usr/bin/env bash
echo "$*" >>"$STATE/calls"
case "$*" in
"-m pip list"*) cat "$STATE/packages" ;;
"-m pip install --constraint "*) cp "$5" "$STATE/constraints"; eval "$INSTALL" ;;
"-m workflow.patches apply") exit "$PATCHES" ;;
esac
"""


def install(tmp_path: Path, effect: str, patches: int = 0) -> subprocess.CompletedProcess[str]:
    """Run install.sh of a copied project where `pip install` has the given effect on the list of packages."""
    commands, project = tmp_path / "bin", tmp_path / "project" / "docker"
    commands.mkdir()
    project.mkdir(parents=True)
    (commands / "python").write_text(PYTHON)
    (commands / "python").chmod(0o755)
    (tmp_path / "packages").write_text("torch==2.8.0a0+nv25.6\nnumpy==1.26.4\nZope==1\n")
    (project / "install.sh").write_text((DOCKER / "install.sh").read_text())
    (project.parent / "private").touch(0o600)  # as copied from a home folder
    environment = {
        "PATH": f"{commands}:{os.environ['PATH']}",
        "STATE": str(tmp_path),
        "INSTALL": effect,
        "PATCHES": str(patches),
    }
    script = ["bash", str(project / "install.sh")]
    return subprocess.run(script, env=environment, capture_output=True, text=True, timeout=60)


def test_install_adds_under_the_image_s_versions(tmp_path: Path) -> None:
    done = install(tmp_path, 'echo "gffutils==0.14" >>"$STATE/packages"')
    assert done.returncode == 0, done.stderr
    assert done.stdout == "added: gffutils==0.14\n"
    assert sorted((tmp_path / "constraints").read_text().split()) == [
        "Zope==1",
        "numpy==1.26.4",
        "torch==2.8.0a0+nv25.6",
    ]
    project = tmp_path / "project"
    assert f"--editable {project}\n" in (tmp_path / "calls").read_text()
    assert stat.S_IMODE((project / "private").stat().st_mode) == 0o644


def test_install_refuses_to_change_a_package(tmp_path: Path) -> None:
    done = install(tmp_path, 'sed -i s/numpy==1.26.4/numpy==2.3.0/ "$STATE/packages"')
    assert done.returncode == 1
    assert done.stderr == "error: the installation changed packages of the image: numpy==1.26.4\n"
    assert "workflow.patches" not in (tmp_path / "calls").read_text()


def test_install_refuses_to_lose_packages(tmp_path: Path) -> None:
    done = install(tmp_path, ': >"$STATE/packages"')
    assert done.returncode == 1
    assert done.stderr.endswith("image: Zope==1, numpy==1.26.4, torch==2.8.0a0+nv25.6\n")


def test_install_stops_when_pip_fails(tmp_path: Path) -> None:
    assert install(tmp_path, "exit 1").returncode == 1


@pytest.mark.parametrize(("patches", "code"), [(0, 0), (1, 0), (2, 1)])
def test_install_goes_on_without_a_patch_that_does_not_fit(tmp_path: Path, patches: int, code: int) -> None:
    assert install(tmp_path, ":", patches).returncode == code


# ---------------------------------------------------------------- what the pages say


SECTIONS = {
    "backend": BackendConfig,
    "infer": InferConfig,
    "launcher": LauncherConfig,
    "parallel": ParallelConfig,
    "predict": PredictConfig,
    "train": TrainConfig,
}


@pytest.mark.parametrize("page", ["docs/unverified.md", "docker/README.md", "patches/README.md"])
def test_pages_name_what_exists(page: str) -> None:
    text = (ROOT / page).read_text()
    for group, name in re.findall(r"\b(model|backend|genome|launcher|train)=(\w[\w-]*)", text):
        assert (ROOT / "configs" / group / f"{name}.yaml").exists(), f"{group}={name}"
    for module in re.findall(r"python -m (workflow\.\w+)", text):
        assert find_spec(module) is not None, module
    for section, key in re.findall(rf"\b({'|'.join(SECTIONS)})\.(\w+)=", text):
        assert key in SECTIONS[section].__dataclass_fields__, f"{section}.{key}"
    for gate in re.findall(r"the gate `(\w+)`", text):
        assert gate in GatesConfig.__dataclass_fields__, gate
