#!/bin/sh
# Create a virtual environment in the folder $1, even if the machine's Python lacks venv or pip.
#
# Debian and Ubuntu have venv and pip in separate packages. Where these are not installed, pip is taken from
# the distribution's package that holds its wheel: downloaded and unpacked beside the environment, no root needed.
set -eu
python=${PYTHON:-python3}
target=$1

if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 8))'; then :; else
    echo "$python is older than 3.8; set PYTHON to a newer one" >&2
    exit 1
fi

rm -rf "$target"
if "$python" -m venv "$target" >/dev/null 2>&1; then
    exit 0
fi

rm -rf "$target"
echo "lab: this Python has no venv of its own, fetching pip from the distribution" >&2
wheels=.cache/pip
mkdir -p "$wheels"
(cd "$wheels" && apt-get download python3-pip-whl python3-setuptools-whl >/dev/null 2>&1 && for deb in *.deb; do
    dpkg-deb -x "$deb" .
done) || {
    echo "Could not make a virtual environment. Install your distribution's python3-venv, then run make again." >&2
    exit 1
}
pip=$(ls "$wheels"/usr/share/python-wheels/pip-*.whl | tail -n 1)
PYTHONPATH=$pip "$python" -m pip install --quiet --target "$wheels/virtualenv" virtualenv
PYTHONPATH=$wheels/virtualenv "$python" -m virtualenv --quiet "$target"
