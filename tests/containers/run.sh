#!/bin/sh
# `make test-containers`: the images' own tests, the system in docker-compose.yml, then the scenario and reliability
# suites on containers. Everything that it starts is removed at the end, also after a failure or a Ctrl-C.
# Exit codes: 0 all passed, 1 a test failed, 2 there is no Docker or no image.
set -u
cd "$(dirname "$0")/../.."

started=$(date +%s)
say() { echo "test-containers: [$(($(date +%s) - started)) s] $*" >&2; }

docker info >/dev/null 2>&1 || { say "no Docker engine answers (make images installs and starts one on Debian)"; exit 2; }
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
  for label in "org.pawl.tests=$PAWL_TEST_RUN" "com.docker.compose.project=pawl-test-$PAWL_TEST_RUN"; do
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

say "the images and docker-compose.yml"
.venv/bin/python -m pytest -m containers tests/containers "$@" || exit 1
say "the scenario and reliability suites on containers"
# A session's first test waits for the servers and the services too.
.venv/bin/python -m pytest --timeout 300 tests/scenarios tests/reliability "$@" || exit 1
say "everything passed"
