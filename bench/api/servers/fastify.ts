import { createHash } from 'node:crypto';
import rateLimit from '@fastify/rate-limit';
import Fastify, { type FastifyRequest } from 'fastify';
import { Redis } from 'ioredis';
import { LRUCache } from 'lru-cache';
import { Pool } from 'pg';
import { ensureDatabase } from '../../../tools/servers/postgres';
import { serveRemote } from '../../frame/serve-remote';
import { type ServerAnswer, type ServerRequest, bodiesOf } from '../target';

const database = 'bench_fastify';
const keyTtlMs = 60_000;
const keysMax = 10_000;

/**
 * Fastify as its documentation sets it up, with its logger on; @fastify/rate-limit over Redis with the connection options that
 * its documentation advises, one window of a minute; keys by their SHA-256 in PostgreSQL, remembered for a minute.
 */
serveRemote(async (request: ServerRequest): Promise<ServerAnswer> => {
  const findTenant = await openKeys(request);
  const bodies = bodiesOf(request.questions);
  const app = Fastify({ logger: true });
  app.decorateRequest('tenant', '');
  app.addHook('onRequest', async (req: FastifyRequest & { tenant?: string }, reply) => {
    const tenant = await findTenant(req.headers.authorization ?? '');
    if (tenant === undefined) return reply.code(401).send({ error: 'unknown key' });
    req.tenant = tenant;
    return undefined;
  });
  await app.register(rateLimit, {
    redis: new Redis(request.redisUrl, { connectTimeout: 500, maxRetriesPerRequest: 1 }),
    max: 2_000_000_000,
    timeWindow: '1 minute',
    keyGenerator: (req: FastifyRequest & { tenant?: string }) => req.tenant ?? '',
  });
  app.get('/v1/jobs/:id', async (req, reply) => reply.send(bodies.get(req.url)));
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  return { url };
});

/** Who an Authorization header is of; undefined: nobody. */
async function openKeys({ databaseUrl, key }: ServerRequest) {
  const url = new URL(databaseUrl);
  await ensureDatabase(url.href, database);
  url.pathname = `/${database}`;
  const pool = new Pool({ connectionString: url.href });
  pool.on('error', ignoreEnd);
  await pool.query('create table keys (hash bytea primary key, tenant text not null)');
  await pool.query('insert into keys values ($1, $2)', [hashOf(key), 'bench']);
  const known = new LRUCache<string, string>({ max: keysMax, ttl: keyTtlMs });
  return async (authorization: string): Promise<string | undefined> => {
    const hash = hashOf(authorization.replace(/^Bearer /, ''));
    const remembered = known.get(hash.toString('hex'));
    if (remembered !== undefined) return remembered;
    const { rows } = await pool.query<{ tenant: string }>('select tenant from keys where hash = $1', [hash]);
    const tenant = rows[0]?.tenant;
    if (tenant !== undefined) known.set(hash.toString('hex'), tenant);
    return tenant;
  };
}

function hashOf(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}

/** A connection that ends with its server; whoever waits for a query on it hears of that. */
function ignoreEnd(): void {}
