#!/bin/bash
# Prepares an empty PGDATA as the image `postgres` does, then runs the server as the user postgres.
#
# POSTGRES_PASSWORD, POSTGRES_USER, POSTGRES_DB, POSTGRES_INITDB_ARGS, POSTGRES_HOST_AUTH_METHOD (and the first
# four with _FILE) mean the same as there, and so do *.sql, *.sql.gz and *.sh in /docker-entrypoint-initdb.d.
set -Eeuo pipefail

from_file() {
  local variable=$1 file="${1}_FILE"
  if [ -n "${!file:-}" ]; then
    [ -z "${!variable:-}" ] || { echo "both $variable and $file are set" >&2; exit 1; }
    export "$variable"="$(<"${!file}")"
    unset "$file"
  fi
}

own_the_data() {
  mkdir -p "$PGDATA"
  chmod 0700 "$PGDATA"
  find "$PGDATA" /var/run/postgresql \! -user postgres -exec chown postgres:postgres '{}' +
}

require_password() {
  if [ -z "${POSTGRES_PASSWORD:-}" ] && [ "${POSTGRES_HOST_AUTH_METHOD:-}" != trust ]; then
    echo "The database is not prepared yet, and POSTGRES_PASSWORD is not set: docker run -e POSTGRES_PASSWORD=..." >&2
    exit 1
  fi
}

initialise() {
  # shellcheck disable=SC2086  # a list of arguments
  initdb --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "${POSTGRES_PASSWORD:-}") --encoding=UTF8 \
    --locale-provider=builtin --locale=C.UTF-8 --no-instructions ${POSTGRES_INITDB_ARGS:-}
  printf '\nhost all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >>"$PGDATA/pg_hba.conf"
}

# While the database is prepared nobody can reach it over the network.
start_privately() { pg_ctl -D "$PGDATA" -o "-c listen_addresses='' -p 5432" -w -s start; }
stop_privately() { pg_ctl -D "$PGDATA" -m fast -w -s stop; }

sql() { PGPASSWORD=${POSTGRES_PASSWORD:-} psql -v ON_ERROR_STOP=1 --no-psqlrc -U "$POSTGRES_USER" "$@"; }

create_database() {
  [ "$POSTGRES_DB" = postgres ] || sql -d postgres -v name="$POSTGRES_DB" <<<'CREATE DATABASE :"name"'
}

run_scripts() {
  local file
  for file in /docker-entrypoint-initdb.d/*; do
    case "$file" in
      *.sh) if [ -x "$file" ]; then "$file"; else . "$file"; fi ;;
      *.sql) sql -d "$POSTGRES_DB" -f "$file" ;;
      *.sql.gz) gunzip -c "$file" | sql -d "$POSTGRES_DB" ;;
    esac
  done
}

prepare() {
  from_file POSTGRES_PASSWORD
  from_file POSTGRES_USER
  from_file POSTGRES_DB
  from_file POSTGRES_INITDB_ARGS
  POSTGRES_USER=${POSTGRES_USER:-postgres}
  POSTGRES_DB=${POSTGRES_DB:-$POSTGRES_USER}
  export POSTGRES_USER POSTGRES_DB
  if [ ! -s "$PGDATA/PG_VERSION" ]; then
    require_password
    initialise
    start_privately
    create_database
    run_scripts
    stop_privately
  fi
}

[ "${1:-}" != "" ] && [ "${1:0:1}" != - ] || set -- postgres "$@"
if [ "$1" = postgres ]; then
  if [ "$(id -u)" = 0 ]; then
    own_the_data
    exec setpriv --reuid postgres --regid postgres --init-groups -- "$0" "$@"
  fi
  prepare
fi
exec "$@"
