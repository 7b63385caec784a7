/** A count of points in windows of time, wherever it is kept. */

/** One window of one count. */
export interface CountWindow {
  /** the limit it belongs to, as keys are named */
  policy: string;
  /** whose, and of which day where days are counted */
  key: string;
  /** points there are in one window; another figure than before keeps what was counted */
  quota: number;
  /** of a window that begins now */
  lastsMs: number;
  /** The end is known from the calendar: it is `lastsMs` from now, whenever the first point was taken. */
  calendar: boolean;
}

export interface Counted {
  used: number;
  endsInMs: number;
}

export interface TakeOptions {
  /** what this process has let through already, in the window that ends in `endsInMs` */
  before?: Counted | undefined;
  /** points that Redis, where it is the one that answers, is asked for beside those that are wanted */
  debt?: number;
}
