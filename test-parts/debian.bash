# Sourced after stage.bash. Unpacks a package of another Debian release into .parts without touching the machine:
# an apt with its own state, cache and sources. Needs no root. Programs written in Go need nothing but libc, so a
# package of a newer release runs on an older one.

# debian_package PART PACKAGE SUITE [LIBRARY...]: unpacks the package, and the packages of libraries that it needs, into
# .parts/PART and leaves its version in $version.
debian_package() {
    local part=$1 package=$2 suite=$3 apt=$parts/apt keyring archive tool
    shift 3
    for tool in apt-get dpkg dpkg-deb; do
        command -v "$tool" >/dev/null || fail "$part" "it comes as a Debian package, and this machine has no $tool" \
            "run the tests on Debian or Ubuntu, or in a container of it (docker run -it debian:12)" \
            "or put the program of that name at $parts/$part/usr/bin/ yourself, and use cargo test"
    done
    keyring=$(debian_keyring) || fail "$part" "this machine lacks the keys that sign Debian's packages" \
        "apt-get install debian-archive-keyring"
    [[ -n $(debian_mirror) ]] || fail "$part" "this machine's apt sources name no Debian mirror" \
        "name one: DEBIAN_MIRROR=http://<mirror>/debian ./test"
    configure_apt "$apt" "$keyring" "$suite"

    hint="is the Debian mirror reachable? it was taken from this machine's apt sources: $(debian_mirror)"
    run "$part" env APT_CONFIG="$apt/apt.conf" apt-get update -q --error-on=any
    rm -rf "$apt/download" "$parts/$part"
    mkdir -p "$apt/download" "$parts/$part"
    cd "$apt/download"
    run "$part" env APT_CONFIG="$apt/apt.conf" apt-get download -q "$package/$suite" "${@/%//$suite}"
    version=$(dpkg-deb -f "$apt/download/$package"_*.deb Version)
    unset hint
    for archive in "$apt"/download/*.deb; do
        run "$part" dpkg -x "$archive" "$parts/$part"
    done
    rm -rf "$apt/download"
}

# The configuration keeps the machine's own ways to reach a mirror (proxies, retries) and nothing else of it.
configure_apt() {
    local apt=$1 keyring=$2 suite=$3
    rm -rf "$apt/sources"
    mkdir -p "$apt"/{state/lists/partial,cache/archives/partial,parts,sources}
    : >"$apt/status"
    {
        printf 'Dir::State "%s/state";\nDir::State::status "%s/status";\nDir::Cache "%s/cache";\n' "$apt" "$apt" "$apt"
        printf 'Dir::Etc::sourcelist "/dev/null";\nDir::Etc::sourceparts "%s/sources";\n' "$apt"
        printf 'Dir::Etc::Main "/dev/null";\nDir::Etc::Parts "%s/parts";\n' "$apt"
        printf 'APT::Sandbox::User "root";\nAcquire::Languages "none";\n'
        apt-config dump | grep -E '^Acquire::(http|https|Check-|Retries|ForceIPv)' || true
    } | write_private "$apt/apt.conf"
    {
        printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\n' "$(debian_mirror)" "$suite"
        printf 'Signed-By: %s\n' "$keyring"
    } | write_private "$apt/sources/debian.sources"
}

# A proxy's or a mirror's address may carry a password.
write_private() {
    (umask 077 && cat >"$1.new" && mv "$1.new" "$1")
}

# The mirror named by DEBIAN_MIRROR, else the one that this machine uses for Debian; nothing when it uses none.
debian_mirror() {
    local found
    found=$(cat /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list /etc/apt/sources.list 2>/dev/null |
        grep -Ev '^[[:space:]]*#' | grep -Eo '(https?|mirror\+[a-z]+)://[^][:space:]]+/debian/?([[:space:]]|$)' |
        head -n 1 | tr -d '[:space:]') || true
    printf '%s\n' "${DEBIAN_MIRROR:-$found}"
}

debian_keyring() {
    local keyring
    for keyring in /usr/share/keyrings/debian-archive-keyring.{gpg,pgp}; do
        if [[ -r $keyring ]]; then
            printf '%s\n' "$keyring"
            return 0
        fi
    done
    return 1
}
