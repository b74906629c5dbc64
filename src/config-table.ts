import { settings } from './config/settings.ts';

const BEGIN = '<!-- configuration: made by `npm run docs` from src/config/settings.ts -->';
const END = '<!-- /configuration -->';

/** The configuration as a Markdown table, one row a variable, in the order of the schema. */
export function configTable(): string {
  const rows = Object.entries(settings.shape).map(([name, schema]) => {
    const empty = schema.safeParse(undefined);
    const isShown = empty.success && empty.data !== undefined && typeof empty.data !== 'object';
    const fallback = isShown ? `\`${empty.data}\`` : '';
    return `| \`${name}\` | ${fallback} | ${schema.description ?? ''} |`;
  });
  return ['| variable | default | what it does |', '| --- | --- | --- |', ...rows].join('\n');
}

/**
 * The text with the table between its two marks.
 * @throws Error when the marks are not there
 */
export function withTable(text: string, table: string): string {
  const begin = text.indexOf(BEGIN);
  const end = text.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`README.md has no place for the table: ${BEGIN} … ${END}`);
  return `${text.slice(0, begin + BEGIN.length)}\n\n${table}\n\n${text.slice(end)}`;
}
