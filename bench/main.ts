import os from 'node:os';
import path from 'node:path';
import { StartFailure, explain } from '../tools/process/failure';
import { onStopRequest } from '../tools/start/stop-request';
import { apiBench } from './api/bench';
import { batchBench } from './batch/bench';
import type { Bench, BenchRun } from './frame/bench';
import { type MillraceCopy, makeBenchFolder, removeBenchFolder, startMillrace } from './frame/millrace-copy';
import { machineFacts, machineLines } from './frame/machine';
import { type FrameOptions, readFrameOptions } from './frame/options';
import { revisionOf, saveResults } from './frame/results';
import { readServerFacts, serverLines } from './frame/server-facts';
import { latencyBench } from './latency/bench';
import { realtimeBench } from './realtime/bench';

export interface BenchRequest {
  readonly root: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

const benches: Readonly<Record<string, Bench>> = {
  api: apiBench,
  batch: batchBench,
  latency: latencyBench,
  realtime: realtimeBench,
};

/** `npm run bench` from the moment the tree is built; resolves with the exit code when everything has ended. */
export async function bench(request: BenchRequest): Promise<number> {
  try {
    const [name = '', ...args] = request.args;
    const chosen = Object.hasOwn(benches, name) ? benches[name] : undefined;
    if (!chosen) throw new StartFailure(usage(name));
    const { frame, rest } = readFrameOptions(args);
    const { run, variables } = chosen.plan(rest);
    await runBench({
      ...request,
      name,
      run,
      frame: { ...frame, variables: { ...variables, ...frame.variables } },
    });
    return 0;
  } catch (error) {
    process.stderr.write(`\n${explain(error)}\n`);
    return 1;
  }
}

function usage(name: string): string {
  const lines = Object.entries(benches).flatMap(([known, { about, options }]) => [
    `  ${known.padEnd(10)}${about}`,
    ...options.map((line) => `  ${''.padEnd(12)}${line}`),
  ]);
  return [
    name === ''
      ? 'Which bench? `npm run bench -- <name> [options]`'
      : `There is no bench "${name}". There are:`,
    '',
    ...lines,
    '',
    '  any of them',
    `  ${''.padEnd(12)}--out <folder>      where the JSON goes (bench/results)`,
    `  ${''.padEnd(12)}--set NAME=VALUE    a variable for API and worker, as often as needed`,
  ].join('\n');
}

interface PlannedRun extends BenchRequest {
  readonly name: string;
  readonly frame: FrameOptions;
  readonly run: BenchRun;
}

async function runBench(planned: PlannedRun): Promise<void> {
  const stop = onStopRequest();
  const stopped = new Promise<never>((_resolve, reject) => {
    stop.requested.addEventListener('abort', () => {
      reject(new StartFailure(`Stopped (${stop.reason})`));
    });
  });
  const folder = makeBenchFolder(os.tmpdir());
  const copy = startMillrace({ ...planned, folder, variables: planned.frame.variables });
  const work = measure(planned, copy, stop.requested);
  try {
    await Promise.race([work, stopped]);
  } finally {
    await copy.stop();
    // What a stop interrupted fails now that its servers are gone; nobody waits for its answer.
    await work.catch(() => undefined);
    removeBenchFolder(folder);
  }
}

async function measure(planned: PlannedRun, copy: MillraceCopy, signal: AbortSignal): Promise<void> {
  say('Starting a copy of Millrace with servers of its own');
  const facts = await copy.ready;
  const servers = await readServerFacts(facts);
  const machine = machineFacts(copy.folder);
  for (const line of [...machineLines(machine), ...serverLines(servers)]) say(line);
  const variables = planned.frame.variables;
  for (const [name, value] of Object.entries(variables)) say(`${name}=${value} is not the default`);
  const { lines, data } = await planned.run({ facts, folder: copy.folder, signal, say });
  copy.assertUndisturbed(facts);
  say(`\n${lines.join('\n')}`);
  const outFolder = path.resolve(planned.root, planned.frame.outFolder ?? 'bench/results');
  const common = { bench: planned.name, revision: revisionOf(planned.root), machine, servers, variables };
  say(`\nWritten to ${saveResults(outFolder, planned.name, { ...common, ...data })}`);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
