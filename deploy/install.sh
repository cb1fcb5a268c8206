#!/bin/sh
# Installs the gateway from this checkout into a virtual environment of its own.
#
#   deploy/install.sh dependencies VENV    what it needs, pinned and hash-checked
#   deploy/install.sh gateway VENV         the wheel, built here; build tools go again
#   deploy/install.sh actions VENV         Node.js, and Segment's action destinations in
#                                          VENV/actions: only where they are wanted
#
# In steps, so that an image keeps the first one while only our code changes. The
# environment gets no pip. PYTHON and PIP choose whose. VENV is an absolute path; the
# steps over an older installation upgrade it.
set -eu

step=${1:?dependencies, gateway or actions} venv=${2:?the folder of the environment}
cd "$(dirname "$0")/.."
: "${PYTHON:=python3}" "${PIP:=$PYTHON -m pip}"

pip() {
    $PIP --python "$venv/bin/python" --quiet --disable-pip-version-check --no-input \
        --no-cache-dir "$@"
}

case $step in
dependencies)
    $PYTHON -m venv --without-pip "$venv"
    pip install --only-binary :all: --require-hashes --requirement requirements/run.txt
    ;;
gateway)
    wheels=$(mktemp -d)
    trap 'rm -rf "$wheels"' EXIT
    pip wheel --no-deps --no-build-isolation --wheel-dir "$wheels" .
    pip install --no-deps --force-reinstall "$wheels"/gateway-*.whl
    pip uninstall --yes hatchling editables pathspec pluggy tomlkit trove-classifiers
    pip check
    ;;
actions)
    pip install --only-binary :all: --require-hashes --requirement requirements/actions.txt
    GATEWAY_ACTIONS=$venv/actions "$venv/bin/gateway" --config deploy/gateway.toml \
        actions install
    ;;
*)
    echo "deploy/install.sh: $step: neither dependencies, gateway nor actions" >&2
    exit 2
    ;;
esac
