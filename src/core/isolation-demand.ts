import { GatewayError } from '../errors.ts';
import type { Enqueuer } from './enqueue.ts';
import type { Event } from './event.ts';
import { type IsolationGrade, type MinIsolation, meets } from './isolation.ts';

/** What has to change for it is an operator's to change; another gateway on the same address may have it. */
const RETRY_AFTER_SECONDS = 60;

/**
 * Lets an event run only on what it demands.
 * @throws GatewayError `isolation_unavailable`
 */
export function demandIsolation({ name, current }: Event, grade: IsolationGrade): void {
  const { minIsolation } = current;
  if (minIsolation === undefined || meets(grade, minIsolation)) return;
  throw new GatewayError('isolation_unavailable', reasonOf(name, minIsolation, grade), {
    retryAfterSeconds: RETRY_AFTER_SECONDS,
  });
}

/** Takes only what can run here: who is told that it was refused can ask elsewhere, and who is told 202 cannot. */
export function demandingEnqueuer(enqueuer: Enqueuer, grade: IsolationGrade): Enqueuer {
  return {
    async enqueue(request) {
      demandIsolation(request.event, grade);
      return enqueuer.enqueue(request);
    },
  };
}

function reasonOf(name: string, wanted: MinIsolation, { isolation, level }: IsolationGrade): string {
  const given = `this gateway isolates by ${isolation} at SECURITY_LEVEL=${level}`;
  const remedy =
    wanted === 'gvisor' ? 'It needs gVisor: RUNTIME=gvisor' : `It needs SECURITY_LEVEL=${wanted}`;
  return `The event ${name} demands ${wanted}, and ${given}. ${remedy}, or an event that demands less.`;
}
