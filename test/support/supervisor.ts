import { HANDLERS_DIR, type Product, type ProductOptions, type Role, startProduct } from './product';
import { until } from './wait';

/** What `npm start` does for its worker. */
export interface Supervisor {
  /** of all workers so far */
  logs(): string;
  /** kill -9 of the one that runs, or is about to; resolves when it is gone, and the next one comes by itself */
  kill(): Promise<void>;
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
      if (lives(worker)) await new Promise((resolve) => worker.process.once('exit', resolve));
    }
  };
  const running = run();
  return {
    logs: () => workers.map((worker) => worker.log()).join(''),
    async kill() {
      const worker = await until('a worker', () => workers.find(lives));
      await worker.kill();
    },
    async stop() {
      stopping = true;
      await workers.at(-1)?.stop();
      await running;
    },
  };
}

function lives({ process }: Role): boolean {
  return process.exitCode === null && process.signalCode === null;
}

export interface SupervisedProduct {
  product: Product;
  supervisor: Supervisor;
  close(): Promise<void>;
}

/** A product with the tests' handlers whose worker comes again whatever happens to it. */
export async function startSupervised(options: ProductOptions = {}): Promise<SupervisedProduct> {
  const product = await startProduct({
    ...options,
    env: { MILLRACE_HANDLERS_DIR: HANDLERS_DIR, ...options.env },
  });
  const supervisor = supervise(product);
  return {
    product,
    supervisor,
    async close() {
      await supervisor.stop();
      await product.close();
    },
  };
}
