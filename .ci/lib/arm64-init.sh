#!/bin/bash
# Process 1 of the emulated arm64 machine of .ci/arm64: runs the tests, writes their report to the console, and powers off.
export PATH=/checkout/node_modules/.bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 CI=true NO_COLOR=1 TERM=dumb

# The RAM disk that a machine begins with is no mount that can be left by pivot_root, which bubblewrap does: a view of it is.
if [ "${1:-}" != moved ]; then
  mount --bind / /root
  cd /root || exit
  mount --move . /
  exec chroot . /init moved
fi

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ln -s /proc/self/fd /dev/fd

cd /checkout || exit
echo "$(uname -srm), up for $(cut -d' ' -f1 /proc/uptime) s"
node node_modules/vitest/vitest.mjs run --config test/arm64.config.ts </dev/null 2>&1
status=$?
echo "up for $(cut -d' ' -f1 /proc/uptime) s"
echo 'report:'
base64 /tmp/report.json
echo "status: $status"
echo o >/proc/sysrq-trigger
sleep 60
