#!/usr/bin/env bash
# A Docker engine of a test's own, to be stopped, killed and frozen: the one that all tests share stays as it is.
#
#   engine.sh STATE up IMAGE…         starts it, with these images of the engine at DOCKER_HOST
#   engine.sh STATE remapped IMAGE…   the same, with users remapped: who is root in a container is nobody outside it
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
REMAPPED_TO=2000000
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
  local apart=() joined=()
  if [ -d "$STATE/etc" ]; then
    # Whom the users may be remapped to is read from /etc, which the machine keeps as it is: the daemons see another one.
    apart=(unshare --mount --propagation slave sh -c
      "mount -t overlay -o lowerdir=$STATE/etc:/etc overlay /etc && exec \"\$@\"" --)
  fi
  launch containerd "${apart[@]}" containerd --config "$RUN/containerd.toml"
  wait_ready 30 containerd test -S "$RUN/containerd.sock"
  if [ -d "$STATE/etc" ]; then joined=(nsenter "--mount=/proc/$(running containerd)/ns/mnt"); fi
  launch dockerd "${joined[@]}" dockerd --config-file "$RUN/dockerd.json"
  wait_ready 60 dockerd docker_answers
}

# Changes the configuration by a line of Python.
configure() {
  python3 -c 'import json, sys
path, change, *arguments = sys.argv[1:]
config = json.load(open(path))
exec(change)
json.dump(config, open(path, "w"))' "$RUN/dockerd.json" "$@"
}

signal() {
  local name pid
  for name in dockerd containerd; do
    pid=$(running "$name")
    if [ -n "$pid" ]; then kill "-$1" "$pid"; fi
  done
}

case "$2" in
  up | remapped)
    mkdir -p "$RUN" "$LOGS" "$STATE/docker-config"
    write_config
    if [ "$2" = remapped ]; then
      chmod o+x "$STATE" # for the users outside that stand for those inside
      mkdir "$STATE/etc"
      echo "nobody:$REMAPPED_TO:65536" >"$STATE/etc/subuid"
      cp "$STATE/etc/subuid" "$STATE/etc/subgid"
      configure 'config["userns-remap"] = "nobody:nogroup"'
    fi
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
    configure 'config["runtimes"] = json.loads(arguments[0])' "$3"
    kill -HUP "$(running dockerd)"
    ;;
  down)
    signal CONT
    stop_daemons
    rm -rf --one-file-system -- "$STATE"
    ;;
  *) die "no such command: $2" ;;
esac
