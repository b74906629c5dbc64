# shellcheck shell=bash
# The Podman service beside the Docker daemon: configuration, start, stop. Sourced by .ci/engines.

PODMAN_SOCKET=$RUN/podman.sock

# Podman with files of its own only: what somebody has configured on this machine stays out.
podman_env() {
  env CONTAINERS_CONF="$RUN/containers.conf" CONTAINERS_REGISTRIES_CONF="$RUN/registries.conf" TMPDIR="$RUN" "$@"
}

podman_cli() { # seconds, arguments
  local limit=$1
  shift
  podman_env timeout --kill-after=5 "$limit" podman "${PODMAN_PLACES[@]}" "$@"
}
PODMAN_PLACES=(--root "$STATE/podman" --runroot "$RUN/podman" --tmpdir "$RUN/podman-tmp" --storage-driver overlay)

write_podman_config() {
  # Locks in files: those in shared memory would be shared with every other Podman of this machine.
  cat >"$RUN/containers.conf" <<TOML
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
TOML
  printf 'unqualified-search-registries = []\n' >"$RUN/registries.conf"
}

podman_answers() { podman_env timeout 15 podman --remote --url "unix://$PODMAN_SOCKET" version >/dev/null 2>&1; }

start_podman() {
  if podman_answers; then return; fi
  mkdir -p "$RUN" "$STATE/podman"
  write_podman_config
  launch podman env CONTAINERS_CONF="$RUN/containers.conf" CONTAINERS_REGISTRIES_CONF="$RUN/registries.conf" TMPDIR="$RUN" \
    podman "${PODMAN_PLACES[@]}" system service --time=0 "unix://$PODMAN_SOCKET"
  wait_ready 120 podman podman_answers
  # A service that was killed left its containers.
  stop_podman_containers
}

# The images that sandboxes are built on are those of the Docker daemon, copied once.
copy_images_to_podman() {
  local image recipe
  for image in "$PYTHON_IMAGE" "$NODE_IMAGE"; do
    recipe=$(docker_cli 20 image inspect -f "{{index .Config.Labels \"$RECIPE_LABEL\"}}" "$image")
    if [ "$(podman_cli 20 image inspect -f "{{index .Config.Labels \"$RECIPE_LABEL\"}}" "$image" 2>/dev/null)" = "$recipe" ]; then continue; fi
    say "copying $image to Podman"
    if ! docker_cli 120 save "$image" | podman_cli 120 load >"$LOGS/podman-load.log" 2>&1; then
      tail -n 20 "$LOGS/podman-load.log" >&2
      die "podman load of $image failed; the end of its output is above"
    fi
  done
}

stop_podman_containers() {
  podman_cli 60 rm --all --force --time 0 >"$LOGS/podman-rm.log" 2>&1 || say "some Podman containers do not stop by themselves"
}

stop_podman() {
  if [ ! -f "$RUN/containers.conf" ]; then return; fi
  stop_podman_containers
  stop_daemon podman
}

# Its containers are not in this engine's cgroup, but each has one that bears its id.
podman_container_processes() {
  local dir cgroup
  for dir in "$STATE"/podman/overlay-containers/*/; do
    dir=${dir%/}
    for cgroup in /sys/fs/cgroup/{,*/}libpod_parent/libpod-"${dir##*/}"; do
      cat "$cgroup/cgroup.procs" 2>/dev/null || true
    done
  done | sort -u
}
