# shellcheck shell=bash
# What `apt-get install podman` adds to an image, for builds that have no network. Sourced by .ci/engines, after images.sh.

PODMAN_FILES_IMAGE=cronium-ci/podman-files:$SUITE
PODMAN_PROGRAMS=(/usr/bin/podman /usr/bin/conmon /usr/sbin/runc /usr/bin/catatonit /usr/bin/mount)
PODMAN_FILES=(/usr/libexec/podman/catatonit /usr/share/containers/containers.conf /usr/share/containers/seccomp.json /etc/containers/policy.json)

# This machine's own Podman with its libraries: a Debian of another release than the images' may have another C library.
build_podman_files() {
  local programs recipe context
  programs=$(dpkg-query -W -f='${Package} ${Version}\n' podman conmon runc catatonit mount)
  recipe=$(digest "$programs" "$(sha256sum "${BASH_SOURCE[0]}" | cut -d' ' -f1)")
  if has_image "$PODMAN_FILES_IMAGE" "$recipe"; then return; fi
  say "making $PODMAN_FILES_IMAGE"
  context=$(mktemp -d "$STATE/build.XXXXXX")
  # One of them has no libraries. By way of /usr: /lib is a link in the images.
  { ldd "${PODMAN_PROGRAMS[@]}" 2>/dev/null || true; } | awk '$3 ~ "^/" { sub("^/lib/", "/usr/lib/", $3); print $3 }' | sort -u >"$context/libraries"
  tar -C / -chf "$context/files.tar" --absolute-names --transform='s|^/||' \
    -T "$context/libraries" "${PODMAN_PROGRAMS[@]}" "${PODMAN_FILES[@]}"
  cat >"$context/Dockerfile" <<DOCKERFILE
FROM scratch
ADD files.tar /
LABEL $RECIPE_LABEL=$recipe
DOCKERFILE
  build_context "$PODMAN_FILES_IMAGE" "$context"
}
