const symbols = { run: '❯', done: '✔', failed: '✖' };
const colours = { run: 33, done: 32, failed: 31 };

/**
 * Shows one step with its state and time, in the look of the display that follows once packages are installed:
 * a terminal sees one line that changes, everything else a line at the start and one at the end.
 */
export async function showStep(title, work) {
  const startedAt = performance.now();
  print('run', title);
  try {
    const result = await work();
    print('done', `${title} [${elapsed(startedAt)}]`);
    return result;
  } catch (error) {
    print('failed', `${title} [${elapsed(startedAt)}]`);
    throw error;
  }
}

function print(state, text) {
  const { isTTY } = process.stdout;
  const symbol = isTTY ? `\u001b[${colours[state]}m${symbols[state]}\u001b[39m` : symbols[state];
  const end = isTTY && state === 'run' ? '' : '\n';
  process.stdout.write(`${isTTY ? '\r\u001b[K' : ''}${symbol} ${text}${end}`);
}

function elapsed(startedAt) {
  const seconds = (performance.now() - startedAt) / 1000;
  return seconds < 60 ? `${seconds.toFixed(1)}s` : `${Math.floor(seconds / 60)}m${Math.round(seconds % 60)}s`;
}
