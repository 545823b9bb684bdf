#!/bin/sh
# `make test-containers`: the images' own tests, the system in docker-compose.yml in both profiles, then the scenario
# and reliability suites on containers. Everything that it starts is removed at the end, also after a failure or a
# Ctrl-C. Exit codes: 0 all passed, 1 a test failed or time was up, 2 there is no Docker or no image.
set -u
cd "$(dirname "$0")/../.."

# For everything together, in seconds.
LIMIT=${PAWL_CONTAINERS_LIMIT:-3600}
started=$(date +%s)
elapsed() { echo $(($(date +%s) - started)); }
say() { echo "test-containers: [$(elapsed) s] $*" >&2; }

timeout 20 docker info >/dev/null 2>&1 || { say "no Docker engine answers (deploy/images/engine.sh starts one on Debian)"; exit 2; }
docker compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null ||
  { say "neither 'docker compose' nor docker-compose is installed"; exit 2; }

PAWL_TEST_RUN="$(date +%s)-$$"
PAWL_TEST_SERVERS=containers
export PAWL_TEST_RUN PAWL_TEST_SERVERS

# A test that runs out of time takes pytest with it, and leaves the services that it had started.
end_processes() {
  for folder in /proc/[0-9]*; do
    grep -qzx "PAWL_TEST_RUN=$PAWL_TEST_RUN" "$folder/environ" 2>/dev/null && kill "${folder#/proc/}" 2>/dev/null
  done
}

clean() {
  end_processes
  projects="com.docker.compose.project"
  for label in "org.pawl.tests=$PAWL_TEST_RUN" $projects=pawl-test-"$PAWL_TEST_RUN" $projects=pawl-secure-"$PAWL_TEST_RUN"; do
    docker ps -aq --filter "label=$label" | xargs -r docker rm --force --volumes >/dev/null
    docker volume ls -q --filter "label=$label" | xargs -r docker volume rm --force >/dev/null
    docker network ls -q --filter "label=$label" | xargs -r docker network rm >/dev/null
  done
}
trap 'status=$?; clean; exit $status' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Where the base was made here, so is the rest; otherwise it is pulled, and the services' image is built on it.
if docker image inspect pawl-base:bookworm >/dev/null 2>&1; then
  deploy/images/build.sh || exit 2
else
  say "building ${PAWL_IMAGE:=pawl:local}; without an image registry: make images"
  docker build --quiet --file deploy/Dockerfile --tag "$PAWL_IMAGE" . || exit 2
  for image in "${PAWL_KAFKA_IMAGE:-apache/kafka:4.3.1}" "${PAWL_POSTGRES_IMAGE:-postgres:18}"; do
    docker image inspect "$image" >/dev/null 2>&1 || docker pull --quiet "$image" || exit 2
  done
fi

# part NAME TESTS...
part() {
  name=$1 begun=$(elapsed)
  shift
  left=$((LIMIT - begun))
  [ $left -gt 0 ] || left=1
  say "$name ..."
  # A session's first test waits for the servers and the services too.
  timeout --foreground --kill-after=30 $left .venv/bin/python -m pytest --timeout 300 "$@"
  case $? in
    0) say "$name: passed in $(($(elapsed) - begun)) s" ;;
    124 | 137) say "$name: stopped, because the $LIMIT s for everything are over"; exit 1 ;;
    *) say "$name: failed after $(($(elapsed) - begun)) s"; exit 1 ;;
  esac
}

part "the images" tests/containers/test_images.py "$@"
part "docker-compose.yml" tests/containers/test_compose.py "$@"
part "docker-compose.yml with logins" tests/containers/test_secure.py "$@"
part "the scenarios on containers" tests/scenarios "$@"
# A cluster of three brokers is made of embedded ones everywhere, so containers add nothing to its test.
part "the reliability suite on containers" tests/reliability --ignore tests/reliability/test_leader_change.py "$@"
say "everything passed"
