#!/usr/bin/env bash
# Gradescope runs this file once, when it builds the container: Python 3.11 or newer, and the packages that minibert needs.
set -euo pipefail
root=${AUTOGRADER_ROOT:-/autograder}
source_folder=${AUTOGRADER_SOURCE:-$root/source}

has_new_python() { python3 -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

if ! has_new_python; then
  apt-get update
  DEBIAN_FRONTEND=noninteractive apt-get install -y python3 python3-pip python3-venv
fi
if has_new_python; then
  python3 -m venv "$root/venv"
else
  python3 -m venv "$root/tools"
  "$root/tools/bin/pip" install uv
  UV_PYTHON_INSTALL_DIR="$root/python" "$root/tools/bin/uv" venv --seed --python 3.12 "$root/venv"
fi
python=$root/venv/bin/python
# PyTorch without CUDA is much smaller. If its index cannot be reached, the next line installs the usual one.
"$python" -m pip install --index-url https://download.pytorch.org/whl/cpu "$(grep '^torch' "$source_folder/requirements.txt")" || true
"$python" -m pip install -r "$source_folder/requirements.txt"
