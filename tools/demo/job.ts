/** What the demo reads of the API's answers. */
export interface Counts {
  readonly total: number;
  readonly succeeded: number;
  readonly failed: number;
}

export interface Progress {
  readonly counts: Counts;
  /** Items a second since the start. */
  readonly rate_per_second: number | null;
  readonly eta_seconds: number | null;
}

export interface Job extends Progress {
  readonly id: string;
  readonly status: string;
  readonly links: { readonly temporal?: string };
}

export interface Summary {
  readonly groups: readonly {
    readonly key: unknown;
    readonly metrics: Readonly<Record<string, number | null>>;
  }[];
}
