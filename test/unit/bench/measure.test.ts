import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpuSeconds, peakRssBytes, resetPeak, takeSnapshot } from '../../../bench/measure/processes';
import { median, quantile, summarise } from '../../../bench/measure/stats';
import { table } from '../../../bench/measure/table';

const onLinux = process.platform === 'linux' ? it : it.skip;

describe('statistics', () => {
  it('have the middle of an odd number of values as median, and the mean of the two middle ones of an even number', () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([100, 2, 4, 1])).toBe(3);
  });

  it('have a value that was measured as a quantile', () => {
    const values = Array.from({ length: 50 }, (_, n) => 50 - n);
    expect(quantile(values, 0.95)).toBe(48);
    expect(quantile(values, 1)).toBe(50);
    expect(quantile([7], 0.5)).toBe(7);
  });

  it('have the width of all values over the median as spread', () => {
    expect(summarise([8, 10, 13])).toEqual({ median: 10, min: 8, max: 13, spread: 0.5 });
  });
});

describe('a table', () => {
  it('has names to the left and figures to the right', () => {
    expect(
      table([
        ['', 'items/s'],
        ['a', '7'],
        ['long', '1,000'],
      ]),
    ).toEqual(['       items/s', 'a            7', 'long     1,000']);
  });
});

describe('processor time', () => {
  onLinux('counts a process that has ended with the one that waited for it', async () => {
    const busy = 'const end = process.cpuUsage().user + 300_000; while (process.cpuUsage().user < end);';
    const script = `
      const { spawnSync } = require('node:child_process');
      spawnSync(process.execPath, ['-e', ${JSON.stringify(busy)}]);
      process.send('done');
      setInterval(() => {}, 1_000);`;
    const parent = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    try {
      await once(parent, 'message');
      const snapshot = takeSnapshot();
      expect(cpuSeconds(snapshot, parent.pid ?? 0)).toBeGreaterThanOrEqual(0.3);
      expect(cpuSeconds(snapshot, process.pid)).toBeGreaterThan(cpuSeconds(snapshot, parent.pid ?? 0) ?? 0);
    } finally {
      parent.kill('SIGKILL');
    }
  });

  onLinux('of a process that is not there is unknown', () => {
    expect(cpuSeconds(takeSnapshot(), 2 ** 22 + 1)).toBeNull();
    expect(peakRssBytes(2 ** 22 + 1)).toBeNull();
  });
});

describe('peak memory', () => {
  onLinux('begins anew when it is told to', async () => {
    const large = 200 * 1024 ** 2;
    const script = `
      let block = Buffer.alloc(${large}, 1);
      block = null;
      gc();
      process.send('freed');
      setInterval(() => {}, 1_000);`;
    const child = spawn(process.execPath, ['--expose-gc', '-e', script], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    try {
      await once(child, 'message');
      const pid = child.pid ?? 0;
      expect(peakRssBytes(pid)).toBeGreaterThan(large);
      resetPeak(pid);
      expect(peakRssBytes(pid)).toBeLessThan(large);
    } finally {
      child.kill('SIGKILL');
    }
  });
});
