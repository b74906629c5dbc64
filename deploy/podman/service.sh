#!/bin/bash
# Podman's service, as root of its user namespace: says when it is ready, and ends when its standard input does.
set -euo pipefail

SOCKET=/run/podman/podman.sock
# In the volume: an image may be larger than memory.
tmp=/var/lib/containers/tmp
rm -rf "$tmp"
mkdir -p "$tmp" /var/lib/containers/cache
mount --bind "$tmp" /var/tmp

# It is the service, and no client of it.
unset CONTAINER_HOST TMPDIR
podman system service --time=0 "unix://$SOCKET" </dev/null >&2 &
until [ -S "$SOCKET" ]; do
  kill -0 $!
  sleep 0.05
done
# Its group is that of the folder.
chmod 660 "$SOCKET"
echo ready
# Whoever waits for this one to end sees it by its standard output.
(
  read -r _ || true
  kill -TERM $!
) <&0 &
wait $!
