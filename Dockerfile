# The gateway. Its sandboxes are other images, which it builds itself from runtimes/ through the Docker socket.
# What it runs on needs Node.js 24; what it is assembled on needs npm too.
ARG BASE=node:24-bookworm-slim
ARG BUILD_BASE=node:24-bookworm-slim

FROM ${BUILD_BASE} AS assembled
WORKDIR /app
COPY package.json package-lock.json ./
# Without what only development needs, and without the Node.js from npm: BASE has one. Deleted and not merely omitted,
# because `npm ci` refuses a lock without the packages of platforms that the lock was not made on.
RUN npm pkg delete devDependencies optionalDependencies \
  && npm ci --omit=optional --ignore-scripts --no-audit --no-fund --loglevel=error \
  && find node_modules -type f \
    \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' -o -name '*.md' \) \
    ! -iname 'licen[cs]e*' ! -iname 'notice*' -delete
COPY LICENSE ./
COPY bin bin
COPY deploy/container deploy/container
COPY runtimes runtimes
COPY src src
# A checkout may be readable by its owner alone.
RUN chmod -R u=rwX,go=rX /app && chmod 755 bin/cronium

FROM ${BASE}
WORKDIR /app
COPY --from=assembled /app .
# Volumes take the owner and mode of the folder that they are mounted on when they are first used.
RUN mkdir -p /data /run/cronium /var/run/postgresql node_modules/.cache \
  && chown 10001:10001 /data /run/cronium node_modules/.cache \
  && chmod 700 /data /run/cronium \
  && chmod 3777 /var/run/postgresql
USER 10001:10001
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8787 DATA_DIR=/data ISOLATION_MODE=docker
# Compiles ahead: the root is read-only at run time, and the cache holds for this user, these flags and this Node.js.
# A start without an engine gets as far as having loaded everything, and must fail for that reason alone.
RUN DATA_DIR=/tmp/warm-up DOCKER_HOST=unix:///nowhere \
  node --max-semi-space-size=2 bin/cronium serve 2>&1 | grep 'without isolation none is run' \
  && node bin/cronium token --sub warm-up >/dev/null \
  && rm -rf /tmp/* /data/*
EXPOSE 8787
STOPSIGNAL SIGTERM
# The first start builds the images of the sandboxes, which may be minutes on a slow line.
HEALTHCHECK --interval=10s --timeout=5s --start-period=15m --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/healthz`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "--max-semi-space-size=2", "--import", "./deploy/container/socket-access.js", "bin/cronium", "serve"]
