#!/bin/bash
# Process 1 of the container, as the gateway's user: the gateway and Podman start and end together, the gateway last and first.
# Podman says on 3 that it is ready, and by closing it that it is gone; it ends when 4 is closed.
set -euo pipefail

if ! read -r _ <&3; then
  echo 'cronium: Podman did not start. docs/compose.md says what it needs of the host.' >&2
  exit 1
fi
"$@" <&0 3<&- 4>&- &
gateway=$!
trap 'kill -TERM "$gateway" 2>/dev/null || true' TERM INT
{
  cat <&3 >/dev/null
  kill -TERM "$gateway" 2>/dev/null || true
} 4>&- &

status=0
# A signal ends the wait, and not the gateway.
while wait "$gateway" && status=0 || status=$?; kill -0 "$gateway" 2>/dev/null; do :; done
exec 4>&-
wait
exit "$status"
