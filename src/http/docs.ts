import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { GatewayError } from '../errors.ts';
import type { App } from './context.ts';

const packageFile = createRequire(import.meta.url).resolve('swagger-ui-dist/package.json');
const ASSETS: Readonly<Record<string, string>> = {
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
  'swagger-ui.css': 'text/css; charset=utf-8',
};
/** Everything from here and nothing inline; the icons are data URLs in the style sheet. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');
const SECURITY = {
  'content-security-policy': POLICY,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
};
const FOREVER = 'public, max-age=31536000, immutable';

/** `GET /docs`: the description of the interface for people, by Swagger UI's own files. Nothing is fetched from elsewhere. */
export function registerDocs(app: App): void {
  const files = new Map<string, Promise<Asset>>();
  // The version is in the addresses, so that a browser keeps the files until there are others.
  const version = readVersion();

  app.get('/docs', async (c) =>
    c.html(page(await version), 200, { ...SECURITY, 'cache-control': 'no-cache' }),
  );
  app.get('/docs/start.js', (c) =>
    c.body(START, 200, {
      ...SECURITY,
      'content-type': 'text/javascript; charset=utf-8',
      'cache-control': 'no-cache',
    }),
  );
  app.get('/docs/:version/:file', async (c) => {
    const { file, version: asked } = c.req.param();
    const type = Object.hasOwn(ASSETS, file) ? ASSETS[file] : undefined;
    if (type === undefined || asked !== (await version)) {
      throw new GatewayError('not_found', 'There is no such file');
    }
    const { plain, compressed } = await readOnce(files, file);
    const zipped = /\bgzip\b/.test(c.req.header('accept-encoding') ?? '');
    return c.body(zipped ? compressed : await plain(), 200, {
      ...SECURITY,
      'content-type': type,
      'cache-control': FOREVER,
      vary: 'accept-encoding',
      ...(zipped && { 'content-encoding': 'gzip' }),
    });
  });
}

interface Asset {
  plain: () => Promise<Uint8Array<ArrayBuffer>>;
  compressed: Uint8Array<ArrayBuffer>;
}

/** Kept compressed, a third of the size; whoever cannot have that is served from the disk. */
function readOnce(files: Map<string, Promise<Asset>>, name: string): Promise<Asset> {
  let asset = files.get(name);
  if (asset === undefined) {
    const plain = async () => new Uint8Array(await readFile(join(dirname(packageFile), name)));
    asset = plain().then(async (bytes) => ({
      plain,
      compressed: new Uint8Array(await promisify(gzip)(bytes)),
    }));
    files.set(name, asset);
    asset.catch(() => files.delete(name));
  }
  return asset;
}

async function readVersion(): Promise<string> {
  const { version } = JSON.parse(await readFile(packageFile, 'utf8')) as { version: string };
  return version;
}

function page(version: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Cronium gateway</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/${version}/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<script src="docs/${version}/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
`;
}

/** Tokens that are typed in stay in the page: nothing is kept in the browser's storage. */
const START = `SwaggerUIBundle({
  dom_id: '#docs',
  url: 'openapi.json',
  presets: [SwaggerUIBundle.presets.apis],
  validatorUrl: null,
  queryConfigEnabled: false,
  persistAuthorization: false,
  tryItOutEnabled: true,
  deepLinking: false,
  docExpansion: 'list',
});
`;
