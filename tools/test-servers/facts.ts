/** What the test servers are, as passed to Jest's workers by variables of these names. */
export interface TestServerFacts {
  /** Superuser's URL of the database `postgres`. */
  readonly MILLRACE_TEST_DATABASE_URL: string;
  /** Name of the migrated database that tests clone. */
  readonly MILLRACE_TEST_DATABASE_TEMPLATE: string;
  readonly MILLRACE_TEST_REDIS_URL: string;
  readonly MILLRACE_TEST_TEMPORAL_ADDRESS: string;
  readonly MILLRACE_TEST_TEMPORAL_UI_URL: string;
  readonly MILLRACE_TEST_TEMPORAL_BIN: string;
}

/** What the keeper tells Jest's global set-up. */
export type KeeperMessage =
  | { readonly type: 'progress'; readonly text: string }
  | { readonly type: 'ready'; readonly facts: TestServerFacts }
  | { readonly type: 'failed'; readonly reason: string };
