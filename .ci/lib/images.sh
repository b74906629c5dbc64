# shellcheck shell=bash
# Images that tests would pull elsewhere, made from Debian and npm packages. Sourced by .ci/engines.

SUITE=bookworm
NODE_MAJOR=24
PYTHON_IMAGE=cronium-ci/python:$SUITE
NODE_IMAGE=cronium-ci/node:$NODE_MAJOR
NPM_IMAGE=cronium-ci/npm:$NODE_MAJOR
POSTGRES_IMAGE=cronium-ci/postgres:$SUITE
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

  build_npm "$node_recipe"
  build_postgres
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
  build_context "$NODE_IMAGE" "$context"
}

# Node with npm, for the first stage of the gateway's own image. It brings npm's cache with all that stage installs:
# a build here has no network, and would not know this machine's registry.
build_npm() { # recipe of the node image
  local checkout recipe context
  checkout=$(dirname -- "$HERE")
  recipe=$(digest "$1" "$(sha256sum "$checkout/package-lock.json" "${BASH_SOURCE[0]}" | cut -d' ' -f1)")
  if has_image "$NPM_IMAGE" "$recipe"; then return; fi
  command -v npm >/dev/null || die "cannot make $NPM_IMAGE: npm is not installed"
  say "making $NPM_IMAGE"
  context=$(mktemp -d "$STATE/build.XXXXXX")
  mkdir "$context/project" "$context/npm"
  cp -- "$checkout/package.json" "$checkout/package-lock.json" "$context/project"
  if ! (
    cd "$context/project"
    npm pkg delete devDependencies optionalDependencies
    npm ci --omit=optional --ignore-scripts --no-audit --no-fund --cache "$context/cache"
    npm install --prefix "$context/npm" --no-audit --no-fund npm@11
  ) >"$LOGS/npm-image.log" 2>&1 </dev/null; then
    tail -n 20 "$LOGS/npm-image.log" >&2
    die "npm could not fetch the packages of $NPM_IMAGE; the end of its output is above"
  fi
  cat >"$context/Dockerfile" <<DOCKERFILE
FROM $NODE_IMAGE
COPY npm/node_modules/npm /usr/local/lib/node_modules/npm
COPY cache/_cacache /opt/npm-cache/_cacache
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm
ENV npm_config_cache=/opt/npm-cache npm_config_offline=true npm_config_update_notifier=false
LABEL $RECIPE_LABEL=$recipe
DOCKERFILE
  build_context "$NPM_IMAGE" "$context"
}

# As much of the public image as docker-compose.yaml uses: its folders and their modes, PGDATA, POSTGRES_USER, POSTGRES_DB,
# POSTGRES_PASSWORD_FILE and POSTGRES_INITDB_ARGS, a temporary server during the first start, and the server as process 1.
build_postgres() {
  local entrypoint=$HERE/lib/postgres-entrypoint.sh recipe context
  recipe=$(digest "$(sha256sum "$entrypoint" "${BASH_SOURCE[0]}" | cut -d' ' -f1)")
  if has_image "$POSTGRES_IMAGE" "$recipe"; then return; fi
  say "making $POSTGRES_IMAGE"
  context=$(mktemp -d "$STATE/build.XXXXXX")
  postgres_root "$context/root.tar"
  cp -- "$entrypoint" "$context/docker-entrypoint.sh"
  cat >"$context/Dockerfile" <<DOCKERFILE
FROM scratch
ADD root.tar /
COPY docker-entrypoint.sh /usr/local/bin/docker-entrypoint.sh
RUN chmod 755 /usr/local/bin/docker-entrypoint.sh \\
  && ln -s /usr/lib/postgresql/*/bin/* /usr/local/bin/ \\
  && rm -rf /run/postgresql /var/lib/postgresql \\
  && install -d -o postgres -g postgres -m 3777 /run/postgresql \\
  && install -d -o postgres -g postgres -m 1777 /var/lib/postgresql/data
ENV PATH=$IMAGE_PATH LANG=C.UTF-8 PGDATA=/var/lib/postgresql/data
VOLUME /var/lib/postgresql/data
STOPSIGNAL SIGINT
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres"]
LABEL $RECIPE_LABEL=$recipe
DOCKERFILE
  build_context "$POSTGRES_IMAGE" "$context"
}

postgres_root() { # tar file
  local excludes=() name
  for name in "${ROOT_EXCLUDES[@]}"; do excludes+=(--dpkgopt="path-exclude=/usr/share/$name/*"); done
  # Half of it is the compiler for queries, which the server goes without.
  for name in '*/libLLVM*' '*/libz3*' '*/llvmjit*' '/usr/lib/postgresql/*/lib/bitcode/*'; do
    excludes+=(--dpkgopt="path-exclude=$name")
  done
  # shellcheck disable=SC2016 # $1 is the hook's.
  if ! mmdebstrap --variant=essential --include=postgresql "${excludes[@]}" \
    --essential-hook='mkdir -p "$1/etc/postgresql-common/createcluster.d"' \
    --essential-hook='echo create_main_cluster = false >"$1/etc/postgresql-common/createcluster.d/none.conf"' \
    "$SUITE" "$1" >"$LOGS/mmdebstrap-postgres.log" 2>&1 </dev/null; then
    tail -n 20 "$LOGS/mmdebstrap-postgres.log" >&2
    die "mmdebstrap failed; the end of its output is above"
  fi
}

build_context() { # image, folder, which is removed
  local log
  log=$LOGS/$(basename -- "${1%%:*}")-image.log
  if ! docker_cli 300 build -t "$1" "$2" >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    die "docker build of $1 failed; the end of its output is above"
  fi
  rm -rf -- "$2"
}
