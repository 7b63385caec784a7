/** Packages that ship ES modules only; Jest, which runs CommonJS here, has to transform them. */
const esModules = [
  ...[
    'uuid',
    'node-pg-migrate',
    'csv-parse',
    'hyparquet',
    'hyparquet-writer',
    'zod',
    'eventsource',
    'eventsource-parser',
  ],
  ...['vega-datasets', 'listr2', 'd3-dsv', '@asteasolutions/zod-to-openapi', 'openapi3-ts', 'yaml'],
  ...[
    'bentocache',
    'nanoid',
    'p-timeout',
    '@julr/utils',
    '@poppinss',
    '@boringnode/bus',
    '@paralleldrive/cuid2',
  ],
  ...['@noble/hashes', 'case-anything', 'pure-rand', 'fast-check'],
];

const transform = {
  '^.+\\.[cm]?[jt]s$': [
    '@swc/jest',
    {
      jsc: { target: 'es2022', parser: { syntax: 'typescript' } },
      module: { type: 'commonjs' },
      sourceMaps: 'inline',
    },
  ],
};

const long = process.env.MILLRACE_TEST_LONG === '1';

const shared = {
  rootDir: __dirname,
  testEnvironment: 'node',
  transform,
  transformIgnorePatterns: [`/node_modules/(?!(${esModules.join('|')})/)`],
  // Long forms (scale, chaos at length) run only with `npm run test:long`.
  testPathIgnorePatterns: ['/node_modules/', ...(long ? [] : ['\\.long\\.test\\.ts$'])],
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/.millrace/'],
};

/** A folder of tests that need the real servers. */
const onServers = (name) => ({
  ...shared,
  displayName: name,
  testMatch: [`<rootDir>/test/${name}/**/*.test.ts`],
  globalSetup: '<rootDir>/test/support/global-setup.ts',
  globalTeardown: '<rootDir>/test/support/global-teardown.ts',
});

module.exports = {
  maxWorkers: 2,
  testTimeout: 60_000,
  projects: [
    { ...shared, displayName: 'unit', testMatch: ['<rootDir>/test/unit/**/*.test.ts'] },
    ...['workflow', 'replay', 'integration', 'e2e', 'chaos'].map(onServers),
  ],
};
