#!/bin/busybox sh
# Process 1 of the virtual machine of .ci/machine, at first in its initial RAM disk: makes a root file system, and runs the command in it.
export PATH=/bin

begin() {
  /bin/busybox --install -s /bin
  mount -t proc proc /proc
  mount -t sysfs sysfs /sys
  mount -t devtmpfs devtmpfs /dev
  local module
  while read -r module; do insmod "/modules/$module"; done </modules/order
  if [ -n "$hello" ]; then
    echo hello >/dev/hvc0
    poweroff -f
  fi

  # Above what is the host's, in memory.
  mount -t 9p -o "trans=virtio,version=9p2000.L,ro,msize=524288,cache=loose" host /host
  mount -t tmpfs -o size=75% tmpfs /memory
  mkdir /memory/upper /memory/work
  mount -t overlay -o lowerdir=/host,upperdir=/memory/upper,workdir=/memory/work overlay /root
  mount --move /proc /root/proc
  mount --move /sys /root/sys
  mount --move /dev /root/dev
  ip link set lo up
  hostname machine
  mkdir -p /root/run
  mount -t tmpfs -o mode=755 tmpfs /root/run
  mkdir /root/run/machine
  cp /bin/busybox /init /root/run/machine
  exec switch_root /root /run/machine/busybox sh /run/machine/init go_on
}

# The rest of what an init mounts. From here on the programs are the machine's.
mount_all() {
  ln -sfn /proc/self/fd /dev/fd
  ln -sfn /proc/self/fd/0 /dev/stdin
  ln -sfn /proc/self/fd/1 /dev/stdout
  ln -sfn /proc/self/fd/2 /dev/stderr
  mkdir -p /dev/pts /dev/shm /dev/mqueue
  mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
  mount -t tmpfs -o mode=1777 tmpfs /dev/shm
  mount -t mqueue mqueue /dev/mqueue
  mount -t securityfs securityfs /sys/kernel/security
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  mount -t bpf bpf /sys/fs/bpf
}

go_on() {
  export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  local work=/run/machine/work state kernel share engines
  mount_all
  mkdir "$work"
  mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288 work "$work"
  eval "$(head -n 1 "$work/command")"
  # The kernel's own modules are not where it looks for them.
  mkdir -p /lib/modules
  mount --bind "$kernel/lib/modules" /lib/modules
  if [ -n "$share" ]; then mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288 share "$share"; fi
  if [ -n "$engines" ]; then mount -t ext4 /dev/vda "$state"; fi
  # Podman asks of its programs which package each is of, whenever it is asked how it is: a look through thousands of files.
  mount -t tmpfs tmpfs /var/lib/dpkg/info
  bash "$work/command" </dev/null >/dev/hvc0 2>&1
  echo $? >"$work/status"
  sync
  echo o >/proc/sysrq-trigger
  sleep 60
}

if [ $# = 0 ]; then begin; else go_on; fi
