/**
 * Open streams by tenant, over all processes. Each process has one field per tenant, with how many of the tenant's streams are
 * open here and when it last said so: the numbers are absolute, so nothing drifts, and one that dies without a word is counted
 * no longer than 15 s. What changes while a call for a tenant is under way goes into the next one.
 *
 *   there -> away    a call fails or takes too long: seats are given out of this process's share of the limit
 *   away -> there    the next call that succeeds; one a second is tried, and at once when the connection is back
 *
 * While Redis is away no stream waits for it; then it is told all there is.
 */
import type { Redis } from 'ioredis';
import { type Crew, shareOf } from '../../domain/limit/lease';
import { script } from './script';

const BEAT_MS = 5_000;
/** Who was silent for so many is not counted. */
const LIVE_BEATS = 3;
const RETRY_MS = 1_000;
/** Tenants that one step of a beat is for, so that no other command waits long behind it. */
const BEAT_TENANTS = 200;
const NO_LIMIT = Number.MAX_SAFE_INTEGER;

/**
 * KEYS: the tenant's hash of process to `count:time`. ARGV: this process, seats it has, seats it wants, limit, ms that a word is
 * good for. Returns how many of those it wants it is given.
 */
const takeScript = script<number>(`
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local me, mine, wanted, limit, live = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local taken = mine
-- Who only tells need not count: of many processes that do so every few seconds, each would read what all have said.
local fields = wanted > 0 and redis.call('HGETALL', KEYS[1]) or {}
for i = 1, #fields, 2 do
  local count, at = string.match(fields[i + 1], '^(%d+):(%d+)$')
  if fields[i] ~= me then
    if now - tonumber(at) > live then redis.call('HDEL', KEYS[1], fields[i])
    else taken = taken + tonumber(count) end
  end
end
local given = math.max(0, math.min(wanted, limit - taken))
if mine + given == 0 then
  redis.call('HDEL', KEYS[1], me)
else
  redis.call('HSET', KEYS[1], me, string.format('%.0f:%.0f', mine + given, now))
  redis.call('PEXPIRE', KEYS[1], 2 * live)
end
return given`);

export interface SeatsDeps {
  redis: Redis;
  prefix: string;
  /** of this process */
  instanceId: string;
  /** by which limits are shared while Redis is away; asked anew each time */
  crew(): Crew;
  /** ms; never goes back */
  ticks(): number;
  /** once per outage */
  onAway(error: unknown): void;
  onBack(): void;
  beatMs?: number;
}

export interface Seats {
  /**
   * Takes one, if the tenant has fewer than `limit` over all processes. Never rejects.
   * @param limit null: none, but it is counted all the same
   */
  take(tenantId: string, limit: number | null): Promise<boolean>;
  /** One that was taken, once each. */
  giveBack(tenantId: string): void;
  /** Gives all back. Resolves when Redis has been told, or can't be. */
  close(): Promise<void>;
}

interface Waiting {
  limit: number;
  settle(isTaken: boolean): void;
}

interface Tenant {
  id: string;
  /** open here */
  held: number;
  waiting: Waiting[];
  /** Redis has not been told of `held` yet */
  untold: boolean;
  calling: boolean;
}

export function createSeats(deps: SeatsDeps): Seats {
  const tenants = new Map<string, Tenant>();
  const line = createLine(deps);
  const beats = startBeats(deps, { tenants, line });
  const pump = createPump(deps, { tenants, line });
  return {
    take: (tenantId, limit) =>
      new Promise((settle) => {
        const tenant = tenants.get(tenantId) ?? newTenant(tenantId);
        tenants.set(tenantId, tenant);
        tenant.waiting.push({ limit: limit ?? NO_LIMIT, settle });
        pump(tenant);
      }),
    giveBack: (tenantId) => {
      const tenant = tenants.get(tenantId);
      if (tenant === undefined || tenant.held === 0) return;
      tenant.held--;
      tenant.untold = true;
      pump(tenant);
    },
    close: async () => {
      beats.stop();
      const ended = [...tenants.values()].map((tenant) => line.tell(Object.assign(tenant, { held: 0 })));
      await Promise.allSettled(ended);
    },
  };
}

function newTenant(id: string): Tenant {
  return { id, held: 0, waiting: [], untold: false, calling: false };
}

interface Line {
  /** Whether a call is worth its time; while Redis is away, one a second is. */
  mayTry(): boolean;
  /** Tells how many seats are held. @returns how many of those wanted are given, all of them within `limit` */
  ask(tenant: Tenant, wanted: number, limit: number): Promise<number>;
  tell(tenant: Tenant): Promise<unknown>;
  back(): void;
}

function createLine({ redis, prefix, instanceId, ticks, onAway, onBack, beatMs = BEAT_MS }: SeatsDeps): Line {
  let away = false;
  let retryAt = 0;
  const ask = async ({ id, held }: Tenant, wanted: number, limit: number): Promise<number> => {
    try {
      const key = `${prefix}seats:${id}`;
      const given = await takeScript(redis, [key], [instanceId, held, wanted, limit, LIVE_BEATS * beatMs]);
      if (away) onBack();
      away = false;
      return given;
    } catch (error) {
      if (!away) onAway(error);
      away = true;
      retryAt = ticks() + RETRY_MS;
      throw error;
    }
  };
  return {
    mayTry: () => {
      if (!away) return true;
      if (ticks() < retryAt) return false;
      // Others need not try it too, until its outcome is known.
      retryAt = ticks() + RETRY_MS;
      return true;
    },
    ask,
    tell: (tenant) => {
      tenant.untold = false;
      return ask(tenant, 0, 0);
    },
    back: () => {
      retryAt = 0;
    },
  };
}

interface House {
  tenants: Map<string, Tenant>;
  line: Line;
}

/** One call at a time for each tenant, for as long as there is something to ask or to tell. */
function createPump(deps: SeatsDeps, { tenants, line }: House): (tenant: Tenant) => void {
  const step = async (tenant: Tenant): Promise<void> => {
    const asking = tenant.waiting.splice(0);
    // The limit as the latest to come knows it: those of one moment know the same.
    const limit = asking.at(-1)?.limit ?? 0;
    tenant.untold = false;
    try {
      if (!line.mayTry()) throw new Error('redis is away');
      const given = await line.ask(tenant, asking.length, limit);
      seat(tenant, asking, given);
    } catch {
      seat(tenant, asking, shareOf(limit, deps.crew()) - tenant.held);
    }
  };
  const run = async (tenant: Tenant): Promise<void> => {
    tenant.calling = true;
    // What happens in one turn of the event loop goes together.
    await Promise.resolve();
    while (tenant.waiting.length > 0 || tenant.untold) await step(tenant);
    tenant.calling = false;
    if (tenant.held === 0) tenants.delete(tenant.id);
  };
  return (tenant) => {
    if (!tenant.calling) void run(tenant);
  };
}

function seat(tenant: Tenant, asking: readonly Waiting[], given: number): void {
  asking.forEach(({ settle }, n) => {
    if (n < given) tenant.held++;
    settle(n < given);
  });
}

/** Says now and then that the seats are still held, and at once when Redis is back: it may have lost them. */
function startBeats({ redis, beatMs = BEAT_MS }: SeatsDeps, { tenants, line }: House): { stop(): void } {
  let beating = false;
  const beat = async (): Promise<void> => {
    if (beating || !line.mayTry()) return;
    beating = true;
    try {
      const all = [...tenants.values()];
      for (let at = 0; at < all.length; at += BEAT_TENANTS) {
        // A tenant that a call is under way for is told of by that call, which may have been given more meanwhile.
        const quiet = all.slice(at, at + BEAT_TENANTS).filter(({ calling }) => !calling);
        await Promise.all(quiet.map((tenant) => line.tell(tenant)));
      }
    } catch {
      // The next beat tells it again.
    } finally {
      beating = false;
    }
  };
  const onReady = (): void => {
    line.back();
    void beat();
  };
  const timer = setInterval(() => void beat(), beatMs);
  timer.unref();
  redis.on('ready', onReady);
  return {
    stop: () => {
      clearInterval(timer);
      redis.off('ready', onReady);
    },
  };
}
