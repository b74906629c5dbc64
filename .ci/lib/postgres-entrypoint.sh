#!/usr/bin/env bash
# The start of the tests' Postgres image: what the public image does with the variables that docker-compose.yaml sets.
set -euo pipefail

[ "$1" = postgres ] || exec "$@"

mkdir -p "$PGDATA"
chmod 700 "$PGDATA"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  if [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then POSTGRES_PASSWORD=$(<"$POSTGRES_PASSWORD_FILE"); fi
  if [ -z "${POSTGRES_PASSWORD:-}" ]; then
    echo 'Error: superuser password is not specified.' >&2
    exit 1
  fi
  # shellcheck disable=SC2086 # several arguments
  initdb --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") ${POSTGRES_INITDB_ARGS:-}
  printf '\nhost all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
  # As in the public image, this server answers on the socket for a moment before the one that stays.
  pg_ctl -D "$PGDATA" -o "-c listen_addresses=''" -w start
  psql -v ON_ERROR_STOP=1 --no-password --username "$POSTGRES_USER" --dbname postgres \
    -c "create database \"${POSTGRES_DB:-$POSTGRES_USER}\""
  sleep 2 # long enough to be mistaken for it
  pg_ctl -D "$PGDATA" -m fast -w stop
fi
exec "$@"
