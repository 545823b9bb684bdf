#!/bin/sh
# Sees to it that a Docker engine answers on this machine and can run a container.
#
#   deploy/images/engine.sh
#
# An engine that answers is used as it is. Otherwise, as root on Debian or Ubuntu, the engine and Compose are
# installed and `dockerd` is started by hand; it keeps running until: kill $(cat /run/docker.pid)
# Where no engine can be had it says why in its last line and ends with 1.
set -eu
NAME=engine
LOG=${PAWL_ENGINE_LOG:-/tmp/pawl-engine.log}
DOCKERD_LOG=/var/log/pawl-dockerd.log
ANSWER_SECONDS=60
LEGACY=/run/pawl-iptables
# Without rules in the firewall (a kernel without netfilter) docker-proxy still carries the ports on 127.0.0.1, and
# images are built on the machine's own network. Containers do not find each other by name then, so Compose fails.
NO_FIREWALL="--iptables=false --ip6tables=false"
# Layers as plain folders, where the file system below takes no overlay. Slow and large.
PLAIN_LAYERS="--storage-driver=vfs"
# shellcheck source=deploy/images/common.sh
. "$(dirname "$0")/common.sh"

is_running() { grep -qsx "$1" /proc/[0-9]*/comm; }
answers() { timeout 20 docker info >/dev/null 2>&1; }

install_missing() {
  missing=
  answers || { command -v docker && command -v dockerd; } >/dev/null 2>&1 || missing="docker.io iptables ca-certificates"
  docker compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null || missing="$missing docker-compose"
  # A kernel with AppArmor refuses containers until somebody can load their profile.
  if ! answers && grep -qs Y /sys/module/apparmor/parameters/enabled; then
    command -v apparmor_parser >/dev/null || missing="$missing apparmor"
  fi
  # shellcheck disable=SC2086  # a list of packages
  [ -z "$missing" ] || install $missing
}

# What the start of a machine without an init leaves undone, or a machine that was switched off left behind.
prepare_kernel() {
  grep -q ' /sys/fs/cgroup' /proc/mounts || mount -t cgroup2 none /sys/fs/cgroup 2>/dev/null || true
  is_running dockerd || is_running containerd || rm -f /run/docker.pid /run/docker/containerd/containerd.pid
  # Some kernels know only the older of the two ways to write firewall rules.
  if ! iptables -t nat -n -L >/dev/null 2>&1 && iptables-legacy -t nat -n -L >/dev/null 2>&1; then
    mkdir -p $LEGACY
    for tool in iptables ip6tables; do ln -sf "$(command -v $tool-legacy)" $LEGACY/$tool; done
    PATH=$LEGACY:$PATH
  fi
  # Containers inherit it.
  ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -Hn)"
}

# start_dockerd [option...]: true when it answers and can run a container.
start_dockerd() {
  : >"$DOCKERD_LOG"
  setsid nohup dockerd "$@" >"$DOCKERD_LOG" 2>&1 </dev/null &
  dockerd=$!
  tries=0
  until answers; do
    tries=$((tries + 1))
    kill -0 $dockerd 2>/dev/null || return 1
    [ $tries -lt $ANSWER_SECONDS ] || { stop_dockerd; return 1; }
    sleep 1
  done
  runs_a_container || { stop_dockerd; return 1; }
}

stop_dockerd() {
  kill $dockerd 2>/dev/null || true
  wait $dockerd 2>/dev/null || true
}

# An image of one program, which the engine's package brings and which needs no library.
runs_a_container() {
  program=$(readlink -f "$(command -v docker-init)") || return 0
  image=pawl-probe:local
  tar -C "$(dirname "$program")" -c "$(basename "$program")" | docker import - $image >/dev/null 2>>"$DOCKERD_LOG" || return 1
  timeout 60 docker run --rm $image "/$(basename "$program")" --version >/dev/null 2>>"$DOCKERD_LOG" && ran=0 || ran=1
  docker image rm $image >/dev/null 2>&1 || true
  return $ran
}

start_engine() {
  [ -z "${DOCKER_HOST:-}" ] || fail "no Docker engine answers at DOCKER_HOST"
  is_root || fail "no Docker engine answers, and only root can start one"
  # The package may just have started it.
  tries=0
  while is_running dockerd && [ $tries -lt 30 ]; do
    sleep 1
    ! answers || return 0
    tries=$((tries + 1))
  done
  prepare_kernel
  for way in "" "$NO_FIREWALL" "$PLAIN_LAYERS" "$PLAIN_LAYERS $NO_FIREWALL"; do
    say "starting dockerd${way:+ $way} (its log: $DOCKERD_LOG; it keeps running)"
    # shellcheck disable=SC2086  # a list of options
    if start_dockerd $way; then
      say "the engine runs: $(docker info --format '{{.ServerVersion}}, {{.Driver}}')"
      return 0
    fi
    say "that does not run here; it said:"
    { grep -E 'level=(error|fatal)|^failed' "$DOCKERD_LOG" || tail "$DOCKERD_LOG"; } | tail -n 8 | cut -c 1-400 >&2
  done
  fail "no Docker engine can be had on this machine: dockerd does not run (what it said is above)"
}

: >"$LOG"
install_missing
answers || start_engine
