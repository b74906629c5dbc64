#!/usr/bin/env bash
# A Docker engine of a test's own, to be stopped, killed and frozen: the one that all tests share stays as it is.
#
#   engine.sh STATE up IMAGE…         starts it, with these images of the engine at DOCKER_HOST
#   engine.sh STATE start             has it run again, on whatever it left
#   engine.sh STATE stop              asks it to stop
#   engine.sh STATE kill              kills it; its containers go on without it
#   engine.sh STATE freeze | thaw
#   engine.sh STATE runtimes JSON     takes these OCI runtimes for those it has
#   engine.sh STATE down              takes everything of it away
set -euo pipefail

STATE=$(realpath -m -- "$1")
RUN=$STATE/run
LOGS=$STATE/log
SOCKET=$RUN/docker.sock
LIB=$(dirname -- "$(realpath -- "${BASH_SOURCE[0]}")")/../../.ci/lib
export PATH="$PATH:/usr/sbin:/sbin"

say() { printf '%s\n' "$*" >&2; }
die() {
  say "$@"
  exit 1
}
docker_cli() {
  local limit=$1
  shift
  DOCKER_HOST="unix://$SOCKET" DOCKER_CONFIG="$STATE/docker-config" timeout --kill-after=5 "$limit" docker "$@"
}

# shellcheck source=../../.ci/lib/daemons.sh
. "$LIB/daemons.sh"
# shellcheck source=../../.ci/lib/podman.sh
. "$LIB/podman.sh"

start() {
  launch containerd containerd --config "$RUN/containerd.toml"
  wait_ready 30 containerd test -S "$RUN/containerd.sock"
  launch dockerd dockerd --config-file "$RUN/dockerd.json"
  wait_ready 60 dockerd docker_answers
}

signal() {
  local name pid
  for name in dockerd containerd; do
    pid=$(running "$name")
    if [ -n "$pid" ]; then kill "-$1" "$pid"; fi
  done
}

case "$2" in
  up)
    mkdir -p "$RUN" "$LOGS" "$STATE/docker-config"
    write_config
    start
    docker save "${@:3}" | docker_cli 120 load >/dev/null
    ;;
  start)
    signal CONT
    if [ -z "$(running dockerd)" ]; then start; fi
    ;;
  stop)
    stop_daemon dockerd
    stop_daemon containerd
    ;;
  kill)
    signal KILL
    while [ -n "$(running dockerd)$(running containerd)" ]; do sleep 0.05; done
    # Whoever starts it again must not find the socket of the dead one.
    rm -f -- "$RUN/containerd.sock"
    ;;
  freeze) signal STOP ;;
  thaw) signal CONT ;;
  runtimes)
    python3 -c 'import json, sys
path, runtimes = sys.argv[1:]
config = json.load(open(path))
config["runtimes"] = json.loads(runtimes)
json.dump(config, open(path, "w"))' "$RUN/dockerd.json" "$3"
    kill -HUP "$(running dockerd)"
    ;;
  down)
    signal CONT
    stop_daemons
    rm -rf --one-file-system -- "$STATE"
    ;;
  *) die "no such command: $2" ;;
esac
