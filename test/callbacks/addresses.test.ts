import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import { isPublicAddress } from '../../src/callbacks/addresses.ts';
import { post } from '../../src/callbacks/post.ts';

describe('an address', () => {
  test.each(['93.184.215.14', '8.8.8.8', '2606:2800:21f:cb07:6820:80da:af6b:8b2c', '::ffff:8.8.8.8'])(
    '%s is public',
    (address) => expect(isPublicAddress(address)).toBe(true),
  );
  test.each([
    '127.0.0.1',
    '0.0.0.0',
    '10.1.2.3',
    '172.31.0.1',
    '192.168.1.1',
    '169.254.169.254',
    '100.64.0.1',
    '224.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    '::ffff:127.0.0.1',
    '::ffff:a9fe:a9fe',
    '64:ff9b::7f00:1',
    'fe80::1',
    'fd00:ec2::254',
    'ff02::1',
    'nonsense',
  ])('%s is not', (address) => expect(isPublicAddress(address)).toBe(false));
});

describe('a post', () => {
  test.each(['127.0.0.1', 'localhost', '[::1]', '[::ffff:127.0.0.1]', '2130706433', '0x7f.1'])(
    'to %s is refused, and nothing is connected to, unless that is allowed',
    async (host) => {
      let connections = 0;
      const server = createServer((_request, response) => response.end()).on(
        'connection',
        () => connections++,
      );
      await once(server.listen(0, '::'), 'listening');
      try {
        const url = new URL(`http://${host}:${(server.address() as AddressInfo).port}/`);
        await expect(post(url, {}, Buffer.from('x'))).rejects.toThrow('CALLBACK_ALLOW_PRIVATE');
        expect(connections).toBe(0);
        expect(await post(url, {}, Buffer.from('x'), { allowPrivate: true })).toBe(200);
      } finally {
        server.close();
      }
    },
  );

  test('follows no redirect, reads no endless answer and waits for no silent one', async () => {
    const server = createServer((request, response) => {
      if (request.url === '/moved') response.writeHead(302, { location: '/' }).end();
      else if (request.url === '/endless') setInterval(() => response.write('x'.repeat(65_536)), 1).unref();
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    try {
      const to = (path: string) =>
        post(
          new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`),
          {},
          Buffer.from('x'),
          {
            allowPrivate: true,
            timeoutMs: 500,
          },
        );
      expect(await to('/moved')).toBe(302);
      expect(await to('/endless')).toBe(200);
      await expect(to('/silent')).rejects.toThrow('No answer within 500 ms');
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});
