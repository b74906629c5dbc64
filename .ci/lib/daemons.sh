# shellcheck shell=bash
# The Docker daemon and its containerd: configuration, start, stop. Sourced by .ci/engines.

# All containers of this engine are in one cgroup, so that their processes are found even when
# their daemon and shims are gone.
CGROUP=cronium-ci-$(printf '%s' "$STATE" | sha256sum | cut -c1-8)

write_config() {
  local runtimes='{}' runsc
  # gVisor's ptrace platform works in any virtual machine, kvm hangs in some. It needs not set up a network, which it may not
  # everywhere: its sandboxes have none.
  if runsc=$(command -v runsc); then
    runtimes='{"runsc": {"path": "'$runsc'",
    "runtimeArgs": ["--platform=ptrace", "--network=none"]}}'
  fi
  # No default bridge: sandboxes have no network, builds need none, and docker0 would clash with the one
  # of another daemon on this machine. Networks created by name still work.
  cat >"$RUN/dockerd.json" <<JSON
{
  "data-root": "$STATE/docker",
  "exec-root": "$RUN/docker",
  "pidfile": "$RUN/dockerd.pid",
  "hosts": ["unix://$SOCKET"],
  "containerd": "$RUN/containerd.sock",
  "storage-driver": "overlay2",
  "exec-opts": ["native.cgroupdriver=cgroupfs"],
  "cgroup-parent": "/$CGROUP",
  "bridge": "none",
  "default-runtime": "runc",
  "runtimes": $runtimes
}
JSON
  cat >"$RUN/containerd.toml" <<TOML
version = 2
root = "$STATE/containerd"
state = "$RUN/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "$RUN/containerd.sock"
TOML
}

# A session of its own: the daemon outlives the caller's terminal and process group. It must not
# inherit fd 9, this script's lock. setsid does not fork here, so $! is the daemon itself.
launch() {
  local name=$1
  shift
  # Not in the checkout: what ends containers that ran out of memory notes it in the folder it is in.
  setsid env -C "$RUN" "$@" >"$LOGS/$name.log" 2>&1 </dev/null 9>&- &
  printf '%s\n' "$!" >"$RUN/$name.started"
}

# The process id of a daemon that `launch` started, if it still is that daemon.
running() {
  local pid
  pid=$(cat "$RUN/$1.started" 2>/dev/null) || return 0
  if grep -qsa "$RUN/" "/proc/$pid/cmdline"; then printf '%s\n' "$pid"; fi
}

docker_answers() { docker_cli 5 version >/dev/null 2>&1; }

wait_ready() { # seconds, daemon, command that succeeds when it is ready
  local deadline=$((SECONDS + $1)) name=$2 pid
  pid=$(<"$RUN/$name.started")
  shift 2
  until "$@"; do
    if ! kill -0 "$pid" 2>/dev/null || [ "$SECONDS" -ge "$deadline" ]; then
      tail -n 30 "$LOGS/$name.log" >&2
      die "$name does not answer; the end of its log is above"
    fi
    sleep 0.1
  done
}

# containerd is started here, not by dockerd: dockerd would take the machine's own if that is running,
# and share its shims with whatever else uses it.
start_docker() {
  if docker_answers; then return; fi
  stop_daemons
  mkdir -p "$RUN" "$STATE/docker-config"
  write_config
  launch containerd containerd --config "$RUN/containerd.toml"
  wait_ready 60 containerd test -S "$RUN/containerd.sock"
  launch dockerd dockerd --config-file "$RUN/dockerd.json"
  wait_ready 120 dockerd docker_answers
  # A daemon that was killed left its containers and networks in the data root.
  stop_containers
}

# ---- stop: ask first, then take away whatever is left

stop_containers() {
  local containers
  # A swarm would start its tasks again, now and at the next start.
  docker_cli 20 swarm leave --force >/dev/null 2>&1 || true
  mapfile -t containers < <(docker_cli 20 ps -aq)
  if [ ${#containers[@]} -gt 0 ]; then
    docker_cli 60 rm --force --volumes "${containers[@]}" >/dev/null 2>&1 || say "some containers do not stop by themselves"
  fi
  # The bridges of named networks are interfaces of the host and outlive the daemon.
  docker_cli 20 network prune --force >/dev/null 2>&1 || true
}

stop_daemon() {
  local pid deadline=$((SECONDS + 20))
  pid=$(running "$1")
  if [ -z "$pid" ]; then return; fi
  kill -TERM "$pid" 2>/dev/null || true
  while [ -n "$(running "$1")" ] && [ "$SECONDS" -lt "$deadline" ]; do sleep 0.1; done
}

# Process ids of daemons, shims and runtimes, which have the run directory in their arguments,
# and of everything in the engine's cgroup.
engine_processes() {
  local dir args
  for dir in /proc/[0-9]*; do
    args=$(tr '\0' ' ' 2>/dev/null <"$dir/cmdline") || continue
    case ${args%% *} in
      dockerd | containerd | *containerd-shim* | *runc | runsc* | */runsc | docker-proxy | podman | */conmon)
        if [[ $args == *"$RUN/"* ]]; then
          printf '%s\n' "${dir#/proc/}"
          continue
        fi
        ;;
    esac
    if grep -qs "/$CGROUP/" "$dir/cgroup"; then printf '%s\n' "${dir#/proc/}"; fi
  done
  podman_container_processes
}

kill_leftovers() {
  local pids deadline=$((SECONDS + 15))
  while mapfile -t pids < <(engine_processes) && [ ${#pids[@]} -gt 0 ]; do
    if [ "$SECONDS" -ge "$deadline" ]; then die "these processes do not die: ${pids[*]}"; fi
    kill -KILL "${pids[@]}" 2>/dev/null || true
    sleep 0.2
  done
}

unmount_leftovers() {
  local mount
  while read -r mount; do
    umount --lazy "$mount" || say "cannot unmount $mount"
  done < <(findmnt --raw --noheadings --output TARGET | grep -F "$STATE/" | sort -r)
}

# A shim that was killed leaves its socket outside the state directory, and its address in the bundle.
remove_shim_sockets() {
  local file address
  for file in "$RUN"/containerd/io.containerd.runtime.v2.task/*/*/address; do
    [ -f "$file" ] || continue
    address=$(<"$file")
    rm -f -- "${address#unix://}"
  done
}

# A cgroup stays busy for a moment after its last process has gone.
remove_cgroups() {
  local attempt cgroups
  for attempt in {1..50}; do
    mapfile -t cgroups < <(find /sys/fs/cgroup -depth -type d -path "*/$CGROUP*" 2>/dev/null)
    if [ ${#cgroups[@]} = 0 ]; then return; fi
    rmdir -- "${cgroups[@]}" 2>/dev/null || sleep 0.1
  done
  say "$attempt attempts did not remove the cgroup $CGROUP"
}

stop_daemons() {
  stop_podman
  if [ -S "$SOCKET" ] && docker_answers; then stop_containers; fi
  stop_daemon dockerd
  stop_daemon containerd
  kill_leftovers
  unmount_leftovers
  remove_shim_sockets
  rm -rf --one-file-system -- "$RUN"
  remove_cgroups
}
