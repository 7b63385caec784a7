import type { Product, Role } from './product';

/** What `npm start` does for its worker. */
export interface Supervisor {
  /** of all workers so far */
  logs(): string;
  stop(): Promise<void>;
}

/** Starts a worker again whenever it ended. */
export function supervise(product: Product): Supervisor {
  const workers: Role[] = [];
  let stopping = false;
  const run = async (): Promise<void> => {
    while (!stopping) {
      const worker = await product.startWorker();
      workers.push(worker);
      if (worker.process.exitCode === null && worker.process.signalCode === null)
        await new Promise((resolve) => worker.process.once('exit', resolve));
    }
  };
  const running = run();
  return {
    logs: () => workers.map((worker) => worker.log()).join(''),
    async stop() {
      stopping = true;
      await workers.at(-1)?.stop();
      await running;
    },
  };
}
