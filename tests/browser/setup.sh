#!/bin/sh
# Finds a Chromium for the tests, or unpacks one: no root, no container, nothing outside one directory.
#
#   tests/browser/setup.sh      prints the program; ends with 69 where that is impossible
#
# Taken is, in this order: the program that CALLGATE_CHROMIUM names, whatever it is; a Chromium or
# Chrome on PATH that is new enough for the pages and no snap (which sees none of the tests'
# files); Debian's chromium-headless-shell with every library that it needs and a font.
# apt resolves what that is against a machine that has the C library alone, so the tree does not
# depend on what else is installed here, now or later.
# Built aside and renamed: a directory that exists is complete. Running it again costs nothing.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
target=${CALLGATE_CHROMIUM_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/callgate/chromium}
oldest=123 # knows light-dark() in CSS
shared=$here/../support/debian.sh
# shellcheck source=../support/debian.sh
. "$shared"

# Whether the program $1 is one that the tests can use.
usable() {
    version=$("$1" --version 2> /dev/null) || return 1
    case $version in *snap*) return 1 ;; esac
    major=$(echo "$version" | sed -n 's/^[^0-9]* \([0-9]\{1,\}\)\..*/\1/p')
    [ "${major:-0}" -ge "$oldest" ]
}

on_path() {
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        program=$(command -v "$name") || continue
        ! usable "$program" || return 0
    done
    return 1
}

installed() {
    cat <<-PACKAGE
	Package: $1
	Status: install ok installed
	Architecture: $(dpkg --print-architecture)
	Multi-Arch: foreign
	Version: $2
	Maintainer: nobody
	Description: taken for installed

	PACKAGE
}

# What apt takes for installed: this machine's C library, and what only a desktop or a package's
# own scripts would run.
write_status() {
    libc=$(dpkg-query --show --showformat '${Version}' libc6 2> /dev/null) ||
        impossible "this machine's C library is not Debian's package libc6"
    installed libc6 "$libc"
    for package in x11-utils xdg-utils fontconfig-config; do installed "$package" 1:999; done
}

closure() {
    apt-get install --simulate --no-install-recommends "$@" > "$work/apt/plan" 2> "$work/apt/log" || {
        cat "$work/apt/plan" "$work/apt/log" >&2
        impossible "no Debian mirror of this machine offers $1 for its C library"
    }
    sed -n 's/^Inst \([^ ]*\) .*/\1/p' "$work/apt/plan"
}

# All the text that a page needs, in one family; a machine's own fonts would change the screenshots.
write_fonts() {
    {
        echo '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>'
        echo '<dir prefix="relative">root/usr/share/fonts</dir>'
        echo '<cachedir prefix="xdg">fontconfig</cachedir>'
        for family in sans-serif:Sans system-ui:Sans serif:Serif 'monospace:Sans Mono'; do
            echo "<alias><family>${family%:*}</family>"
            echo "<prefer><family>DejaVu ${family#*:}</family></prefer></alias>"
        done
        echo '</fontconfig>'
    } > "$work/fonts.conf"
}

# A program that finds its own directory when it runs, so that the tree can be renamed.
write_wrapper() {
    libraries=$(cd "$work/root" && find . -name 'lib*.so*' ! -path '*/chromium/*' ! -path '*/share/*' |
        sed -e 's,/[^/]*$,,' -e 's,^[.],$here/root,' | sort -u | paste -sd :)
    cat > "$work/chromium" <<-WRAPPER
	#!/bin/sh
	here=\$(dirname -- "\$(readlink -f -- "\$0")")
	FONTCONFIG_FILE=\$here/fonts.conf LD_LIBRARY_PATH=$libraries \\
	    exec "\$here/root/usr/lib/chromium/chromium-headless-shell" "\$@"
	WRAPPER
    chmod 755 "$work/chromium"
}

build() {
    configure_apt
    write_status > "$work/apt/status"
    echo "$available" | fetch_lists || {
        cat "$work/apt/log" >&2
        impossible "apt cannot fetch the lists of this machine's Debian mirror"
    }
    packages=$(closure chromium-headless-shell fonts-dejavu-core)
    # shellcheck disable=SC2086
    unpack $packages
    write_fonts
    write_wrapper
    page=$(HOME=$work/home "$work/chromium" --no-sandbox --disable-gpu --disable-dev-shm-usage \
        --user-data-dir="$work/home" --dump-dom 'data:text/html,<title>it runs</title>' \
        2> "$work/log") || true
    case $page in *'it runs'*) ;; *)
        cat "$work/log" >&2
        impossible "Debian's Chromium does not run here: $(tail -n 1 "$work/log")"
    esac
    "$work/chromium" --version > "$work/version"
    (cd "$work/root" && rm -rf etc usr/share/doc usr/share/man usr/share/locale usr/share/X11 \
        usr/lib/chromium/libVkLayer_khronos_validation.so)
    rm -rf "$work/home" "$work/log"
}

take_from_debian() {
    require_apt
    available=$(archives)
    [ -n "$available" ] || impossible "apt is configured with no Debian mirror"
    make_anew
}

if [ -n "${CALLGATE_CHROMIUM:-}" ]; then
    command -v "$CALLGATE_CHROMIUM" && exit
    echo "setup.sh: CALLGATE_CHROMIUM=$CALLGATE_CHROMIUM is no program" >&2
    exit 78
fi
if on_path; then
    echo "$program"
    exit
fi
command -v flock > /dev/null || impossible "there is no flock here"
command -v sha256sum > /dev/null || impossible "there is no sha256sum here"
made_before "$target" "$0" "$shared" || take_from_debian
echo "$target/chromium"
