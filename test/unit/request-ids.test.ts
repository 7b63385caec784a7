import fc from 'fast-check';
import { v4, v7, validate, version } from 'uuid';
import { encodeId, isId, tryDecodeId } from '../../src/domain/ids';
import { createRequestIds } from '../../src/platform/request-ids';

describe('ids of requests', () => {
  test('are UUIDv7 of their millisecond, in the form of all ids', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 48 - 1 }), (ms) => {
        const id = createRequestIds(() => ms)();
        const uuid = tryDecodeId('request', id) ?? '';
        expect([validate(uuid), version(uuid)]).toEqual([true, 7]);
        expect(parseInt(uuid.replaceAll('-', '').slice(0, 12), 16)).toBe(ms);
        expect(encodeId('request', uuid)).toBe(id);
      }),
    );
  });

  test('never come twice, and use all their random bits', () => {
    const next = createRequestIds(() => 1_700_000_000_000);
    const ids = Array.from({ length: 20_000 }, next);
    expect(new Set(ids).size).toBe(ids.length);
    const uuids = ids.map((id) => BigInt(`0x${(tryDecodeId('request', id) ?? '').replaceAll('-', '')}`));
    const ones = uuids.reduce((all, uuid) => all | uuid, 0n) & ((1n << 80n) - 1n);
    const zeros = uuids.reduce((all, uuid) => all | ~uuid, 0n) & ((1n << 80n) - 1n);
    // Version (4 bits) and variant (2 bits) are the only ones that are always the same.
    const fixed = ((1n << 80n) - 1n) ^ (ones & zeros);
    expect(fixed).toBe((0xfn << 76n) | (3n << 62n));
  });
});

describe('ids', () => {
  test('lead from any UUID to a text and back', () => {
    for (const make of [v4, v7]) {
      for (let n = 0; n < 1_000; n++) {
        const uuid = make();
        const id = encodeId('job', uuid);
        expect(id).toMatch(/^job_[0-7][0-9a-hjkmnp-tv-z]{25}$/);
        expect(tryDecodeId('job', id)).toBe(uuid);
        expect(isId('job', id)).toBe(true);
      }
    }
    // The example of https://github.com/jetify-com/typeid/tree/main/spec
    expect(encodeId('job', '01890a5d-ac96-774b-bcce-b302099a8057')).toBe('job_01h455vb4pex5vsknk084sn02q');
    expect(encodeId('job', 'ffffffff-ffff-ffff-ffff-ffffffffffff')).toBe('job_7zzzzzzzzzzzzzzzzzzzzzzzzz');
    expect(tryDecodeId('job', 'job_00000000000000000000000000')).toBe('00000000-0000-0000-0000-000000000000');
  });

  test.each(['', 'job', 'job_', 'job_x', 'tnt_01h455vb4pex5vsknk084sn02q', 'job01h455vb4pex5vsknk084sn02q'])(
    'are none where %j stands',
    (text) => {
      expect([isId('job', text), tryDecodeId('job', text)]).toEqual([false, undefined]);
    },
  );

  test.each([
    'job_81h455vb4pex5vsknk084sn02q',
    'job_01h455vb4pex5vsknk084sn02u',
    'job_01h455vb4pex5vsknk084sn02qq',
  ])('are none where %j has too much or what is no digit', (text) => {
    expect([isId('job', text), tryDecodeId('job', text)]).toEqual([false, undefined]);
  });
});
