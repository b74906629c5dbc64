import type { BackendResult } from './measure.ts';

interface Bar {
  label: string;
  ms: number;
  ours: boolean;
}

const WIDTH = 760;
const LEFT = 250;
const ROW = 24;
const RIGHT = 90;

/** Median answer times as bars on a logarithmic scale, as SVG that reads on a light and a dark page. */
export function chart(results: readonly BackendResult[], machine: string): string {
  const groups = results.flatMap(({ isolation, runtimes }) =>
    runtimes.map((r) => ({
      title: `${r.runtime} on ${isolation}`,
      bars: [
        bar('docker run, a container per request', r.dockerRun?.p50),
        bar('docker exec in a kept container', r.dockerExec?.p50),
        bar('cronium, cold', r.gatewayCold.p50, true),
        bar('cronium, warm', r.gatewayWarm.p50, true),
        bar('bare hand-off, no gateway', r.bareWarm.p50),
      ].filter((found) => found !== undefined),
    })),
  );
  const all = groups.flatMap(({ bars }) => bars.map((found) => found.ms));
  const low = 10 ** Math.floor(Math.log10(Math.min(...all)));
  const high = 10 ** Math.ceil(Math.log10(Math.max(...all)));
  const x = (value: number) => (Math.log10(value / low) / Math.log10(high / low)) * (WIDTH - LEFT - RIGHT);
  const lines: string[] = [];
  let y = 50;
  for (const { title, bars } of groups) {
    lines.push(`<text class="t" x="8" y="${y + 16}">${title}</text>`);
    y += ROW;
    for (const { label, ms, ours } of bars) {
      const width = Math.max(2, x(ms)).toFixed(1);
      lines.push(`<text x="${LEFT - 8}" y="${y + 15}" text-anchor="end">${label}</text>`);
      lines.push(
        `<rect class="${ours ? 'o' : 'b'}" x="${LEFT}" y="${y + 3}" width="${width}" height="16" rx="2"/>`,
      );
      lines.push(
        `<text x="${LEFT + Number(width) + 6}" y="${y + 15}">${ms.toFixed(ms < 10 ? 1 : 0)} ms</text>`,
      );
      y += ROW;
    }
    y += 8;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y + 10}" font-family="system-ui, sans-serif" font-size="13">
<title>Median time to an answer, by isolation and language</title>
<style>text{fill:#24292f}.t{font-weight:600}.b{fill:#a8b3bf}.o{fill:#1f6feb}@media (prefers-color-scheme:dark){text{fill:#e6edf3}.b{fill:#5c6773}}</style>
<text class="t" x="8" y="20" font-size="15">Median time to an answer, logarithmic scale</text>
<text x="8" y="38" font-size="11">${machine}</text>
${lines.join('\n')}
</svg>
`;
}

function bar(label: string, ms: number | undefined, ours = false): Bar | undefined {
  return ms === undefined ? undefined : { label, ms, ours };
}
