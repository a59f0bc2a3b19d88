# Programs for the tests out of Debian's packages: no root, nothing outside one directory.
# Sourced by tests/asterisk/setup.sh and tests/browser/setup.sh, which say what they take and how
# it is made to run (`build`, in $work).
#
# The packages come from the Debian mirror that this machine's apt is already configured with and
# are checked against Debian's archive key. 69 (EX_UNAVAILABLE): this machine cannot have them.
# shellcheck shell=sh

keyring=/usr/share/keyrings/debian-archive-keyring.gpg

impossible() { echo "setup.sh: $*" >&2; exit 69; }

require_apt() {
    for tool in apt-get apt-cache dpkg-deb flock sha256sum; do
        command -v "$tool" > /dev/null || impossible "there is no $tool here"
    done
    [ -r "$keyring" ] || impossible "$keyring is missing (package debian-archive-keyring)"
}

# "URI SUITE LABEL" of the Debian archives that apt knows, where the label is Debian,
# Debian-Security or Debian-Backports: by their own word, and by their path where no lists have
# been fetched yet (then apt tells of its sources only when no label is asked for).
archives() {
    {
        apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(LABEL)' 'Created-By: Packages'
        apt-get indextargets --no-release-info --format '$(REPO_URI) $(RELEASE)' \
            'Created-By: Packages'
    } | sed -n \
        -e 's,\( Debian\) ,\1-,' -e '/ Debian[^ ]*$/p' \
        -e 's,^\([^ ]*/debian/[0-9TZ/]* [^ ]*\) *$,\1 Debian,p' \
        -e 's,^\([^ ]*/debian-security/[0-9TZ/]* [^ ]*\) *$,\1 Debian-Security,p' | sort -u
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

# Whether the lists of the sources on standard input ("URI SUITE …") could be fetched.
fetch_lists() {
    while read -r uri suite _; do
        echo "deb [signed-by=$keyring] $uri $suite main"
    done | sort -u > "$work/apt/sources.list"
    apt-get update -qq --error-on=any > "$work/apt/log" 2>&1
}

unpack() {
    (cd "$work/debs" && apt-get download -qq "$@")
    for deb in "$work/debs"/*.deb; do dpkg-deb --extract "$deb" "$work/root"; done
    rm "$work/debs"/*.deb
}

# Whether the directory $1 was made by the recipe that the files $2 … are.
# It holds the lock on $1 until the script ends.
made_before() {
    mkdir -p "$(dirname -- "$1")"
    exec 9> "$1.lock"
    flock 9
    target=$1
    shift
    recipe=$(cat "$@" | sha256sum | cut -c 1-16)
    [ "$(cat "$target/recipe" 2> /dev/null)" = "$recipe" ]
}

# Has the directory of made_before made by `build`. It is built aside and renamed: one that exists
# is complete.
make_anew() {
    work=$target.new
    rm -rf "$work"
    mkdir "$work"
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT TERM HUP
    build >&2
    rm -rf "$work/apt" "$work/debs"
    echo "$recipe" > "$work/recipe"
    rm -rf "$target"
    mv "$work" "$target"
}
