#!/bin/sh
# run.sh whole|smoke [options of pytest]
#
# The images' own tests, the system in docker-compose.yml in both profiles, then scenarios and faults on containers:
# all of them (`make test-containers`), or the few that are marked `smoke` (`make test-smoke`). Everything that it
# starts is removed at the end, also after a failure or a Ctrl-C. Exit codes: 0 all passed, 1 a test failed or time was
# up, 2 there is no Docker or no image.
set -u
cd "$(dirname "$0")/../.."

case ${1:-} in
  whole | smoke) much=$1 && shift ;;
  *) echo "usage: tests/containers/run.sh whole|smoke [options of pytest]" >&2 && exit 2 ;;
esac
started=$(date +%s)
elapsed() { echo $(($(date +%s) - started)); }
say() { echo "test-containers: [$(elapsed) s] $*" >&2; }

timeout 20 docker info >/dev/null 2>&1 || { say "no Docker engine answers (deploy/images/engine.sh starts one on Debian)"; exit 2; }
docker compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null ||
  { say "neither 'docker compose' nor docker-compose is installed"; exit 2; }

PAWL_TEST_RUN="$(date +%s)-$$"
PAWL_TEST_SERVERS=containers
export PAWL_TEST_RUN PAWL_TEST_SERVERS

clean() {
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
  : "${PAWL_PROMETHEUS_IMAGE:=pawl-prometheus:bookworm}"
else
  say "building ${PAWL_IMAGE:=pawl:local}; without an image registry: make images"
  docker build --quiet --file deploy/Dockerfile --tag "$PAWL_IMAGE" . || exit 2
  : "${PAWL_PROMETHEUS_IMAGE:=prom/prometheus:v3.5.0}"
  for image in "${PAWL_KAFKA_IMAGE:-apache/kafka:4.3.1}" "${PAWL_POSTGRES_IMAGE:-postgres:18}" "$PAWL_PROMETHEUS_IMAGE"; do
    docker image inspect "$image" >/dev/null 2>&1 || docker pull --quiet "$image" || exit 2
  done
fi
export PAWL_PROMETHEUS_IMAGE

# part NAME SECONDS OPTIONS...
part() {
  name=$1 limit=$2
  shift 2
  tests/support/step.sh "$name" "$limit" .venv/bin/python -m pytest "$@" || exit 1
}

# Spreadsheets are opened by LibreOffice where there are minutes for it: it is 58 packages.
OFFICE="--ignore tests/integration/serials/test_libreoffice.py"
if [ "$much" = whole ]; then
  OFFICE=
  command -v soffice >/dev/null || (NAME=test-containers LOG=/tmp/pawl-office.log . deploy/images/common.sh &&
    install libreoffice-calc-nogui) || exit 2
fi

# A pooler for PostgreSQL, of which there is no wheel.
[ -x /usr/sbin/pgbouncer ] || command -v pgbouncer >/dev/null ||
  (NAME=test-containers LOG=/tmp/pawl-pooler.log . deploy/images/common.sh && install pgbouncer) || exit 2

SIDE_BY_SIDE="-n auto --maxprocesses 4 --max-worker-restart 0"
# shellcheck disable=SC2086  # a list of options, here and below
part "images and docker-compose.yml" 1800 -m containers $OFFICE $SIDE_BY_SIDE "$@"
if [ "$much" = smoke ]; then
  part "smoke on containers" 1800 -m smoke $SIDE_BY_SIDE "$@"
else
  # A cluster of three brokers is made of embedded ones everywhere, so containers add nothing to its test.
  EMBEDDED="--ignore tests/reliability/test_leader_change.py"
  part "scenarios and quick faults on containers" 3600 tests/scenarios tests/reliability -m system $SIDE_BY_SIDE "$@"
  part "long faults on containers" 3600 tests/reliability -m "faults and not alone" $EMBEDDED $SIDE_BY_SIDE "$@"
  part "long faults on containers that measure" 3600 tests/reliability -m "faults and alone" "$@"
fi
say "everything passed"
