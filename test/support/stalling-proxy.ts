/** A network that can lose a connection without a word: no reset, no end, only silence. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface StallingProxy {
  port: number;
  /** connections that the client has not closed yet */
  readonly open: number;
  /** From now on the connections that are open carry nothing more; those made later do. */
  stall(): void;
  close(): Promise<void>;
}

export async function startStallingProxy(target: { host: string; port: number }): Promise<StallingProxy> {
  const inbounds = new Set<Socket>();
  const stalls = new Set<() => void>();
  const server = createServer((inbound) => {
    const outbound = connect(target);
    inbounds.add(inbound);
    inbound.on('error', () => undefined).pipe(outbound);
    outbound.on('error', () => undefined).pipe(inbound);
    const stall = (): void => {
      inbound.unpipe(outbound);
      // Read and dropped, so that the client's own end is still noticed here.
      inbound.resume();
      outbound.unpipe(inbound);
      outbound.resume();
    };
    stalls.add(stall);
    inbound.on('close', () => {
      inbounds.delete(inbound);
      stalls.delete(stall);
      outbound.destroy();
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    get open() {
      return inbounds.size;
    },
    stall: () => {
      for (const stall of stalls) stall();
    },
    close: async () => {
      for (const inbound of inbounds) inbound.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
