import { join } from 'node:path';
import { conformance } from './conformance.ts';

const agent = join(import.meta.dirname, '../../runtimes/python/agent.py');
const command = {
  file: '/usr/bin/python3',
  args: ['-I', '-B', '-S', '-X', 'utf8', agent, '--runtime', 'bash'],
};
/** The value of one member, a plain text or a number, of a JSON body. */
const member = (name: string) => `${name}=$(cronium input | tr -d '{}"'); ${name}=\${${name}#${name}:}`;
const waitForGate = `${member('gate')}\nwhile [[ ! -e $gate ]]; do sleep 0.01; done`;

conformance({
  name: 'bash',
  runtime: 'bash',
  command,
  ownVariables: ['CRONIUM_EVENT_FILE', 'PWD', 'OLDPWD', 'SHLVL', '_'],
  snippets: {
    answers: 'cronium output 42',
    answersObject: `cronium output '{"statusCode":201,"headers":{"x-made":"yes"},"body":"made"}'`,
    outputsInput: 'cronium output "$(cronium input)"',
    outputsEvent: 'cronium event | cronium output',
    scriptPrints: 'echo one\necho err >&2\necho two',
    scriptOutputsTwice: 'echo noise\ncronium output 1\ncronium output 2',
    scriptExits: 'echo partial\nexit 3',
    scriptSilent: 'true',
    fails: 'echo boom >&2\nexit 1',
    syntaxError: 'if true; then\necho "',
    environment: 'env -0',
    logsInOrder: 'echo 1\necho 2 >&2\nbash -c "echo 3; echo 4 >&2"\necho 5\ncronium output 1',
    echoesBytes: 'cat',
    streams: `printf first\n${waitForGate}\nprintf second`,
    streamsWithHead: { unsupported: 'a Bash script cannot give a head' },
    streamFails: `printf first\n${waitForGate}\necho late >&2\nexit 1`,
    streamsMuch: `${member('bytes')}\nhead -c "$bytes" /dev/zero`,
    logsMuch: `${member('bytes')}\nhead -c "$bytes" /dev/zero | tr '\\0' x\ncronium output 1`,
    answersMuch: `${member('bytes')}\nhead -c "$bytes" /dev/zero | tr '\\0' x | cronium output -`,
    answersNonsense: { unsupported: 'what is no JSON is a text in Bash' },
    exits: 'exit 3',
    killsItself: 'kill -KILL $$',
    writesEverywhere: `
for fd in {1..255}; do
  { echo "garbage, garbage, garbage" >&"$fd"; } 2>/dev/null
done
cronium output 1`,
    closesOutput: 'exec 1>&- 2>&-\ncronium output 1',
    leavesChild: 'sleep 1000 &\ncronium output $!',
    hangs: 'trap \'\' TERM\nsetsid sleep 1000 &\necho "$$ $!" >&2\nwhile true; do sleep 1; done',
    usesVariables: `
y=$(cronium get y) || y=null
cronium set x '{"a": [1, "é"]}'
cronium delete y
cronium output "[$y, $(cronium get x), $(cronium increment n)]"`,
    setsVariable: `
all=$(cronium input | tr -d '{}"')
name=\${all#name:} name=\${name%%,*} chars=\${all#*chars:}
if error=$(head -c "$chars" /dev/zero | tr '\\0' x | cronium set "$name" 2>&1); then
  text=$(cronium get -r "$name"); cronium output "\${#text}"
else
  cronium output "$error"
fi`,
    readsAtOnce: `
for name in a b c; do cronium get $name >"$HOME/$$.$name" & done
wait
cronium output "$(($(cat "$HOME/$$.a") + $(cat "$HOME/$$.b") + $(cat "$HOME/$$.c")))"
rm "$HOME/$$".[abc]`,
    incrementsForEver: 'while error=$(cronium increment n 2>&1); do :; done\ncronium output "$error"',
    asksAndLeaves: 'cronium get x >/dev/null 2>&1 &\nsleep 0.1\necho asked >&2\ncronium output 1',
  },
});
