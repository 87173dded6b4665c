#!/usr/bin/env bash
# bash docker/rehearse.sh FOLDER [PYTHON]: what docker/install.sh would do in the container, in a virtual environment
# with the container's versions (docker/container-constraints.txt). FOLDER is made and can be deleted afterwards.
set -euo pipefail

folder="${1:?usage: bash docker/rehearse.sh FOLDER [PYTHON]}"
interpreter="${2:-python3.12}"
project="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

"$interpreter" -m venv "$folder/venv"
export PATH="$folder/venv/bin:$PATH"
# Single packages without what they need: torch is not among them, and nothing of it is asked for.
grep -v '^torch==' "$project/docker/container-constraints.txt" >"$folder/stand-ins.txt"
python -m pip install --quiet --no-deps --requirement "$folder/stand-ins.txt"

# A copy with what .dockerignore lets through: an editable installation writes into its folder.
mkdir -p "$folder/project/data"
cd "$project"
cp -r LICENSE README.md configs constraints.txt docker evaluation patches pyproject.toml workflow "$folder/project"
cp -r data/README.md data/demo data/tiny "$folder/project/data"
bash "$folder/project/docker/install.sh"
