# shellcheck shell=bash
# The two base images, made from Debian packages instead of pulled. Sourced by .ci/engines.

SUITE=bookworm
NODE_MAJOR=24
PYTHON_IMAGE=cronium-ci/python:$SUITE
NODE_IMAGE=cronium-ci/node:$NODE_MAJOR
IMAGE_PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# One root file system serves both images: libstdc++6 is for Node, passwd for Dockerfiles that add a user,
# as the public images allow. python3-minimal lacks json.
ROOT_PACKAGES='python3,procps,passwd,libstdc++6'
ROOT_EXCLUDES=(doc man info locale lintian doc-base)

# The recipe an image was made from is a label of it, so an image of another recipe is never taken for this one.
RECIPE_LABEL=cronium-ci.recipe
has_image() { # image, recipe
  [ "$(docker_cli 20 image inspect -f "{{index .Config.Labels \"$RECIPE_LABEL\"}}" "$1" 2>/dev/null)" = "$2" ]
}

digest() { printf '%s\n' "$@" | sha256sum | cut -c1-12; }

build_images() {
  local root_recipe node node_recipe
  root_recipe=$(digest "$SUITE" "$ROOT_PACKAGES" "${ROOT_EXCLUDES[@]}" "$IMAGE_PATH")
  if ! has_image "$PYTHON_IMAGE" "$root_recipe"; then build_python "$root_recipe"; fi

  find_node
  node_recipe=$(digest "$root_recipe" "$("$node" --version)")
  if ! has_image "$NODE_IMAGE" "$node_recipe"; then build_node "$node" "$node_recipe"; fi
}

build_python() { # recipe
  local tar=$CACHE/root-$1.tar excludes=() name
  if [ ! -f "$tar" ]; then
    say "making the Debian root file system"
    mkdir -p "$CACHE"
    for name in "${ROOT_EXCLUDES[@]}"; do excludes+=(--dpkgopt="path-exclude=/usr/share/$name/*"); done
    # Renamed when whole: a run that is cut short leaves no tar that looks finished.
    if ! mmdebstrap --variant=essential --include="$ROOT_PACKAGES" "${excludes[@]}" \
      "$SUITE" "$tar.part.tar" >"$LOGS/mmdebstrap.log" 2>&1 </dev/null; then
      tail -n 20 "$LOGS/mmdebstrap.log" >&2
      die "mmdebstrap failed; the end of its output is above"
    fi
    mv "$tar.part.tar" "$tar"
  fi
  docker_cli 300 import -c "ENV PATH=$IMAGE_PATH" -c "LABEL $RECIPE_LABEL=$1" -c 'CMD ["bash"]' \
    "$tar" "$PYTHON_IMAGE" >/dev/null
}

# Sets `node` of the caller to a Node binary from npm: the checkout's if it is there, so that sandboxes
# and gateway run the same one. The package of one platform carries the binary as it is, with no install script.
find_node() {
  local checkout package
  checkout=$(git -C "$HERE" rev-parse --show-toplevel 2>/dev/null || dirname -- "$HERE")
  for node in "$checkout/node_modules/.bin/node" "$CACHE/node/node_modules/.bin/node"; do
    if [ -x "$node" ] && [[ $("$node" --version) == "v$NODE_MAJOR."* ]]; then return; fi
  done
  command -v npm >/dev/null || die "cannot make $NODE_IMAGE: npm, which brings its Node binary, is not installed"
  package=node-linux-$(node -p process.arch)@$NODE_MAJOR
  say "installing the npm package $package"
  if ! npm install --prefix "$CACHE/node" --no-audit --no-fund "$package" >"$LOGS/npm.log" 2>&1 </dev/null; then
    tail -n 20 "$LOGS/npm.log" >&2
    die "npm could not install $package; the end of its output is above"
  fi
}

build_node() { # binary, recipe
  local context
  context=$(mktemp -d "$STATE/build.XXXXXX")
  cp -L -- "$1" "$context/node"
  chmod 755 "$context/node"
  cat >"$context/Dockerfile" <<DOCKERFILE
FROM $PYTHON_IMAGE
COPY node /usr/local/bin/node
RUN ["node", "--version"]
LABEL $RECIPE_LABEL=$2
DOCKERFILE
  if ! docker_cli 300 build -t "$NODE_IMAGE" "$context" >"$LOGS/node-image.log" 2>&1; then
    tail -n 20 "$LOGS/node-image.log" >&2
    die "docker build of $NODE_IMAGE failed; the end of its output is above"
  fi
  rm -rf -- "$context"
}
