/** What was opened is closed in reverse order, each step by its name and within its time. */
export interface LifecycleLog {
  info(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface Lifecycle {
  /** @param close runs once; one that takes longer than `timeoutMs` is left behind, and the next goes on */
  onClose(name: string, close: () => unknown, timeoutMs?: number): void;
  /** Closes all; called again, gives the same promise. Never rejects: false where a step failed or took too long. */
  close(): Promise<boolean>;
  readonly closing: boolean;
}

interface Closer {
  name: string;
  close: () => unknown;
  timeoutMs: number;
}

const STEP_TIMEOUT_MS = 5_000;

export function createLifecycle(log: LifecycleLog): Lifecycle {
  const closers: Closer[] = [];
  let closed: Promise<boolean> | undefined;
  return {
    onClose: (name, close, timeoutMs = STEP_TIMEOUT_MS) => {
      if (closed !== undefined) throw new Error(`${name} was opened while closing`);
      closers.push({ name, close, timeoutMs });
    },
    close: () => {
      closed ??= closeAll(closers, log);
      return closed;
    },
    get closing() {
      return closed !== undefined;
    },
  };
}

async function closeAll(closers: readonly Closer[], log: LifecycleLog): Promise<boolean> {
  let clean = true;
  for (const closer of [...closers].reverse()) {
    try {
      await withinTime(closer);
      log.info({ step: closer.name }, 'closed');
    } catch (error) {
      clean = false;
      log.error({ step: closer.name, err: error }, 'close failed');
    }
  }
  return clean;
}

async function withinTime({ close, timeoutMs }: Closer): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`took longer than ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    await Promise.race([(async () => close())(), late]);
  } finally {
    clearTimeout(timer);
  }
}
