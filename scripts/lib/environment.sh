# Makes the Python environment of this checkout. Sourced by scripts/test and scripts/demo.
#
#   make_environment demo|test    .venv holds what requirements/<that>.lock names, and edgetwin itself, editable
#
# A stamp in .venv tells what it was made from: the lock, pyproject.toml, the interpreter and the place of the
# checkout. While the stamp is right nothing is done, so the second run starts at once.

say() { printf '%s\n' "$*"; }
fail() { printf '%s\n' "$*" >&2; exit 1; }

# The first interpreter that is new enough, and not newer than what was tested.
find_python() {
    local candidate
    for candidate in python3 python3.13 python3.12 python3.11 python3.14; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    fail "edgetwin needs Python 3.11 to 3.14, and found $(python3 --version 2>&1 || true)." \
        "On Debian 12 or newer: sudo apt install python3 python3-venv"
}

check_platform() {
    case "$(uname -s) $(uname -m)" in
        "Linux x86_64" | "Linux aarch64") ;;
        *) fail "edgetwin runs on 64-bit Linux (x86-64 or arm64); this is $(uname -s) $(uname -m)." \
            "numpy and onnxruntime give no packages for it. On a Raspberry Pi install the 64-bit system." ;;
    esac
    # A 64-bit kernel may carry a 32-bit system: Raspberry Pi OS does.
    "$1" -c 'import sys; sys.exit(sys.maxsize < 2**32)' ||
        fail "This Python is a 32-bit one. Install a 64-bit system: numpy and onnxruntime have no 32-bit packages."
}

# What the environment of kind $1 is made from, as one line.
fingerprint() {
    { cat "requirements/$1.lock" pyproject.toml; "$python" -VV; pwd; } | sha256sum | cut -d' ' -f1
}

is_current() {
    [ -x .venv/bin/python ] && [ "$(cat ".venv/edgetwin-$1.stamp" 2>/dev/null)" = "$(fingerprint "$1")" ]
}

make_environment() {
    local kind=$1 python
    python=$(find_python)
    check_platform "$python"
    # The test environment holds all that the demo needs: the locks name the same versions.
    if is_current "$kind" || is_current test; then return; fi
    if [ -e .venv ] && [ ! -w .venv ]; then
        fail ".venv belongs to $(stat -c %U .venv). Run this as that user, or remove .venv."
    fi
    # Of another Python, or moved here with its checkout: its programs would start with what is no longer there.
    if [ "$(.venv/bin/python -VV 2>/dev/null)" != "$("$python" -VV)" ] ||
        ! grep -qF "$PWD/.venv" .venv/bin/activate; then
        say "Making the environment .venv with $("$python" --version) ..."
        "$python" -m venv --clear .venv ||
            fail "Python's venv module is not complete. On Debian: sudo apt install python3-venv"
    fi
    say "Installing requirements/$kind.lock into .venv (once; a minute or two) ..."
    local pip=(.venv/bin/python -m pip -qq --disable-pip-version-check --no-input install)
    "${pip[@]}" --require-hashes --only-binary :all: -r "requirements/$kind.lock" ||
        fail "The packages could not be installed. Is the package index reachable from here?"
    "${pip[@]}" --no-deps --no-build-isolation --editable .
    fingerprint "$kind" >".venv/edgetwin-$kind.stamp"
}
