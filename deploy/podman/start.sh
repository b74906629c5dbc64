#!/bin/bash
# The start of the container, as root with what deploy/compose/podman.yaml lets it do: makes namespaces for Podman, hands it a
# control group, and then gives up root. What goes on has no capability in the container's own user namespace, and cannot get one.
set -euo pipefail

HERE=$(dirname -- "$(realpath -- "$0")")
GATEWAY_ID=10001
PODMAN_ID=100000 # who root of Podman's user namespace is outside it: neither root nor the gateway
CGROUPS=/sys/fs/cgroup

# Lets Podman divide a control group, with this process in it. Before it is given away: root may not write what is another's.
delegate() { # hierarchy
  local group=$1/podman
  mkdir "$group"
  if [ -e "$1/cpuset.mems" ]; then
    cat "$1/cpuset.cpus" >"$group/cpuset.cpus"
    cat "$1/cpuset.mems" >"$group/cpuset.mems"
  fi
  echo "$BASHPID" >"$group/cgroup.procs"
  chown "$PODMAN_ID:$PODMAN_ID" "$group" "$group/cgroup.procs"
}

# Version 1 has a hierarchy for each controller.
delegate_each() {
  local hierarchy
  for hierarchy in "$CGROUPS"/*; do
    if [ -L "$hierarchy" ] || [ ! -e "$hierarchy/cgroup.procs" ]; then continue; fi
    mount -o remount,bind,rw "$hierarchy"
    delegate "$hierarchy"
    chown "$PODMAN_ID:$PODMAN_ID" "$hierarchy/podman/tasks"
  done
}

# Version 2 has one, and a group that is divided may have no process of its own.
delegate_unified() {
  local group=$CGROUPS/podman controller pid
  mount -o remount,bind,rw "$CGROUPS"
  mkdir "$CGROUPS/gateway"
  # One of them, which reads the list, is gone by then.
  for pid in $(<"$CGROUPS/cgroup.procs"); do echo "$pid" 2>/dev/null >"$CGROUPS/gateway/cgroup.procs" || true; done
  for controller in $(<"$CGROUPS/cgroup.controllers"); do echo "+$controller" >"$CGROUPS/cgroup.subtree_control" || true; done
  mkdir "$group" "$group/service"
  # namespaces.sh goes on to `service` from there, and gives the group away then.
  echo "$BASHPID" >"$group/cgroup.procs"
}

podman() {
  if [ -e "$CGROUPS/cgroup.controllers" ]; then delegate_unified; else delegate_each; fi
  # This one may end: what it starts becomes a child of process 1.
  exec unshare --cgroup --mount --pid bash -c '"$@" <&0 &' - "$HERE/namespaces.sh" "$PODMAN_ID"
}

# What supervise.sh hears of Podman, and what Podman hears of it. Not a coprocess: its pipes end at exec.
mkfifo /run/podman/to
exec 3< <(podman </run/podman/to)
exec 4>/run/podman/to
rm /run/podman/to

# The gateway may use the socket and do nothing else in its folder. The mode first: root may not set it on what is another's.
chmod 2710 /run/podman
chown "$PODMAN_ID:$GATEWAY_ID" /run/podman

exec setpriv --reuid="$GATEWAY_ID" --regid="$GATEWAY_ID" --clear-groups --inh-caps=-all --bounding-set=-all \
  "$HERE/supervise.sh" "$@"
