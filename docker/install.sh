#!/usr/bin/env bash
# Installs this project into an image that has NVIDIA's tools, and changes no package that is there already.
# Run by docker/Dockerfile, docker/Dockerfile.mbridge, docker/apptainer.def and docker/rehearse.sh.
set -euo pipefail

project="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT

# PIP_CONSTRAINT of NVIDIA's images would also hold the build tools of this project to their versions; what is
# installed is held to the versions of the image below. Such images have no virtual environment.
export PIP_CONSTRAINT="" PIP_BREAK_SYSTEM_PACKAGES=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1

versions() {
    python -m pip list --format=freeze --exclude evo2-adaptation | LC_ALL=C sort
}

# Whatever the rights of the files were where they were copied from.
chmod -R a+rX "$project"

versions >"$scratch/before.txt"
python -m pip install --constraint "$scratch/before.txt" --editable "$project"
versions >"$scratch/after.txt"

changed="$(LC_ALL=C comm -23 "$scratch/before.txt" "$scratch/after.txt")"
if [ -n "$changed" ]; then
    echo "error: the installation changed packages of the image: ${changed//$'\n'/, }" >&2
    exit 1
fi
echo "added: $(LC_ALL=C comm -13 "$scratch/before.txt" "$scratch/after.txt" | paste -sd ' ')"

# Exit code 1: a patch does not know this image's file. Training then avoids the fault by a slower way, and says so.
cd "$project"
python -m workflow.patches apply || [ $? -eq 1 ]
