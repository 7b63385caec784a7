import { Listr, type ListrTask, PRESET_TIMER } from 'listr2';

/** Tells what a step is doing; a text `stage: detail` shows its detail on terminals only. */
export type Progress = (text: string) => void;

export interface Step {
  readonly title: string;
  /** False leaves the step out. */
  readonly when?: () => boolean;
  readonly run: (progress: Progress) => Promise<void>;
}

/** One step, or several that run at the same time under a common title. */
export type Stage = Step | { readonly title: string; readonly together: readonly Step[] };

/** What the steps of a start have in common. */
export interface Attempt {
  /** Aborted by the first failure, and by whoever gives the start up. */
  readonly givenUp: AbortController;
  /** Every step begun; those beside a failed one are still under way when `showStages` rejects. */
  readonly begun: Promise<void>[];
}

/** Runs stages in order and shows each with state and time; rejects with the first failure. */
export async function showStages(stages: readonly Stage[], attempt: Attempt): Promise<void> {
  const failures: unknown[] = [];
  const toTask = taskMaker(attempt, (error) => {
    failures.push(error);
  });
  const list = new Listr(stages.map(toTask), {
    renderer: 'default',
    fallbackRenderer: 'simple',
    // A terminal that does not know its width would break every line after each letter.
    fallbackRendererCondition: () => !process.stdout.columns,
    // Signals are the launcher's: it stops what was started first.
    registerSignalListeners: false,
    rendererOptions: { collapseSubtasks: false, showErrorMessage: false, timer: PRESET_TIMER },
    fallbackRendererOptions: { timer: PRESET_TIMER },
  });
  try {
    await list.run();
  } catch (error) {
    throw failures[0] ?? error;
  }
}

type Task = ListrTask<unknown>;

function taskMaker({ givenUp, begun }: Attempt, onFailure: (error: unknown) => void): (stage: Stage) => Task {
  const stepTask = ({ title, when, run }: Step): Task => ({
    title,
    ...(when && { enabled: when }),
    task: async (_context, task) => {
      const step = run(progressOf(task));
      begun.push(step);
      try {
        await step;
      } catch (error) {
        onFailure(error);
        // The first failure is told below the display, once; others are its consequences.
        const line = givenUp.signal.aborted ? 'given up' : 'see below';
        givenUp.abort();
        throw new Error(line, { cause: error });
      }
    },
  });
  return (stage) =>
    'run' in stage
      ? stepTask(stage)
      : {
          title: stage.title,
          task: (_context, task) => task.newListr(stage.together.map(stepTask), { concurrent: true }),
        };
}

function progressOf(task: { output: string }): Progress {
  let shown = '';
  return (text) => {
    const line = process.stdout.isTTY ? text : (text.split(':')[0] ?? text);
    if (line !== shown) task.output = line;
    shown = line;
  };
}

/** Prints a line with the time, for what happens after the start. */
export function say(line: string): void {
  const time = new Date().toTimeString().slice(0, 8);
  process.stdout.write(`${time}  ${line}\n`);
}
