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
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

impossible() { echo "setup.sh: $*" >&2; exit 69; }

# URIs of the Debian mirrors that apt knows: by their label, else (no lists fetched yet) by path.
mirrors() {
    apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' | sort -u |
        sed -n -e 's/^Debian \(.*\)/\1/p' -e 's,^ *\([^ ]*/debian/*\)$,\1,p'
}

# An apt of our own under $work: its lists, cache and status are not the machine's.
configure_apt() {
    mkdir -p "$work/apt/lists/partial" "$work/apt/archives/partial" "$work/apt/parts" "$work/debs"
    : > "$work/apt/status"
    cat > "$work/apt/conf" <<-CONF
	Dir::State "$work/apt"; Dir::State::status "$work/apt/status"; Dir::Cache "$work/apt";
	Dir::Etc::sourcelist "$work/apt/sources.list"; Dir::Etc::sourceparts "$work/apt/parts";
	Dir::Etc::preferences "/dev/null"; Dir::Etc::preferencesparts "$work/apt/parts";
	Acquire::Languages "none"; Acquire::Check-Valid-Until "false"; Acquire::Retries "3";
	CONF
    # As root, apt would fetch as a user of its own, who cannot write here.
    [ "$(id -u)" != 0 ] || echo 'APT::Sandbox::User "root";' >> "$work/apt/conf"
    export APT_CONFIG="$work/apt/conf"
}

# The first mirror and suite that have Asterisk.
fetch_index() {
    for mirror in $1; do
        for suite in $suites; do
            echo "deb [signed-by=$keyring] $mirror $suite main" > "$work/apt/sources.list"
            apt-get update -qq --error-on=any > "$work/apt/log" 2>&1 || continue
            apt-cache pkgnames > "$work/names"
            ! grep -qx asterisk "$work/names" || return 0
        done
    done
    cat "$work/apt/log" >&2
    impossible "no Debian mirror of this machine offers asterisk in: $suites"
}

unpack() {
    (cd "$work/debs" && apt-get download -qq "$@")
    for deb in "$work/debs"/*.deb; do dpkg-deb --extract "$deb" "$work/root"; done
    rm "$work/debs"/*.deb
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
    wanted | xargs grep -aohE '\<lib[A-Za-z0-9_+-]+\.so(\.[0-9]+)+\>' | sort -u |
        comm -23 - "$work/present"
}

# The package of a library by Debian's naming rule: libxml2.so.16 is in libxml2-16 or libxml2,
# either perhaps with the mark of a past transition (v5, t64). First, the few that are called otherwise.
package_of() {
    case $1 in
        libz.so.1) echo zlib1g ;;
        libxslt.so.1) echo libxslt1.1 ;;
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
    fetch_index "$1"
    unpack asterisk asterisk-modules sip-tester libc6
    complete_libraries
    write_wrapper asterisk "$(loader "$work/root")" "$(find "$work/root" -path '*/sbin/asterisk')"
    write_wrapper sipp "$(loader "$work/root")" "$(find "$work/root" -path '*/bin/sipp')"
    { "$work/asterisk" -V && "$work/sipp" -v | grep -o 'SIPp v[^ ]*'; } > "$work/version" ||
        impossible "a library is missing; not in the tree are: $(missing_libraries | paste -sd ' ')"
    (cd "$work/root" && rm -rf etc usr/share/doc usr/share/man usr/share/locale)
    (cd "$work" && rm -rf apt debs names present asked found)
    echo "$recipe" > "$work/recipe"
}

for tool in apt-get apt-cache dpkg-deb flock sha256sum; do
    command -v "$tool" > /dev/null || impossible "there is no $tool here"
done
[ -r "$keyring" ] || impossible "$keyring is missing (package debian-archive-keyring)"
available=$(mirrors)
[ -n "$available" ] || impossible "apt is configured with no Debian mirror"

mkdir -p "$(dirname -- "$target")"
exec 9> "$target.lock"
flock 9
recipe=$(cat "$0" "$modules" | sha256sum | cut -c 1-16)
if [ "$(cat "$target/recipe" 2> /dev/null)" != "$recipe" ]; then
    work=$target.new
    rm -rf "$work"
    mkdir "$work"
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT TERM HUP
    build "$available" >&2
    rm -rf "$target"
    mv "$work" "$target"
fi
echo "$target"
