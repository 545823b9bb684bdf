#!/bin/sh
# Sees to it that there is a browser: one that runs is used, otherwise, as root on Debian, Chromium is installed.
#
#   tests/browser/chromium.sh [more packages]
#
# Where none can be had it says what is missing in its last line and ends with 1: no test passes by being skipped.
# Ubuntu's package of that name only fetches a snap, which no container runs; there another browser has to be installed.
set -eu
NAME=chromium
LOG=${PAWL_CHROMIUM_LOG:-/tmp/pawl-chromium.log}
# shellcheck source=deploy/images/common.sh
. "$(dirname "$0")/../../deploy/images/common.sh"

runs() {
  for each in chromium chromium-browser google-chrome; do
    if command -v "$each" >/dev/null && "$each" --version >>"$LOG" 2>&1 </dev/null; then return 0; fi
  done
  return 1
}

missing=
runs || missing="chromium"
for package in "$@"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q ' installed$' || missing="$missing $package"
done
# shellcheck disable=SC2086  # a list of packages
[ -z "$missing" ] || install $missing
runs || fail "there is a chromium that does not run (Ubuntu's is a snap; what it said: $LOG)." \
  "Install Google Chrome, or a chromium that is no snap, so that one of chromium, chromium-browser and google-chrome" \
  "is on the PATH and answers --version; then run this again."
