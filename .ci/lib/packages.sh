# shellcheck shell=bash
# Debian packages of the engines and of the database server. Sourced by .ci/engines.

PACKAGES=(docker.io docker-compose containerd runc podman conmon catatonit iptables bubblewrap apparmor mmdebstrap python3 util-linux procps ca-certificates postgresql chromium libfaketime)
# gVisor is not in every Debian release; without it the daemon has no runtime of that name.
OPTIONAL_PACKAGES=(runsc)

missing() {
  local package
  for package in "$@"; do
    if [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
      printf '%s\n' "$package"
    fi
  done
}

# Another apt may hold the lock for a while on a machine that has just started.
apt_get() {
  local log=$LOGS/apt-get.log
  if ! DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120 "$@" >"$log" 2>&1 </dev/null; then
    tail -n 20 "$log" >&2
    die "apt-get $* failed; the end of its output is above"
  fi
}

# The package would make a database cluster and start it; the tests make their own.
no_cluster() {
  local folder=/etc/postgresql-common/createcluster.d
  mkdir -p "$folder"
  printf 'create_main_cluster = false\nstart_conf = manual\n' >"$folder/cronium-ci.conf"
}

install_packages() {
  local wanted optional package
  mapfile -t wanted < <(missing "${PACKAGES[@]}")
  mapfile -t optional < <(missing "${OPTIONAL_PACKAGES[@]}")
  if [ $((${#wanted[@]} + ${#optional[@]})) = 0 ]; then return; fi

  apt_get update
  for package in "${optional[@]}"; do
    if apt-cache show "$package" >/dev/null 2>&1; then
      wanted+=("$package")
    else
      say "this Debian release has no package $package: going on without"
    fi
  done
  if [ ${#wanted[@]} = 0 ]; then return; fi
  say "installing ${wanted[*]}"
  no_cluster
  apt_get install -y --no-install-recommends "${wanted[@]}"
}

# For what is made beside the engines.
install_missing() { # package…
  local wanted
  mapfile -t wanted < <(missing "$@")
  if [ ${#wanted[@]} = 0 ]; then return; fi
  say "installing ${wanted[*]}"
  apt_get update
  apt_get install -y --no-install-recommends "${wanted[@]}"
}
