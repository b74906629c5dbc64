# shellcheck shell=bash
# The virtual machine: its packages, its kernel, its start. Sourced by .ci/machine.

HELLO_SECONDS=10
MACHINE_PACKAGES=(busybox-static e2fsprogs kmod)
# What it takes to mount a root file system, and to say something.
BOOT_MODULES=(virtio_pci virtio_console virtio_blk 9pnet_virtio 9p overlay ext4)
# Neither containers nor this machine have anything to do with these, which are most of a kernel.
NEEDLESS_MODULES=(sound drivers/gpu drivers/media drivers/net/wireless drivers/net/ethernet drivers/infiniband drivers/iio drivers/staging)

choose_arch() { # as Debian calls it
  case $1 in
    amd64)
      QEMU=(qemu-system-x86_64 -machine q35)
      QEMU_PACKAGES=(qemu-system-x86)
      CONSOLE=ttyS0
      ;;
    *) die "cannot make a virtual machine of the architecture $1" ;;
  esac
  KERNEL_META=linux-image-$1
  KERNEL=$CACHE/machine-$1
  CPU=max
}

machine_is_installed() {
  [ -d "$KERNEL" ] && [ -z "$(missing "${MACHINE_PACKAGES[@]}" "${QEMU_PACKAGES[@]}")" ]
}

install_machine() {
  mkdir -p "$STATE" "$LOGS" "$CACHE"
  exec 9>"$STATE/lock"
  flock --wait 600 9 || die "another holds $STATE/lock"
  install_missing "${MACHINE_PACKAGES[@]}" "${QEMU_PACKAGES[@]}"
  initrd=$KERNEL/initrd-$({ cat "$HERE/lib/machine-init.sh" && echo "${BOOT_MODULES[@]}"; } | sha256sum | cut -c1-12)
  if [ ! -d "$KERNEL" ]; then fetch_kernel; fi
  if [ ! -e "$initrd" ]; then make_initrd; fi
  exec 9>&-
}

# Not installed: this machine boots another kernel. Whole or not at all.
fetch_kernel() {
  local package folder excludes=() name
  package=$(apt-cache depends "$KERNEL_META" 2>/dev/null | awk '$1 == "Depends:" { print $2; exit }')
  if [ -z "$package" ]; then
    apt_get update
    package=$(apt-cache depends "$KERNEL_META" | awk '$1 == "Depends:" { print $2; exit }')
  fi
  say "fetching $package"
  folder=$(mktemp -d "$STATE/kernel.XXXXXX")
  if ! (cd "$folder" && apt-get -q download "$package") >"$LOGS/kernel.log" 2>&1 </dev/null; then
    apt_get update
    if ! (cd "$folder" && apt-get -q download "$package") >"$LOGS/kernel.log" 2>&1 </dev/null; then
      tail -n 20 "$LOGS/kernel.log" >&2
      die "apt-get download $package failed; the end of its output is above"
    fi
  fi
  for name in "${NEEDLESS_MODULES[@]}"; do excludes+=(--exclude="*/kernel/$name"); done
  dpkg-deb --fsys-tarfile "$folder"/*.deb | tar -C "$folder" -x "${excludes[@]}" ./boot ./lib
  rm -- "$folder"/*.deb
  depmod --basedir "$folder" "$(ls "$folder/lib/modules")"
  mv -- "$folder" "$KERNEL"
}

make_initrd() {
  local folder module file
  folder=$(mktemp -d "$STATE/initrd.XXXXXX")
  mkdir -p "$folder"/{bin,dev,proc,sys,modules,host,memory,root}
  cp -- "$(command -v busybox)" "$folder/bin/busybox"
  cp -- "$HERE/lib/machine-init.sh" "$folder/init"
  chmod 755 "$folder/init"
  for module in "${BOOT_MODULES[@]}"; do
    modprobe --dirname "$KERNEL" --set-version "$(ls "$KERNEL/lib/modules")" --show-depends "$module"
  done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >"$folder/needed"
  while read -r file; do
    cp -- "$file" "$folder/modules"
    basename -- "$file"
  done <"$folder/needed" >"$folder/modules/order"
  rm -- "$folder/needed"
  (cd "$folder" && find . | busybox cpio -o -H newc 2>/dev/null) >"$initrd.part"
  rm -rf -- "$folder"
  mv -- "$initrd.part" "$initrd"
}

# Starts qemu in the background, as $qemu. Standard output is the command's; the kernel has a log.
start_qemu() { # folder of this run, accelerator, what the kernel is told, further arguments of qemu
  local work=$1 accelerator=$2 append=$3 cpu=$CPU
  shift 3
  case $accelerator in kvm) cpu=host ;; esac
  "${QEMU[@]}" -accel "$accelerator" -cpu "$cpu" -smp "$(machine_cpus)" -m "$memory" \
    -nodefaults -no-reboot -display none -monitor none \
    -serial "file:$work/console" \
    -device virtio-serial -chardev stdio,id=out,signal=off -device virtconsole,chardev=out \
    -kernel "$(echo "$KERNEL"/boot/vmlinu?-*)" -initrd "$initrd" \
    -append "console=$CONSOLE panic=-1 quiet mitigations=off $append" \
    -virtfs local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap \
    -virtfs "local,path=$work,mount_tag=work,security_model=none" \
    "$@" </dev/null &
  qemu=$!
}

machine_cpus() {
  local cpus
  cpus=$(nproc)
  echo $((cpus < 2 ? cpus : 2))
}

# Some hosts have a /dev/kvm that does not boot every kernel: found out by doing it, once for each kernel of the host.
choose_accelerator() { # folder of this run
  local emulated=tcg,thread=multi,tb-size=1024 known deadline=$((SECONDS + HELLO_SECONDS))
  known=$KERNEL/accelerator-$(uname -r)
  if [ ! -e "$known" ]; then
    accelerator=$emulated
    if [ -w /dev/kvm ] && [ "$(dpkg --print-architecture)" = "$arch" ]; then
      start_qemu "$1" kvm hello=yes >"$1/hello" 2>"$1/kvm"
      while kill -0 "$qemu" 2>/dev/null && [ "$SECONDS" -lt "$deadline" ]; do sleep 0.2; done
      kill -KILL "$qemu" 2>/dev/null || true
      wait "$qemu" 2>/dev/null || true
      if grep -q hello "$1/hello"; then accelerator=kvm; fi
    fi
    echo "$accelerator" >"$known"
  fi
  accelerator=$(<"$known")
  if [ "$accelerator" != kvm ]; then say "no KVM here that boots Debian's kernel: the machine is emulated, and slow"; fi
}

# The engines' images, as they are on this machine: a file system of their own, which those in the machine may write.
make_disk() { # folder of this run
  say "copying what the engines have"
  mkdir -p "$1/engines/docker" "$1/engines/podman"
  # In mounts that nobody else sees: without what an engine that runs has mounted in there, and without its containers.
  unshare --mount bash -euc '
    for part in docker podman; do
      if [ -d "$1/$part" ]; then mount --bind "$1/$part" "$2/engines/$part"; fi
    done
    for part in docker/containers docker/network podman/overlay-containers; do
      if [ -d "$2/engines/$part" ]; then mount -t tmpfs tmpfs "$2/engines/$part"; fi
    done
    mke2fs -q -t ext4 -O ^has_journal -d "$2/engines" "$2/disk" 8G' - "$STATE" "$1" >"$LOGS/mke2fs.log" 2>&1 || {
    tail -n 20 "$LOGS/mke2fs.log" >&2
    die "mke2fs failed; the end of its output is above"
  }
}

run_machine() {
  local options=() status
  work=$(mktemp -d "$STATE/machine.XXXXXX")
  trap 'leave "$work"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  qemu=
  choose_accelerator "$work"
  if [ -n "$engines" ]; then
    make_disk "$work"
    options+=(-drive "file=$work/disk,format=raw,if=virtio,cache=unsafe")
  fi
  if [ -n "$share" ]; then options+=(-virtfs "local,path=$share,mount_tag=share,security_model=none"); fi
  {
    printf 'state=%q kernel=%q share=%q engines=%q\n' "$STATE" "$KERNEL" "$share" "$engines"
    export -p
    printf 'export MACHINE_ACCELERATOR=%q\n' "${accelerator%%,*}"
    printf 'cd %q\n' "$PWD"
    printf '%q ' "$@"
  } >"$work/command"
  start_qemu "$work" "$accelerator" "" "${options[@]}"
  wait "$qemu" || true
  qemu=
  if ! status=$(cat "$work/status" 2>/dev/null); then
    tail -n 30 "$work/console" >&2
    die "the machine ended before the command did; the end of its kernel's log is above"
  fi
  exit "$status"
}

leave() { # folder of this run
  if [ -n "$qemu" ]; then
    kill -KILL "$qemu" 2>/dev/null || true
    wait "$qemu" 2>/dev/null || true
  fi
  rm -rf -- "$1"
}
