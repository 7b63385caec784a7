import path from 'node:path';
import type { BenchContext } from '../frame/bench';
import { type Remote, openRemote } from '../frame/remote';
import { cpuSeconds, takeSnapshot } from '../measure/processes';
import type { ServerProcess } from './api-process';
import { entrants, type Letter, startServer } from './entrants';
import { leanBytes } from './garbage';
import type { ClientRequest } from './load/client';
import type { Delivered } from './load/deliveries';
import type { Published, PublisherRequest } from './publishers/serve';
import type { Place, Protocol } from './target';
import type { Topics } from './topics';

export interface RunPlan {
  readonly connections: number;
  readonly perSecond: number;
  readonly seconds: number;
  readonly nodeExtra: readonly string[];
}

/** One run of one entrant. What is null the system does not tell. */
export interface Run extends Delivered {
  readonly elapsedSeconds: number;
  /** Of the process that subscribers are connected to. */
  readonly cpuSeconds: number | null;
  readonly deliveriesPerCpuSecond: number | null;
  readonly redisCpuSeconds: number | null;
  /** Of the subscribers' process: what it is short of shows as latency. */
  readonly clientCpuSeconds: number | null;
  /** Resident memory, without garbage, beyond that of the same process before they came. */
  readonly bytesPerConnection: { readonly idle: number | null; readonly used: number | null };
}

/** So many come and go before memory is looked at for the first time: by then code and caches are there. */
const warmConnections = 200;
const warmSeconds = 2;

interface Parts {
  readonly server: ServerProcess;
  readonly client: Remote<ClientRequest, Delivered | null>;
  readonly publisher: Remote<PublisherRequest, Published>;
  readonly place: Place;
  readonly protocols: readonly Protocol[];
  readonly redisPid: number;
}

/** Fresh processes for server, subscribers and publisher. */
export async function runOnce(
  context: BenchContext,
  plan: RunPlan,
  { letter, run, topics }: { readonly letter: Letter; readonly run: string; readonly topics: Topics },
): Promise<Run> {
  const { publisher: kind, protocols } = entrants[letter];
  const { jobIds, key } = topics;
  const server = await startServer(context, { letter, run, topics: jobIds, nodeExtra: plan.nodeExtra });
  const client: Parts['client'] = openRemote(path.join(__dirname, 'load/client.js'), context.signal);
  const publisher: Parts['publisher'] = openRemote(
    path.join(__dirname, 'publishers/serve.js'),
    context.signal,
  );
  const place = { host: '127.0.0.1', port: server.port, key, topics: jobIds };
  try {
    await publisher.ask({ type: 'open', kind, redisUrl: context.facts.redis_url, topics: jobIds });
    const redisPid = context.facts.pids.redis ?? -1;
    return await measure({ server, client, publisher, place, protocols, redisPid }, plan);
  } finally {
    client.close();
    publisher.close();
    await server.close();
  }
}

async function measure(parts: Parts, plan: RunPlan): Promise<Run> {
  const { server, client } = parts;
  const { connections, perSecond, seconds } = plan;
  await connect(parts, Math.min(warmConnections, connections));
  await deliver(parts, { perSecond, seconds: warmSeconds });
  await client.ask({ type: 'drop' });
  const before = await leanBytes(server.pid);
  await connect(parts, connections);
  const idle = await leanBytes(server.pid);
  await deliver(parts, { perSecond, seconds: warmSeconds });
  const used = watch(parts);
  const delivered = await deliver(parts, { perSecond, seconds });
  const usage = used();
  const after = await leanBytes(server.pid);
  const each = (bytes: number | null): number | null =>
    bytes === null || before === null ? null : (bytes - before) / connections;
  const { cpuSeconds: cpu } = usage;
  return {
    ...delivered,
    ...usage,
    deliveriesPerCpuSecond: cpu === null || cpu === 0 ? null : delivered.count / cpu,
    bytesPerConnection: { idle: each(idle), used: each(after) },
  };
}

async function connect({ client, publisher, place, protocols }: Parts, count: number): Promise<void> {
  const published = await publisher.ask({ type: 'publish', seconds: 0, perSecond: 0 });
  for (const [at, protocol] of protocols.entries()) {
    const from = Math.floor((at * count) / protocols.length);
    const connections = Math.floor(((at + 1) * count) / protocols.length) - from;
    await client.ask({ type: 'connect', place, audience: { protocol, connections }, published });
  }
}

async function deliver(
  { client, publisher }: Parts,
  wish: { readonly perSecond: number; readonly seconds: number },
): Promise<Delivered> {
  const published = await publisher.ask({ type: 'publish', ...wish });
  const delivered = await client.ask({ type: 'collect', published });
  if (delivered === null) throw new Error('the subscribers said nothing');
  return delivered;
}

function watch({ server, client, redisPid }: Parts) {
  const pids = { cpuSeconds: server.pid, clientCpuSeconds: client.pid, redisCpuSeconds: redisPid };
  const startedAt = performance.now();
  const before = takeSnapshot();
  return () => {
    const after = takeSnapshot();
    const used = (pid: number): number | null => {
      const [from, to] = [cpuSeconds(before, pid), cpuSeconds(after, pid)];
      return from === null || to === null ? null : to - from;
    };
    const elapsedSeconds = (performance.now() - startedAt) / 1_000;
    const seconds = Object.entries(pids).map(([name, pid]) => [name, used(pid)] as const);
    return {
      elapsedSeconds,
      ...(Object.fromEntries(seconds) as Record<keyof typeof pids, number | null>),
    };
  };
}
