import { OpenAPIHono } from '@hono/zod-openapi';
import { GatewayError } from '../errors.ts';
import { registerAliases } from './aliases.ts';
import type { App, AppDeps, AppEnv } from './context.ts';
import { functionCors } from './cors.ts';
import { registerDocs } from './docs.ts';
import { registerDurable } from './durable.ts';
import { registerEvents } from './events.ts';
import { registerFunctionUrl } from './function-url.ts';
import { registerHealth } from './health.ts';
import { registerInvocations } from './invocations.ts';
import { registerLambda } from './lambda.ts';
import { registerMetrics } from './metrics.ts';
import { registerOpenApi } from './openapi.ts';
import { ownHeaders } from './own-headers.ts';
import { registerPools } from './pools.ts';
import { answerError, invalid, problem } from './problem.ts';
import { registerReceipts } from './receipts.ts';
import { registerReplays } from './replays.ts';
import { refuseUnlogged, requestIds, watchRequests } from './request-log.ts';
import { registerSchedules } from './schedules.ts';
import { registerVariables } from './variables.ts';
import { registerVersions } from './versions.ts';

/** The gateway's whole HTTP interface; it listens nowhere by itself. */
export function createApp(deps: AppDeps): App {
  const app: App = new OpenAPIHono<AppEnv>({
    defaultHook: (result) => {
      if (!result.success) throw invalid(result.error);
    },
  });
  const { onAnswered, audit, config } = deps;
  if (onAnswered !== undefined) {
    app.use(watchRequests(onAnswered, requestIds(deps.newId().slice(-8)), audit));
  }
  app.use(ownHeaders());
  if (config.CORS_ORIGINS !== undefined) app.use('/e/*', functionCors(config.CORS_ORIGINS));
  if (audit !== undefined) app.use('/v1/*', refuseUnlogged(audit));
  registerFunctionUrl(app, deps);
  registerEvents(app, deps);
  registerVersions(app, deps);
  registerAliases(app, deps);
  registerSchedules(app, deps);
  registerReplays(app, deps);
  registerLambda(app, deps);
  registerInvocations(app, deps);
  registerDurable(app, deps);
  registerReceipts(app, deps);
  registerVariables(app, deps);
  registerPools(app, deps);
  registerHealth(app, deps);
  if (deps.metrics !== undefined) registerMetrics(app, deps.metrics);
  registerOpenApi(app);
  registerDocs(app);
  refuseOtherMethods(app);
  app.notFound((c) => problem(new GatewayError('not_found', `There is nothing at ${c.req.path}`)));
  app.onError((error, c) => answerError(error, c, deps.logger));
  return app;
}

/** A path that exists answers 405, with the methods it has, to those it has not. */
function refuseOtherMethods(app: App): void {
  const methodsOf = new Map<string, Set<string>>();
  for (const { path, method } of app.routes) {
    if (method === 'ALL') continue;
    const methods = methodsOf.get(path) ?? new Set();
    methodsOf.set(path, methods.add(method));
    if (method === 'GET') methods.add('HEAD');
  }
  for (const [path, methods] of methodsOf) {
    const allow = [...methods].sort().join(', ');
    app.all(path, (c) =>
      problem(new GatewayError('method_not_allowed', `${c.req.method} is not allowed here; use ${allow}`), {
        allow,
      }),
    );
  }
}
