import { createTopicGate, mayFollow, parseTopic, type TopicAsker } from '../../src/api/realtime/topic-name';
import { isTypePattern, typeFilter } from '../../src/domain/events/type-filter';
import { AppError } from '../../src/domain/errors';
import type { Scope } from '../../src/domain/key/scopes';
import { newId } from '../../src/platform/clock';

const job = newId('job');
const tenantId = newId('tenant');
const other = newId('tenant');

const asker = (scopes: readonly Scope[], topics?: string[]): TopicAsker => ({
  principal: { tenantId, scopes },
  ...(topics === undefined ? {} : { topics }),
});

function refusal(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof AppError) return error.code;
  }
  return 'none';
}

describe('the name of a topic', () => {
  test('is a job, the own tenant, or a tenant by its id', () => {
    expect(parseTopic(`job:${job}`)).toEqual({ kind: 'job', jobId: job });
    expect(parseTopic('tenant')).toEqual({ kind: 'tenant' });
    expect(parseTopic(`tenant:${other}`)).toEqual({ kind: 'tenant', tenantId: other });
  });

  test.each(['', 'job', 'job:', 'job:x', `job:${tenantId}`, `jobs:${job}`, ` job:${job}`, `job:${job}\n`])(
    '%j is none',
    (text) => expect(parseTopic(text)).toBeUndefined(),
  );

  test.each([job, 'tenant:', `tenant:${job}`, 'tenant:*', '*', 'tenant\0', 'constructor', ':'])(
    '%j is none',
    (text) => expect(parseTopic(text)).toBeUndefined(),
  );
});

describe('who may follow', () => {
  test('a job takes jobs:read, a tenant events:read', () => {
    expect(mayFollow({ kind: 'job', jobId: job }, asker(['jobs:read']))).toEqual({
      kind: 'job',
      tenantId,
      jobId: job,
    });
    expect(mayFollow({ kind: 'tenant' }, asker(['events:read']))).toEqual({ kind: 'tenant', tenantId });
    expect(refusal(() => mayFollow({ kind: 'job', jobId: job }, asker(['events:read'])))).toBe(
      'missing_scope',
    );
    expect(refusal(() => mayFollow({ kind: 'tenant' }, asker(['jobs:read'])))).toBe('missing_scope');
  });

  test("another tenant's topic is there for an admin only; the own one goes by both names", () => {
    const read: Scope[] = ['events:read'];
    expect(mayFollow({ kind: 'tenant', tenantId }, asker(read))).toEqual({ kind: 'tenant', tenantId });
    expect(refusal(() => mayFollow({ kind: 'tenant', tenantId: other }, asker(read)))).toBe('not_found');
    expect(mayFollow({ kind: 'tenant', tenantId: other }, asker(['admin']))).toEqual({
      kind: 'tenant',
      tenantId: other,
    });
  });

  test('a ticket shows its topics and no more, by whichever name', () => {
    const both: Scope[] = ['events:read', 'jobs:read'];
    expect(refusal(() => mayFollow({ kind: 'tenant' }, asker(both, [`job:${job}`])))).toBe('not_found');
    expect(refusal(() => mayFollow({ kind: 'job', jobId: newId('job') }, asker(both, [`job:${job}`])))).toBe(
      'not_found',
    );
    expect(refusal(() => mayFollow({ kind: 'tenant' }, asker(both, [])))).toBe('not_found');
    for (const name of ['tenant', `tenant:${tenantId}`]) {
      expect(refusal(() => mayFollow({ kind: 'tenant' }, asker(both, [name])))).toBe('none');
      expect(refusal(() => mayFollow({ kind: 'tenant', tenantId }, asker(both, [name])))).toBe('none');
    }
    expect(refusal(() => mayFollow({ kind: 'tenant', tenantId: other }, asker(['admin'], ['tenant'])))).toBe(
      'not_found',
    );
  });

  test('what is not there is not found, as is what is hidden', async () => {
    const gate = createTopicGate({
      readJob: async () => {
        throw new AppError('not_found', 'There is no such job.');
      },
      tenantExists: async (id) => id !== other,
    });
    const admin = asker(['admin']);
    await expect(gate.admit({ kind: 'job', jobId: job }, admin)).rejects.toMatchObject({ code: 'not_found' });
    await expect(gate.admit({ kind: 'tenant', tenantId: other }, admin)).rejects.toMatchObject({
      code: 'not_found',
    });
    await expect(gate.admit({ kind: 'tenant' }, admin)).resolves.toEqual({ kind: 'tenant', tenantId });
  });
});

describe('a pattern of types', () => {
  test.each(['*', 'a', 'job.completed', 'job.*', 'a-b_C9.d.*'])('%s is one', (text) =>
    expect(isTypePattern(text)).toBe(true),
  );

  test.each(['', '.', 'a.', '.a', '**', 'a*', 'a.*b', '*.a', 'a..b', 'é', 'a b', 'a\n', 'x'.repeat(129)])(
    '%j is none',
    (text) => expect(isTypePattern(text)).toBe(false),
  );

  test('passes what it names', () => {
    const filter = typeFilter(['job.*', 'quota.warning']);
    const types = ['job.a', 'job.a.b', 'job', 'jobs.a', 'quota.warning', 'quota.warning.x', 'quota'];
    expect(types.filter((type) => filter.passes(type))).toEqual(['job.a', 'job.a.b', 'quota.warning']);
    expect(types.every((type) => typeFilter(['x', '*']).passes(type))).toBe(true);
    expect(types.some((type) => typeFilter([]).passes(type))).toBe(false);
  });
});
