import type { ErrorCode } from '../../../src/errors.ts';

/** What the owner of the sandbox's end of the channel does with it, and what the caller gets. */
export interface ProtocolAttack {
  code: string;
  /** `answered` with the body, a code when the call was refused, or `cut` with the code of its record. */
  comesTo: { answered: string } | { code: ErrorCode } | { cut: ErrorCode };
  timeoutMs?: number;
}

const invalid = { code: 'invalid_response' } as const;
/** Whatever is sent is not read any more, however long it goes on. */
const ENDLESS = 'try:\n    while True: raw(b"x" * 65536)\nexcept OSError: pass';
/** Gives its end of the channel to another process, by a message over a socket pair, and lets it do `work` with it when told `go`. */
const handedOn = (work: string) => `
import socket
here, there = socket.socketpair()
if os.fork() == 0:
    here.close()
    os.close(0)
    os.close(1)
    [channel] = socket.recv_fds(there, 1, 1)[1]
    os.dup2(channel, 1)
    there.recv(1)
    try:
        ${work}
    except OSError: pass
    there.send(b"done")
    os._exit(0)
there.close()
socket.send_fds(here, [b"x"], [1])
def go(): here.send(b"g")
`;

export const PROTOCOL_ATTACKS: Readonly<Record<string, ProtocolAttack>> = {
  'ends twice': {
    code: 'raw(frame(RESULT, 1) + frame(END, OK) + frame(RESULT, 2) + frame(END, OK))',
    comesTo: { answered: '1' },
  },
  'goes on after the end, without an end': {
    code: `raw(frame(RESULT, 1) + frame(END, OK))\n${ENDLESS}`,
    comesTo: { answered: '1' },
  },
  'ends before its result': {
    code: 'raw(frame(END, OK) + frame(RESULT, "late"))',
    comesTo: { answered: 'null' },
  },
  'gives two results': {
    code: 'raw(frame(RESULT, 1) + frame(RESULT, 2) + frame(END, OK))',
    comesTo: invalid,
  },
  'streams after a result': {
    code: 'raw(frame(RESULT, 1) + frame(HEAD, {"statusCode": 200}) + frame(DATA, b"x") + frame(END, OK))',
    comesTo: invalid,
  },
  'gives a result after its stream has begun': {
    code: 'raw(frame(HEAD, {"statusCode": 200}) + frame(DATA, b"x"))\ntime.sleep(0.3)\nraw(frame(RESULT, 1) + frame(END, OK))',
    comesTo: { cut: 'invalid_response' },
  },
  'begins two streams': {
    code: 'raw(frame(HEAD, {"statusCode": 200}) + frame(HEAD, {"statusCode": 500}) + frame(END, OK))',
    comesTo: invalid,
  },
  'streams without a head': { code: 'raw(frame(DATA, b"x") + frame(END, OK))', comesTo: invalid },
  'claims a result of 4 GiB': { code: `send(RESULT, b"", 0xffffffff)\n${ENDLESS}`, comesTo: invalid },
  'claims data of 4 GiB': {
    code: `raw(frame(HEAD, {"statusCode": 200}) + frame(DATA, b"", 0xffffffff))\n${ENDLESS}`,
    comesTo: invalid,
  },
  'claims a log of 4 GiB': { code: `send(LOG, b"", 0xffffffff)\n${ENDLESS}`, comesTo: invalid },
  'claims an end of 4 GiB': { code: `send(END, b"", 0xffffffff)\n${ENDLESS}`, comesTo: invalid },
  'sends frames of unknown types': { code: 'send(0x7f, b"x")\ntime.sleep(30)', comesTo: invalid },
  'sends the gateway’s own frames back': {
    code: 'send(0x02, {"code": ""})\ntime.sleep(30)',
    comesTo: invalid,
  },
  'greets twice': {
    code: 'send(0x81, {"protocol": 1, "runtime": "python"})\ntime.sleep(30)',
    comesTo: invalid,
  },
  'sends what is no frame': { code: 'raw(b"HTTP/1.1 200 OK\\r\\n\\r\\n")\ntime.sleep(30)', comesTo: invalid },
  'ends within a frame': {
    code: 'raw(frame(RESULT, "x" * 1000)[:100])\nsys.exit(0)',
    comesTo: { code: 'function_error' },
  },
  'ends without a word': { code: 'sys.exit(0)', comesTo: { code: 'function_error' } },
  'floods its log': {
    code: 'try:\n    while True: send(LOG, b"x" * 65536)\nexcept OSError: pass',
    comesTo: invalid,
  },
  'floods with empty logs': {
    code: 'try:\n    while True: raw(frame(LOG) * 1000)\nexcept OSError: pass',
    comesTo: { code: 'function_timeout' },
    timeoutMs: 1_000,
  },
  'answers after its deadline': {
    code: 'time.sleep(1.5)\ntry: raw(frame(RESULT, "late") + frame(END, OK))\nexcept OSError: pass',
    comesTo: { code: 'function_timeout' },
    timeoutMs: 700,
  },
  'lets an end that is too late follow its result': {
    code: 'send(RESULT, "in time")\ntime.sleep(1.5)\ntry: send(END, OK)\nexcept OSError: pass',
    comesTo: { code: 'function_timeout' },
    timeoutMs: 700,
  },
  'drips its result byte by byte, in time': {
    code: 'for byte in frame(RESULT, "slow") + frame(END, OK):\n    raw(bytes([byte]))\n    time.sleep(0.002)',
    comesTo: { answered: '"slow"' },
  },
  'drips for ever': {
    code: 'try:\n    raw(frame(RESULT, b"", 200000))\n    while True:\n        raw(b"1")\n        time.sleep(0.01)\nexcept OSError: pass',
    comesTo: { code: 'function_timeout' },
    timeoutMs: 700,
  },
  'nests its result 50000 times': {
    code: 'raw(frame(RESULT, b"[" * 50000 + b"]" * 50000) + frame(END, OK))',
    comesTo: { answered: `${'['.repeat(50_000)}${']'.repeat(50_000)}` },
  },
  'ends with what is no end': { code: 'raw(frame(RESULT, 1) + frame(END, []))', comesTo: invalid },
  'ends with the names of prototypes': {
    code: 'raw(frame(RESULT, 1) + frame(END, b\'{"__proto__":{"status":"ok","polluted":true},"status":"ok","exit":null,"droppedLogBytes":0}\'))',
    comesTo: { answered: '1' },
  },
  'drops more log than there can be': {
    code: 'raw(frame(RESULT, 1) + frame(END, {"status": "ok", "exit": None, "droppedLogBytes": -1}))',
    comesTo: invalid,
  },
  'blames the gateway in its error': {
    code: 'send(END, {"status": "error", "error": {"code": "internal_error", "message": "x"}, "exit": None, "droppedLogBytes": 0})',
    comesTo: invalid,
  },
  'breaks the line of a header': {
    code: 'raw(frame(HEAD, {"statusCode": 200, "headers": {"x": "y\\r\\nset-cookie: a=b"}}) + frame(END, OK))',
    comesTo: invalid,
  },
  'breaks the line of a cookie': {
    code: 'raw(frame(HEAD, {"statusCode": 200, "cookies": ["a=b\\r\\nx: y"]}) + frame(END, OK))',
    comesTo: invalid,
  },
  'has a status of its own': {
    code: 'raw(frame(HEAD, {"statusCode": 101}) + frame(END, OK))',
    comesTo: invalid,
  },
  'hands its channel on, and has another end forged after its answer': {
    code: `${handedOn('while True: raw(frame(RESULT, "forged") + frame(END, OK))')}
raw(frame(RESULT, "real") + frame(END, OK))
go()
time.sleep(30)`,
    comesTo: { answered: '"real"' },
  },
  'hands its channel on, and answers after the other has': {
    code: `${handedOn('raw(frame(RESULT, "other") + frame(END, OK))')}
go()
here.recv(4)
raw(frame(RESULT, "mine") + frame(END, OK))`,
    comesTo: { answered: '"other"' },
  },
  'hands its channel on, and has another write into the middle of a frame': {
    code: `${handedOn('raw(frame(END, OK))')}
raw(frame(RESULT, "real")[:8])
go()
here.recv(4)
raw(frame(RESULT, "real")[8:] + frame(END, OK))`,
    comesTo: invalid,
  },
  'says what is not UTF-8': { code: 'raw(frame(RESULT, b\'"\\xff"\') + frame(END, OK))', comesTo: invalid },
};
