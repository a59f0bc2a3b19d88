#!/bin/sh
# Asks the vulnerability database of PyPI about every dependency of a lock file.
#
#   audit.sh PIP_AUDIT LOCK_FILE
#
# Exit 0: every one was looked up and none is known to be vulnerable. 1: some are. 3: not known,
# because a dependency could not be looked up. What was not looked up is never taken for good
# (--strict): an index that only mirrors packages knows no vulnerabilities and answers all the same.
set -eu
if said=$("$1" --strict --require-hashes --disable-pip --progress-spinner off -r "$2" 2>&1); then
  echo "$said"
  exit 0
fi
echo "$said" | tail -n 200 >&2
case $said in *"Found "*" known vulnerabilit"*) exit 1 ;; esac
echo "NOT AUDITED: the vulnerability database could not be asked from here (the last line above" \
  "says why). Nothing is known of these dependencies; run make audit where PyPI can be reached." >&2
exit 3
