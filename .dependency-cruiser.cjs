/**
 * The direction of the house:
 * main -> compose -> {api, workers, activities, platform}; api and activities -> workflows' messages and ports ->
 * domain; nothing points back. docs/architecture.md tells why.
 */
const messagesAndPorts = '/(messages|ports)[.]ts$';

/** A package by its name, its types by @types included. */
const packages = (...names) => `node_modules/(@types/)?(${names.join('|')})/`;

/** A driver has one home; elsewhere even its types are foreign. */
const home = (name, driver, folders) => ({
  name: `driver-homes-${name}`,
  comment: `${name} is known in ${folders.join(' and ')} only`,
  severity: 'error',
  from: { path: '^src/', pathNot: folders.map((folder) => `^src/${folder}`) },
  to: { path: driver },
});

const layers = [
  {
    name: 'domain-pure',
    comment: 'domain is rules and words: no I/O, no package, no Node module, nothing of another layer',
    severity: 'error',
    from: { path: '^src/domain/' },
    to: { pathNot: '^src/domain/' },
  },
  {
    name: 'sandbox-direct',
    comment: 'workflow code is bundled into the deterministic sandbox',
    severity: 'error',
    from: { path: '^src/workflows/' },
    to: { pathNot: ['^src/(workflows|domain)/', packages('@temporalio/workflow', '@temporalio/common')] },
  },
  {
    name: 'feature-islands',
    comment: 'of another feature a workflow knows the messages only',
    severity: 'error',
    from: { path: '^src/workflows/([^/]+)/' },
    to: { path: '^src/workflows/([^/]+)/', pathNot: ['^src/workflows/$1/', '/messages[.]ts$'] },
  },
  {
    name: 'sandbox-reach',
    comment: 'and must not get at anything else by a detour',
    severity: 'error',
    from: { path: '^src/workflows/index[.]ts$' },
    to: {
      path: ['^src/(api|activities|workers|platform)/', '^(node:)?(fs|net|http|https|child_process|crypto)$'],
      reachable: true,
    },
  },
  {
    name: 'activities-see-ports',
    comment: 'activities know the messages of workflows, and their ports as types',
    severity: 'error',
    from: { path: '^src/activities/' },
    to: { path: '^src/(workflows|api|workers|platform|compose|main)', pathNot: messagesAndPorts },
  },
  {
    name: 'ports-are-types',
    comment: 'a port is an interface that activities fulfil, never code they run',
    severity: 'error',
    from: { path: '^src/activities/' },
    to: { path: '^src/workflows/.*ports[.]ts$', dependencyTypesNot: ['type-only', 'type-import'] },
  },
  {
    name: 'api-sees-messages',
    severity: 'error',
    from: { path: '^src/api/' },
    to: { path: '^src/(workflows|activities|workers|platform|compose|main)', pathNot: messagesAndPorts },
  },
  {
    name: 'workers-host',
    comment: 'activities arrive as an argument',
    severity: 'error',
    from: { path: '^src/workers/' },
    to: {
      path: '^src/(workflows|api|activities|platform|compose|main)',
      pathNot: [messagesAndPorts, '^src/workflows/task-queues[.]ts$'],
    },
  },
  {
    name: 'platform-low',
    comment: 'adapters know drivers and words, never a layer above',
    severity: 'error',
    from: { path: '^src/platform/' },
    to: { path: '^src/', pathNot: '^src/(platform|domain)/' },
  },
  {
    name: 'one-root',
    comment: 'only the composition root and the entry construct adapters',
    severity: 'error',
    from: { path: '^src/', pathNot: ['^src/(main|compose)([.]ts$|/)', '^src/platform/'] },
    to: { path: '^src/(platform/|compose|main)' },
  },
];

const drivers = [
  home('postgres', packages('pg', 'pg-copy-streams', 'node-pg-migrate'), ['platform/postgres/']),
  home('redis', packages('ioredis', 'rate-limiter-flexible'), ['platform/redis/']),
  home('undici', packages('undici'), ['platform/http/']),
  home('koa', packages('koa', '@koa/router', 'koa-compose'), ['api/']),
  home('sse-channel', packages('sse-channel'), ['api/realtime/']),
  home('websocket', packages('ws'), ['api/realtime/']),
  home('temporal-client', packages('@temporalio/client'), ['platform/temporal/', 'workers/']),
  home('temporal-worker', packages('@temporalio/worker'), [
    'platform/temporal/',
    'workers/',
    'compose',
    'main',
  ]),
  home('temporal-activity', packages('@temporalio/activity'), ['activities/']),
  home('temporal-workflow', packages('@temporalio/workflow'), ['workflows/']),
  home('json-schema', packages('ajv', 'ajv-formats'), ['activities/handlers/', 'platform/sandbox/']),
  home('parquet', packages('hyparquet-writer'), ['platform/parquet/']),
  home('threads', packages('piscina'), ['platform/sandbox/']),
  home('zod', packages('zod', '@asteasolutions/zod-to-openapi'), ['api/', 'activities/', 'platform/config']),
];

const hygiene = [
  { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
  {
    name: 'no-orphans',
    severity: 'error',
    from: { orphan: true, pathNot: ['[.]d[.]ts$', '[.](cjs|mjs)$'] },
    to: {},
  },
  {
    name: 'no-unused-files',
    comment: 'what nobody imports is an entry (loaded by its path) or dead',
    severity: 'error',
    from: {},
    module: {
      path: '^src/',
      pathNot: ['^src/main[.]ts$', '^src/workflows/index[.]ts$', '^src/platform/sandbox/', '[.]d[.]ts$'],
      numberOfDependentsLessThan: 1,
    },
  },
  {
    name: 'no-dev-dependencies',
    comment: 'what the product imports must be there without dev dependencies',
    severity: 'error',
    from: { path: '^src/' },
    to: {
      dependencyTypes: ['npm-dev'],
      dependencyTypesNot: ['type-only', 'type-import'],
      pathNot: '/@types/',
    },
  },
  {
    name: 'declared-only',
    severity: 'error',
    from: {},
    to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown', 'unknown'] },
  },
  { name: 'resolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
  {
    name: 'src-stands-alone',
    severity: 'error',
    from: { path: '^src/' },
    to: { path: '^(test|tools|bench)/' },
  },
  {
    name: 'tools-outside',
    comment:
      'the launcher starts the product as processes; only what writes docs from the sources reads them',
    severity: 'error',
    from: { path: '^tools/', pathNot: '^tools/generate' },
    to: { path: '^(src|test|bench)/' },
  },
  {
    name: 'bench-outside',
    comment:
      'a bench measures what a client sees; of the inside it only plays a worker that tells of progress',
    severity: 'error',
    from: { path: '^bench/', pathNot: '^bench/realtime/publishers/millrace' },
    to: { path: '^(src|test)/' },
  },
];

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [...layers, ...drivers, ...hygiene],
  options: {
    doNotFollow: { path: 'node_modules' },
    // Types count: an import that the compiler erases still ties two layers together.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['node', 'import', 'require', 'default', 'types'],
      extensions: ['.ts', '.mjs', '.cjs', '.js', '.json'],
    },
  },
};
