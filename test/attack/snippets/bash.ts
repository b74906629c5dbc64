import { type Attack, answers, cut, endsTooLarge, fails, LOADS_FIRST, timesOut } from '../attack.ts';

/** Nested too deeply for those who read JSON by recursion. */
const DEEP = `printf '[%.0s' {1..100000}; printf ']%.0s' {1..100000}`;

export const BASH_ATTACKS: Readonly<Record<string, Attack>> = {
  'has an environment that loads something first': {
    code: 'cronium output \'"mine"\'',
    env: LOADS_FIRST,
    endings: [answers('"mine"')],
  },
  'does not parse': { code: 'if then fi (', endings: [fails('function_error')] },
  'never returns': { code: 'while :; do :; done', timeoutMs: 1_500, endings: [timesOut] },
  'exits with 0 before it answers': { code: 'exit 0', endings: [answers()] },
  'exits with another status': { code: 'echo partial; exit 3', endings: [fails('function_error')] },
  'kills itself': { code: 'kill -KILL $$; sleep 5', endings: [fails('function_error')] },
  aborts: { code: 'kill -ABRT $$; sleep 5', endings: [fails('function_error')] },
  'prints 1 GB as log': {
    code: `head -c 1073741824 /dev/zero | tr '\\0' x >&2; cronium output '"done"'`,
    endings: [answers('"done"')],
    log: /^x{16384}$/,
  },
  'prints 1 GB as its response': {
    code: 'head -c 1073741824 /dev/zero',
    endings: endsTooLarge,
  },
  'returns more than its limit': {
    code: `(printf '"'; head -c 1048576 /dev/zero | tr '\\0' x; printf '"') | cronium output`,
    endings: [fails('response_too_large')],
  },
  'is a fork bomb': {
    code: 'bomb() { bomb | bomb & }; bomb; while :; do :; done',
    timeoutMs: 2_000,
    endings: [timesOut, fails('function_error'), fails('out_of_memory')],
  },
  'eats memory': { code: 'x=x; while :; do x=$x$x; done', endings: [fails('out_of_memory')] },
  'has a child eat memory': {
    code: 'tail /dev/zero',
    endings: [fails('out_of_memory')],
  },
  'fills /tmp': {
    code: 'head -c 20000000 /dev/zero > /tmp/fill || echo full',
    endings: [answers('full\n')],
  },
  'fills every place that it can write to': {
    code: 'for at in /tmp /run /dev/shm; do head -c 40000000 /dev/zero > $at/fill; done 2>/dev/null; echo full',
    endings: [answers('full\n')],
  },
  'fills /tmp with its answer': {
    code: `head -c 20000000 /dev/zero > /tmp/fill; cronium output '"done"' || exit 4`,
    endings: [fails('function_error')],
  },
  'writes garbage to every open descriptor': {
    code: 'for fd in {1..64}; do { printf "garbage%.0s" {1..100} >&$fd; } 2>/dev/null; done; cronium output 1',
    endings: [answers('1'), fails('invalid_response'), fails('function_error')],
  },
  'writes garbage to the descriptors of every process': {
    code: 'for fd in /proc/[0-9]*/fd/*; do timeout 0.2 bash -c "printf garbage > $fd"; done 2>/dev/null; cronium output 1',
    endings: [answers('1'), fails('invalid_response'), fails('function_error')],
  },
  'closes what it prints to': {
    code: 'exec <&- >&- 2>&-; cronium output \'"closed"\'',
    endings: [answers('"closed"')],
  },
  'closes every descriptor': {
    code: 'for fd in {0..64}; do eval "exec $fd>&-"; done; cronium output \'"closed"\'',
    endings: [answers('"closed"')],
  },
  'ignores signals and never returns': {
    code: 'trap "" TERM HUP INT QUIT PIPE; while :; do sleep 1; done',
    timeoutMs: 1_500,
    endings: [timesOut],
  },
  'leaves daemons': {
    code: `for n in 1 2 3 4 5; do (trap '' TERM HUP; setsid sleep 1000 </dev/null >/dev/null 2>&1 &); done; cronium output '"left"'`,
    endings: [answers('"left"')],
  },
  'leaves daemons that hold its output': {
    code: `for n in 1 2 3; do (trap '' TERM HUP; setsid bash -c 'while :; do echo more; sleep 0.01; done' &); done; cronium output '"left"'`,
    endings: [answers('"left"')],
  },
  'kills its agent': { code: 'kill -KILL $PPID; sleep 30', endings: [fails('function_error')] },
  'kills every process': { code: 'kill -KILL -1; sleep 30', endings: [fails('function_error')] },
  'stops its agent': { code: 'kill -STOP $PPID; echo x', timeoutMs: 1_500, endings: [timesOut] },
  'writes to the memory of its agent': {
    code: '(: > /proc/$PPID/mem) 2>/dev/null || echo refused',
    endings: [answers('refused\n')],
  },
  'answers with headers of 200 KB': {
    code: `x=$(head -c 200000 /dev/zero | tr '\\0' y); printf '{"statusCode":200,"headers":{"x":"%s"}}' "$x" | cronium output`,
    endings: [fails('invalid_response')],
  },
  'puts a line break into a header': {
    code: `cronium output '{"statusCode":200,"headers":{"x":"y\\r\\nset-cookie: a=b"},"body":""}'`,
    endings: [fails('invalid_response')],
  },
  'answers with a status that is none': {
    code: `cronium output '{"statusCode":"many"}'`,
    endings: [fails('invalid_response')],
  },
  'answers with endless depth': {
    code: `(${DEEP}) | cronium output`,
    endings: [answers()],
  },
  'answers with endless depth in a body': {
    code: `(printf '{"statusCode":200,"body":'; ${DEEP}; printf '}') | cronium output`,
    endings: [answers()],
  },
  'answers with the names of prototypes': {
    code: `cronium output '{"statusCode":200,"headers":{"__proto__":"x","constructor":"y"},"body":"","__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}'`,
    endings: [answers('')],
  },
  'puts a pipe where its answer belongs': {
    code: 'rm -f "$(dirname "$CRONIUM_EVENT_FILE")"/output; mkfifo "$(dirname "$CRONIUM_EVENT_FILE")"/output; : cronium output',
    endings: [answers('null'), fails('function_error'), fails('invalid_response')],
  },
  'puts a link to an endless file where its answer belongs': {
    code: 'ln -sf /dev/zero "$(dirname "$CRONIUM_EVENT_FILE")"/output; : cronium output',
    endings: [
      fails('invalid_response'),
      fails('response_too_large'),
      fails('function_error'),
      answers('null'),
    ],
  },
  'streams for ever': { code: 'yes', endings: endsTooLarge },
  'streams slowly for ever': {
    code: 'while :; do echo x; sleep 0.05; done',
    timeoutMs: 1_500,
    endings: [cut('function_timeout')],
  },
  'dies while it streams': { code: 'echo x; sleep 0.5; kill -KILL $$', endings: [cut('function_error')] },
};
