#!/bin/sh
# Builds python-ESL 1.4.18, FreeSWITCH's own client library, as an independent peer for the tests.
#
#   tests/esl_oracle/setup.sh [PYTHON]   prints the directory to import it from
#
# It ends with 69 where this machine cannot build it (no compiler, no Python headers), and with 75
# where it could have and it came to nothing (no package index, a build that fails).
# The package has no wheel and builds with SWIG 3 alone, which PyPI has too: beside that, a C++
# compiler is all it takes. Every download is checked by its hash.
# Built aside and renamed: a directory that exists is complete. Running it again costs nothing.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
python=${1:-python3}

impossible() { echo "setup.sh: $*" >&2; exit 69; }
failed() { echo "setup.sh: $*" >&2; exit 75; }

# What the build of an extension would miss here, by this Python's own word.
missing_tools() {
    "$python" - <<-'PY'
	import os, pathlib, shlex, shutil, sysconfig
	for name in ("CC", "CXX"):
	    command = shlex.split(os.environ.get(name) or sysconfig.get_config_var(name) or "c++")[0]
	    if not shutil.which(command):
	        print(f"there is no compiler here: {command} is missing")
	if not pathlib.Path(sysconfig.get_paths()["include"], "Python.h").exists():
	    print("Python.h is missing (package python3-dev)")
	PY
}

install() {
    "$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check --retries 1 \
        --no-deps --require-hashes "$@" > "$work/log" 2>&1 && return
    cat "$work/log" >&2
    failed "pip could not install from $2: $(grep -m 1 ERROR "$work/log")"
}

build() {
    "$python" -m venv "$work/venv" || failed "$python cannot make an environment"
    install -r "$here/tools.txt"
    PATH=$work/venv/bin:$PATH install -r "$here/python-esl.txt" --no-binary python-ESL \
        --no-build-isolation --use-pep517 --target "$work/site"
    "$python" -c 'import sys; sys.path[:0] = sys.argv[1:]; import ESL' "$work/site" ||
        failed "what was built cannot be imported"
    echo "$recipe" > "$work/site/recipe"
}

for tool in flock sha256sum "$python"; do
    command -v "$tool" > /dev/null || impossible "there is no $tool here"
done
tag=$("$python" -c 'import sys; print(sys.implementation.cache_tag)')
target=${CALLGATE_PYTHON_ESL_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/callgate/python-esl}-$tag

mkdir -p "$(dirname -- "$target")"
exec 9> "$target.lock"
flock 9
recipe=$(cat "$0" "$here/tools.txt" "$here/python-esl.txt" | sha256sum | cut -c 1-16)
if [ "$(cat "$target/recipe" 2> /dev/null)" != "$recipe" ]; then
    missing=$(missing_tools | head -n 1)
    [ -z "$missing" ] || impossible "$missing"
    work=$target.new
    rm -rf "$work"
    mkdir "$work"
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT TERM HUP
    build >&2
    rm -rf "$target"
    mv "$work/site" "$target"
fi
echo "$target"
