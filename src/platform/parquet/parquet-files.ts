/** Parquet files of results, each made in a thread of its own. Fulfils `ParquetFiles` of src/api/batch/results/ports.ts. */
import { Worker } from 'node:worker_threads';
import type { Step, StepDone } from './parquet-thread';

export interface ParquetFile {
  observe(lines: string): Promise<void>;
  write(lines: string): Promise<Uint8Array>;
  finish(): Promise<Uint8Array>;
  close(): Promise<void>;
}

export interface ParquetFiles {
  open(): ParquetFile;
}

/** Twice what files of a thousand columns were seen to need; beyond, the thread ends and the process does not. */
const HEAP_MB_MAX = 256;

/** @param threadFile path of the compiled `parquet-thread` */
export function createParquetFiles({ threadFile }: { threadFile: string }): ParquetFiles {
  return {
    open: () => {
      const thread = startThread(threadFile);
      return {
        observe: async (lines) => void (await thread.take({ do: 'observe', lines })),
        write: (lines) => thread.take({ do: 'write', lines }),
        finish: () => thread.take({ do: 'finish' }),
        close: () => thread.close(),
      };
    },
  };
}

interface FileThread {
  take(step: Step): Promise<Uint8Array>;
  close(): Promise<void>;
}

interface Waiter {
  resolve(bytes: Uint8Array): void;
  reject(error: Error): void;
}

function startThread(threadFile: string): FileThread {
  const worker = new Worker(threadFile, { resourceLimits: { maxOldGenerationSizeMb: HEAP_MB_MAX } });
  let ended: Error | undefined;
  let waiter: Waiter | undefined;
  const settle = (done: StepDone): void => {
    const { resolve, reject } = waiter ?? {};
    waiter = undefined;
    if ('error' in done) reject?.(done.error);
    else resolve?.(done.bytes);
  };
  const end = (error: Error): void => {
    ended ??= error;
    settle({ error: ended });
  };
  worker.on('message', settle);
  worker.on('error', end);
  worker.on('exit', () => end(new Error('the thread of a Parquet file has ended')));
  return {
    take: (step) =>
      new Promise((resolve, reject) => {
        if (ended !== undefined) return reject(ended);
        waiter = { resolve, reject };
        worker.postMessage(step);
      }),
    close: async () => void (await worker.terminate()),
  };
}
