import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Harness, jsonOf, listen } from '../http/harness.ts';
import { findChromium, openBrowser } from './chromium.ts';

const executable = findChromium();
// Where CI has forgotten to install one, the suite fails; elsewhere it says why it skips.
if (executable === undefined && !process.env.CI) {
  console.log(
    'skips: /docs in a browser: no Chromium is installed here (set CHROMIUM_PATH, or install chromium)',
  );
}

let gateway: Harness;
beforeAll(async () => {
  gateway = await Harness.open();
});
afterAll(() => gateway[Symbol.asyncDispose]());

describe('the documentation of the interface', () => {
  test('is allowed to load from this gateway and from nowhere else', async () => {
    const response = await gateway.app.request('/docs');
    const html = await response.text();
    expect(response.headers.get('content-security-policy')).toMatch(
      /default-src 'none'; script-src 'self'; /,
    );
    expect(html).not.toMatch(/https?:|<script>|<style>| style=/);
  });

  test('has files that a browser keeps, compressed where it can have them so', async () => {
    const [, path] = /src="(docs\/[^"]*bundle\.js)"/.exec(await (await gateway.app.request('/docs')).text())!;
    const zipped = await gateway.app.request(`/${path}`, { headers: { 'accept-encoding': 'gzip, br' } });
    const plain = await gateway.app.request(`/${path}`);
    expect(zipped.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
    expect(zipped.headers.get('content-encoding')).toBe('gzip');
    const [zippedBytes, plainBytes] = [await zipped.arrayBuffer(), await plain.arrayBuffer()];
    expect(zippedBytes.byteLength).toBeLessThan(plainBytes.byteLength / 2);
  });

  test.each(['/docs/0.0.1/swagger-ui.css', '/docs/5.35.0/package.json', '/docs/5.35.0/..%2fpackage.json'])(
    'has no other files: %s',
    async (path) => {
      const response = await gateway.app.request(path);
      expect(response.status).toBe(404);
      expect(await jsonOf(response)).toMatchObject({ code: 'not_found' });
    },
  );

  test.skipIf(executable === undefined && !process.env.CI)(
    'lists every operation in a browser, and calls one from there, without a word to another host',
    async () => {
      await using server = await listen(gateway.app);
      await using browser = await openBrowser(executable!);
      const page = await browser.newPage();
      const complaints: string[] = [];
      const elsewhere: string[] = [];
      page.on('console', (message) => {
        if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
      });
      page.on('pageerror', (error) => complaints.push(String(error)));
      browser.on('request', (request) => {
        const { origin, protocol } = new URL(request.url());
        if (protocol !== 'data:' && origin !== server.url) elsewhere.push(request.url());
      });

      await page.goto(`${server.url}/docs`);
      await page.locator('.opblock').first().waitFor();
      const shown = await page
        .locator('.opblock-summary')
        .evaluateAll((rows) =>
          rows.map((row) => row.querySelector('.opblock-summary-path')?.getAttribute('data-path') ?? ''),
        );
      const description = await jsonOf<{ paths: Record<string, object> }>(
        await gateway.app.request('/openapi.json'),
      );
      expect(new Set(shown)).toEqual(new Set(Object.keys(description.paths)));

      const operation = page.locator('.opblock', { has: page.locator('[data-path="/healthz"]') });
      await operation.locator('.opblock-summary').click();
      await operation.getByRole('button', { name: 'Execute' }).click();
      const live = operation.locator('.live-responses-table .response');
      await live.waitFor();
      expect(await live.locator('.response-col_status').textContent()).toContain('200');
      expect(await live.locator('.highlight-code').first().textContent()).toMatch(/"status":\s*"ok"/);

      if (process.env.DOCS_SCREENSHOT)
        await page.screenshot({ path: process.env.DOCS_SCREENSHOT, fullPage: true });
      expect(complaints).toEqual([]);
      expect(elsewhere).toEqual([]);
    },
  );
});
