import { once } from 'node:events';

/** Lets the test servers go and waits until they are gone. */
export default async function globalTeardown(): Promise<void> {
  const keeper = globalThis.millraceTestKeeper;
  if (!keeper || keeper.exitCode !== null || keeper.signalCode !== null) return;
  const gone = once(keeper, 'exit');
  if (keeper.connected) keeper.disconnect();
  await gone;
}
