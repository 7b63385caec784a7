import { serveRemote } from '../frame/serve-remote';
import { watchUsage } from '../measure/usage';
import type { Contender, ContenderRequest, Measured, OpenContender, Place } from './contender';

/** Makes this process a contender: it does what the bench asks over the message channel, and ends with it. */
export function serve(open: OpenContender): void {
  let opened: { contender: Contender; place: Place } | null = null;
  serveRemote(async (request: ContenderRequest): Promise<Measured | null> => {
    if (request.type === 'open') {
      opened = { contender: await open(request.place), place: request.place };
      return null;
    }
    if (!opened) throw new Error('asked to run before it was opened');
    return measure(opened.contender, opened.place, request.itemCount);
  });
}

async function measure(contender: Contender, { facts }: Place, itemCount: number): Promise<Measured> {
  const preparation = await contender.prepare(itemCount);
  const used = watchUsage(facts);
  const startedAt = performance.now();
  const phasesMs = await preparation.work();
  const elapsedMs = performance.now() - startedAt;
  const usage = used();
  const resultsChecked = await preparation.check();
  await preparation.clear();
  const itemsPerSecond = (itemCount / elapsedMs) * 1_000;
  return { itemCount, elapsedMs, itemsPerSecond, phasesMs, resultsChecked, ...usage };
}
