#!/bin/sh
# Sees to it that there is a browser: one that is there is used, otherwise, as root on Debian, Chromium is installed.
#
#   tests/browser/chromium.sh [more packages]
#
# Where none can be had it says what is missing in its last line and ends with 1: no test passes by being skipped.
set -eu
NAME=chromium
LOG=${PAWL_CHROMIUM_LOG:-/tmp/pawl-chromium.log}
# shellcheck source=deploy/images/common.sh
. "$(dirname "$0")/../../deploy/images/common.sh"

missing=
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null ||
  missing="chromium"
for package in "$@"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q ' installed$' || missing="$missing $package"
done
# shellcheck disable=SC2086  # a list of packages
[ -z "$missing" ] || install $missing
