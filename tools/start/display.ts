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

/** Runs stages in order and shows each with state and time; rejects with the first failure. */
export async function showStages(stages: readonly Stage[]): Promise<void> {
  const list = new Listr(stages.map(toTask), {
    renderer: 'default',
    fallbackRenderer: 'simple',
    // Signals are the launcher's: it stops what was started first.
    registerSignalListeners: false,
    rendererOptions: { collapseSubtasks: false, showErrorMessage: false, timer: PRESET_TIMER },
    fallbackRendererOptions: { timer: PRESET_TIMER },
  });
  await list.run();
}

type Task = ListrTask<unknown>;

function toTask(stage: Stage): Task {
  if ('run' in stage) return stepTask(stage);
  return {
    title: stage.title,
    task: (_context, task) => task.newListr(stage.together.map(stepTask), { concurrent: true }),
  };
}

function stepTask({ title, when, run }: Step): Task {
  return {
    title,
    ...(when && { enabled: when }),
    task: async (_context, task) => {
      let shown = '';
      await run((text) => {
        const line = process.stdout.isTTY ? text : (text.split(':')[0] ?? text);
        if (line !== shown) task.output = line;
        shown = line;
      });
    },
  };
}

/** Prints a line with the time, for what happens after the start. */
export function say(line: string): void {
  const time = new Date().toTimeString().slice(0, 8);
  process.stdout.write(`${time}  ${line}\n`);
}
