import { IPC_KEY, PORT } from './leaks-python.ts';

/** Leaves a mark wherever a mark can be left, says so, and goes on running. */
export const BASH_PLANTS = `
mark=$MARK
planted=()
while IFS= read -r folder; do
  { echo "$mark" > "$folder/$mark"; } 2>/dev/null && planted+=("$folder")
done < <(find / \\( -path /proc -o -path /sys \\) -prune -o -type d -print 2>/dev/null)
echo "echo $mark" > /tmp/.bashrc
export LEAK=$mark BASH_ENV=/tmp/.bashrc
cat() { echo "$LEAK"; }
export -f cat
for n in 1 2 3; do
  (trap '' TERM HUP; setsid bash -c "exec -a $mark sleep 1000" </dev/null >/dev/null 2>&1 &)
done
python3 -c '
import ctypes, socket, time, os, sys
libc = ctypes.CDLL(None)
libc.shmget(${IPC_KEY}, 4096, 0o1666)
tcp = socket.socket(); tcp.bind(("127.0.0.1", ${PORT})); tcp.listen()
unix = socket.socket(socket.AF_UNIX); unix.bind("\\0leak"); unix.listen()
print("listening", flush=True)
time.sleep(1000)
' "$mark" </dev/null > /tmp/listening 2>&1 &
until grep -q listening /tmp/listening; do sleep 0.02; done
umask 0
ulimit -n 64
cd /run
echo "planted \${planted[*]}" >&2
sleep 1000
`;

/** All that somebody in a sandbox can find; the same in every sandbox that nobody was in before. */
export const BASH_FINDS = `
sleep 0.3 # whoever handed the call over stays for a moment
{
umask; ulimit -n; pwd; nice
find / \\( -path /proc -o -path /sys -o -path /usr \\) -prune -o -type f -print 2>/dev/null | sort
env | grep -v '^CRONIUM_E' | sort
declare -F
type -t cat
(for file in /proc/[0-9]*/cmdline; do { tr '\\0' ' ' < "$file" | grep -v -e 'tr ' -e 'grep '; } 2>/dev/null; done) > /run/processes
for file in /proc/[0-9]*/environ; do { tr '\\0' '\\n' < "$file" | sort | tr '\\n' ' '; echo; } 2>/dev/null; done >> /run/processes
sort /run/processes
(exec 3<>/dev/tcp/127.0.0.1/${PORT}) 2>/dev/null && echo connected || echo refused
wc -l < /proc/sysvipc/shm
wc -l < /proc/net/tcp
grep -c leak /proc/net/unix
} > /tmp/found
cronium output - < <(python3 -c 'import json, sys; print(json.dumps(sys.stdin.read()))' < /tmp/found)
`;
