# Sourced by the scripts here. A part lives in .parts/NAME; it is complete when .parts/NAME/.stamp holds the line that
# the script wants. So a second run costs nothing, and changing a wanted version brings the part anew.

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
parts=$(dirname "$here")/.parts
started=$SECONDS

# say PART TEXT: one line of progress.
say() {
    printf '%-11s %s\n' "$1" "$2"
}

# fail PART TEXT [HINT...]: ends the run; says what is missing and what to do about it.
fail() {
    local part=$1 text=$2
    shift 2
    printf 'error: part `%s`: %s\n' "$part" "$text" >&2
    if (($# > 0)); then printf '  hint: %s\n' "$@" >&2; fi
    exit 1
}

# ready PART WANTED: true when the part is there as wanted. When it is not, takes the lock that keeps two runs from
# bringing it at once, and looks again.
ready() {
    if stamped "$1" "$2"; then return 0; fi
    mkdir -p "$parts" && [[ -w $parts ]] || fail "$1" "cannot write to $parts" \
        "was ./test run as another user before? remove that folder, or run as its owner"
    if command -v flock >/dev/null; then
        exec 9>"$parts/.lock"
        flock 9
    fi
    stamped "$1" "$2"
}

stamped() {
    local stamp=$parts/$1/.stamp
    [[ -f $stamp && $(head -n 1 "$stamp") == "$2" ]] || return 1
    say "$1" "$(tail -n 1 "$stamp"): already here"
}

# complete PART WANTED VERSION: writes the stamp, the last thing that is done to a part.
complete() {
    printf '%s\n%s\n' "$2" "$3" >"$parts/$1/.stamp"
    say "$1" "$3: brought in $((SECONDS - started)) s"
}

# run PART COMMAND...: quiet when it works; when it does not, ends the run with the command and what it said.
# $hint, when set, is printed with the failure.
run() {
    local part=$1 said status=0
    shift
    said=$("$@" 2>&1 9>&-) || status=$?
    if ((status != 0)); then
        {
            printf 'error: part `%s`: this command ended with exit code %s: %s\n' "$part" "$status" "$*"
            printf '%s\n' "$said" | tail -n 15 | sed 's/^/  | /'
            if [[ -n ${hint-} ]]; then printf '  hint: %s\n' "$hint"; fi
        } >&2
        exit 1
    fi
}
