/** What is expected of answers to whatever route. */
import type { Reply } from '../api';
import { until } from '../wait';
import { allThatIsKept, tracesOf } from './traces';
import { WIDE, type World } from './world';

/** Of a tenant of the world, which is far from its limits. */
export function expectLimits({ headers }: Reply): void {
  const { requests_per_minute: minute, requests_per_day: day } = WIDE;
  expect(headers.get('ratelimit-policy')).toBe(`"minute";q=${minute};w=60,"day";q=${day};w=86400`);
  expect(headers.get('ratelimit')).toMatch(/^"minute";r=\d+;t=\d+,"day";r=\d+;t=\d+$/);
}

export function expectSuccess({ success }: { success: readonly number[] }, { status, text }: Reply): void {
  // What was answered shows in the failure.
  expect([...success, text]).toContain(status);
}

/** Byte for byte what a problem says, but for when and where it was asked. */
export function apartFromOccurrence({ status, headers, text, body }: Reply) {
  const passing = /^(date|x-request-id|ratelimit|content-length|connection|keep-alive)$/;
  return {
    status,
    headers: [...headers].filter(([name]) => !passing.test(name)),
    text: text.replace(body.request_id, '').replace(body.instance, ''),
  };
}

/**
 * At the end: no answer held a secret but the one that gives it, and none stands in the log, the database, Redis or Temporal. What
 * must be found there is: how a key begins, and who asked.
 */
export async function expectNoTraces(world: World): Promise<void> {
  const { a, secrets, spilled } = world;
  expect(spilled).toEqual([]);
  // What reaches Temporal is begun after the answer.
  const { id } = await a.make('POST', '/v1/jobs', { handler: 'echo', items: [1] });
  const kept = await until('the history of a job', async () => {
    const found = await allThatIsKept(world);
    return found.some(({ place }) => place.startsWith('workflow ') && place.endsWith(id)) && found;
  });
  expect(secrets.size).toBeGreaterThan(4);
  expect(tracesOf(secrets, kept)).toEqual([]);
  const placesOf = (text: string): string[] =>
    kept.filter((one) => one.text.includes(text)).map(({ place }) => place);
  expect(placesOf(a.key.slice(0, 12))).toContain('table api_keys');
  expect(placesOf(a.tenantId)).toEqual(
    expect.arrayContaining(['log', expect.stringMatching(/^redis /), expect.stringMatching(/^workflow /)]),
  );
}
