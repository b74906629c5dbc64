import type { DurableResult } from './durable.ts';

const WIDTH = 760;
const HEIGHT = 320;
const LEFT = 60;
const RIGHT = 100;
const TOP = 60;
const BOTTOM = 50;

/** Claims a second against how many wait, a line a database, as SVG that reads on a light and a dark page. */
export function queueChart(claims: DurableResult['claims'], machine: string): string {
  const all = claims.flatMap(({ rates }) => rates);
  const backlogs = [...new Set(all.map(({ backlog }) => backlog))].sort((a, b) => a - b);
  const step = niceStep(Math.max(...all.map(({ claimsPerSecond }) => claimsPerSecond)));
  const top = step * Math.ceil(Math.max(...all.map(({ claimsPerSecond }) => claimsPerSecond)) / step);
  const low = Math.log10(backlogs[0]!);
  const span = Math.max(1e-9, Math.log10(backlogs.at(-1)!) - low);
  const x = (backlog: number) => LEFT + ((Math.log10(backlog) - low) / span) * (WIDTH - LEFT - RIGHT);
  const y = (rate: number) => HEIGHT - BOTTOM - (rate / top) * (HEIGHT - TOP - BOTTOM);
  const lines: string[] = [];
  for (let rate = 0; rate <= top; rate += step) {
    const at = y(rate).toFixed(1);
    lines.push(`<path class="g" d="M${LEFT} ${at}H${WIDTH - RIGHT}"/>`);
    lines.push(`<text x="${LEFT - 8}" y="${Number(at) + 4}" text-anchor="end">${rate}</text>`);
  }
  for (const backlog of backlogs) {
    const label = backlog.toLocaleString('en');
    lines.push(
      `<text x="${x(backlog).toFixed(1)}" y="${HEIGHT - BOTTOM + 20}" text-anchor="middle">${label}</text>`,
    );
  }
  lines.push(`<text x="${LEFT}" y="${HEIGHT - 8}">invocations that wait, logarithmic scale</text>`);
  for (const [index, { database, rates }] of claims.entries()) {
    const points = rates.map(
      ({ backlog, claimsPerSecond }) => [x(backlog).toFixed(1), y(claimsPerSecond).toFixed(1)] as const,
    );
    const last = points.at(-1)!;
    lines.push(`<polyline class="l${index}" points="${points.map((point) => point.join(',')).join(' ')}"/>`);
    for (const [cx, cy] of points) lines.push(`<circle class="d${index}" cx="${cx}" cy="${cy}" r="3.5"/>`);
    lines.push(`<text x="${Number(last[0]) + 10}" y="${Number(last[1]) + 4}">${database}</text>`);
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="system-ui, sans-serif" font-size="13">
<title>Claims a second against backlog</title>
<style>text{fill:#24292f}.t{font-weight:600}.g{stroke:#a8b3bf;stroke-opacity:.4}polyline{fill:none;stroke-width:2}.l0{stroke:#1f6feb}.d0{fill:#1f6feb}.l1{stroke:#bf8700}.d1{fill:#bf8700}@media (prefers-color-scheme:dark){text{fill:#e6edf3}.g{stroke:#5c6773}}</style>
<text class="t" x="8" y="20" font-size="15">Claims a second against backlog: each claimed and ended, one gateway</text>
<text x="8" y="38" font-size="11">${machine}</text>
${lines.join('\n')}
</svg>
`;
}

/** A round number of which some four make the whole. */
function niceStep(largest: number): number {
  const power = 10 ** Math.floor(Math.log10(largest / 4));
  return ([1, 2, 5, 10].find((factor) => factor * power >= largest / 4) ?? 10) * power;
}
