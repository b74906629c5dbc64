#!/bin/bash
# Process 1 of Podman's namespaces of processes, mounts and control groups: sees to what it takes for Podman to be root of a user
# namespace in them, and then gives up root itself.
set -euo pipefail

podman_id=$1
ids=65536 # as many as images may have users

# Its own view, which shows no process of the gateway. A kernel lets nobody mount /proc and /sys anew in a user namespace who does
# not have them whole already, and engines hide parts of theirs.
mount -t proc -o nosuid,nodev,noexec proc /proc
mount --bind /run/podman /mnt
mount -t tmpfs -o nosuid,nodev,mode=755 tmpfs /run
mkdir -m 755 /run/podman /run/sys
mount --move /mnt /run/podman
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs /run/sys

# The group that it was given is the root of what it sees.
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  mount --bind /sys/fs/cgroup/podman /sys/fs/cgroup
  echo $$ >/sys/fs/cgroup/service/cgroup.procs
  chown "$podman_id:$podman_id" /sys/fs/cgroup /sys/fs/cgroup/cgroup.{procs,subtree_control,threads}
else
  for hierarchy in /sys/fs/cgroup/*; do
    if [ -e "$hierarchy/podman" ] && [ ! -L "$hierarchy" ]; then mount --bind "$hierarchy/podman" "$hierarchy"; fi
  done
fi

# The namespace is made by a process that waits, as nobody in it, until it is told who is who.
mkfifo -m 622 /run/mapped
HOME=/run unshare --user --mount --keep-caps sh -c \
  'read -r _ </run/mapped && exec setpriv --reuid=0 --regid=0 --clear-groups "$0"' "${0%/*}/service.sh" <&0 &
until [ "$(readlink "/proc/$!/ns/user")" != "$(readlink /proc/self/ns/user)" ]; do sleep 0.01; done
echo "0 $podman_id $ids" >"/proc/$!/uid_map"
echo "0 $podman_id $ids" >"/proc/$!/gid_map"
chown "$podman_id:$podman_id" /run
echo >/run/mapped

# Reaps what Podman leaves to it. Its end would be the end of all in here.
exec setpriv --reuid="$podman_id" --regid="$podman_id" --clear-groups --inh-caps=-all --bounding-set=-all \
  catatonit -P </dev/null >/dev/null
