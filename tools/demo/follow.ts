import { EventSource } from 'eventsource';
import type { Api } from './api';
import type { Job, Progress } from './job';

const barLength = 30;
const plainEveryMs = 1_000;

/** Shows a job's events until it has ended; a broken stream goes on after the last event that came. */
export async function followJob(api: Api, jobId: string): Promise<Job> {
  const events = new EventSource(`${api.url}/v1/jobs/${jobId}/events`, {
    fetch: async (url, init) =>
      fetch(url, { ...init, headers: { ...init.headers, authorization: `Bearer ${api.key}` } }),
  });
  const line = createProgressLine();
  try {
    return await new Promise<Job>((resolve, reject) => {
      events.addEventListener('progress', (event) => {
        line.show(JSON.parse(event.data as string) as Progress);
      });
      events.addEventListener('done', (event) => {
        const job = JSON.parse(event.data as string) as Job;
        line.end(job, job.status);
        resolve(job);
      });
      events.addEventListener('error', ({ code, message }) => {
        // Without a code the connection broke: it is made again.
        if (code !== undefined) reject(new Error(`The event stream was refused: ${code} ${message ?? ''}`));
      });
    });
  } finally {
    events.close();
  }
}

/** One line that changes on a terminal; elsewhere a line a second. */
function createProgressLine() {
  const { isTTY } = process.stdout;
  let lastAt = -Infinity;
  const write = (text: string): void => {
    process.stdout.write(isTTY ? `\r\u001b[K${text}` : `${text}\n`);
  };
  return {
    show(progress: Progress): void {
      if (!isTTY && performance.now() - lastAt < plainEveryMs) return;
      lastAt = performance.now();
      write(describe(progress, 'running'));
    },
    end(progress: Progress, status: string): void {
      write(describe(progress, status));
      if (isTTY) process.stdout.write('\n');
    },
  };
}

/** E.g. `running    ███████░░░░  57 %  24,000 of 42,049, 7,071/s, 3 s left`. */
export function describe(
  { counts, rate_per_second: rate, eta_seconds: eta }: Progress,
  status: string,
): string {
  const done = counts.succeeded + counts.failed;
  const share = counts.total === 0 ? 1 : done / counts.total;
  const filled = Math.floor(share * barLength);
  const bar = '█'.repeat(filled) + '░'.repeat(barLength - filled);
  const parts = [
    `${done.toLocaleString('en')} of ${counts.total.toLocaleString('en')}`,
    ...(counts.failed > 0 ? [`${counts.failed.toLocaleString('en')} failed`] : []),
    ...(rate === null ? [] : [`${Math.round(rate).toLocaleString('en')}/s`]),
    ...(eta === null || eta === 0 ? [] : [`${eta} s left`]),
  ];
  return `${status.padEnd(9)} ${bar} ${String(Math.floor(share * 100)).padStart(3)} %  ${parts.join(', ')}`;
}
