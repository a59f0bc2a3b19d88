#!/bin/sh
# Unpacks Asterisk 22 and sipp for the tests: no root, no container, nothing outside one directory.
#
#   tests/asterisk/setup.sh [SUITE]      prints the directory; ends with 69 where that is impossible
#
# The packages come from the Debian mirror that this machine's apt is already configured with and
# are checked against Debian's archive key. They bring their own C library, so any glibc host will
# do. Which libraries are needed is read from the programs themselves, because Debian's names for
# them change (libxml2-16, libssl3t64) and apt's own closure is 160 packages.
# Built aside and renamed: a directory that exists is complete. Running it again costs nothing.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
suites=${1:-forky sid}
target=${CALLGATE_ASTERISK_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/callgate/asterisk}${1:+-$1}
modules=$here/config/asterisk/modules.conf
shared=$here/../support/debian.sh
# shellcheck source=../support/debian.sh
. "$shared"

# The first mirror and suite that have Asterisk.
fetch_index() {
    for mirror in $1; do
        for suite in $suites; do
            echo "$mirror $suite" | fetch_lists || continue
            apt-cache pkgnames > "$work/names"
            ! grep -qx asterisk "$work/names" || return 0
        done
    done
    cat "$work/apt/log" >&2
    impossible "no Debian mirror of this machine offers asterisk in: $suites"
}

# The loader and the library directories of the tree $1; both the same for every Debian layout.
loader() { find "$1" -type f \( -name 'ld-linux*.so*' -o -name 'ld-[0-9]*.so' \) | head -n 1; }
libraries() { find "$1/usr/lib" "$1/lib" -maxdepth 1 -name '*-linux-gnu*' 2> /dev/null | paste -sd : ; }

# What is to run: the programs, the modules that the tests load, and the libraries unpacked so far.
wanted() {
    find "$work/root" -path '*/sbin/asterisk' -o -path '*/bin/sipp' -o -type f -name 'lib*.so.*'
    sed -n 's/^[a-z]* *=>* *\(.*\.so\)$/\1/p' "$modules" | while read -r module; do
        find "$work/root" -path "*/asterisk/modules/$module"
    done
}

# Names of libraries that those files contain and the tree does not: a few of them are optional.
missing_libraries() {
    (cd "$work/root" && find . -name 'lib*.so.*' | sed 's,.*/,,' | sort -u) > "$work/present"
    wanted | xargs grep -aohE '\<lib[A-Za-z0-9_.+-]+\.so(\.[0-9]+)+\>' | sort -u |
        comm -23 - "$work/present"
}

# The package of a library by Debian's naming rule: libxml2.so.16 is in libxml2-16 or libxml2,
# either perhaps with the mark of a past transition (v5, t64). First, the few that are called otherwise.
package_of() {
    case $1 in
        libz.so.1) echo zlib1g ;;
        libxslt.so.1) echo libxslt1.1 ;;
        libldap_r-2.4.so.2) echo libldap-2.4-2 ;;
        lib[cm].so.6) echo libc6 ;;
        libicu??*.so.*) package_of "libicu.so.${1##*.so.}" ;;
        libcrypto.so.*) package_of "libssl.so.${1##*.so.}" ;;
        *)
            name=$(echo "${1%%.so*}" | tr 'A-Z_' 'a-z-' | sed 's/[+]/[+]/g')
            name=${name%-} version=${1##*.so.}
            grep -xE "$name(-?$version(v5|t64)*)?" "$work/names" | sort | tail -n 1
            ;;
    esac
}

complete_libraries() {
    : > "$work/asked"
    while
        for library in $(missing_libraries); do package_of "$library"; done | sort -u > "$work/found"
        packages=$(comm -23 "$work/found" "$work/asked")
        [ -n "$packages" ]
    do
        sort -u -o "$work/asked" "$work/asked" "$work/found"
        # shellcheck disable=SC2086
        unpack $packages
    done
}

# A program that finds its own directory when it runs, so that the tree can be renamed.
write_wrapper() {
    tree=$work/root
    cat > "$work/$1" <<-WRAPPER
	#!/bin/sh
	root=\$(dirname -- "\$(readlink -f -- "\$0")")/root
	libraries=$(libraries "$tree" | sed "s,$tree,\$root,g"):\$root/usr/lib
	TERMINFO=\${TERMINFO:-/usr/share/terminfo} exec "\$root${2#"$tree"}" \\
	    --library-path "\$libraries" "\$root${3#"$tree"}" "\$@"
	WRAPPER
    chmod 755 "$work/$1"
}

build() {
    configure_apt
    fetch_index "$available"
    unpack asterisk asterisk-modules sip-tester libc6
    complete_libraries
    write_wrapper asterisk "$(loader "$work/root")" "$(find "$work/root" -path '*/sbin/asterisk')"
    write_wrapper sipp "$(loader "$work/root")" "$(find "$work/root" -path '*/bin/sipp')"
    { "$work/asterisk" -V && "$work/sipp" -v | grep -o 'SIPp v[^ ]*'; } > "$work/version" ||
        impossible "a library is missing; not in the tree are: $(missing_libraries | paste -sd ' ')"
    (cd "$work/root" && rm -rf etc usr/share/doc usr/share/man usr/share/locale)
    (cd "$work" && rm -rf names present asked found)
}

require_apt
available=$(archives | sed -n 's/^\([^ ]*\) [^ ]* Debian$/\1/p' | sort -u)
[ -n "$available" ] || impossible "apt is configured with no Debian mirror"
made_before "$target" "$0" "$shared" "$modules" || make_anew
echo "$target"
