# shellcheck shell=sh
# What the scripts of this folder share; each sets NAME and LOG and then reads this file.
export DEBIAN_FRONTEND=noninteractive

started=$(date +%s)
say() { echo "$NAME: [$(($(date +%s) - started)) s] $*" >&2; }
fail() { say "$*"; exit 1; }

# Runs a long command with its output in the log; what it said last is shown when it fails.
quietly() {
  "$@" >>"$LOG" 2>&1 </dev/null && return
  tail -n 25 "$LOG" >&2
  fail "failed: $* (everything it said: $LOG)"
}

is_root() { [ "$(id -u)" = 0 ]; }

# install PACKAGE...
install() {
  is_root && command -v apt-get >/dev/null || fail "missing: $*. Install it, or run this as root on Debian."
  # One script at a time: apt-get waits for a lock of dpkg, and for none of its own lists.
  exec 9>/tmp/pawl-install.lock
  flock 9
  say "installing $* with apt-get"
  # A machine that has just started may still be busy with packages; a source that does not answer may not be needed.
  apt-get -o DPkg::Lock::Timeout=120 -qq update >>"$LOG" 2>&1 </dev/null || true
  quietly apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "$@" 9>&-
  exec 9>&-
}
