import { VARIABLES, type Variable } from '../src/platform/config-variables';

const INTRO = `# Every variable of Millrace; made from src/platform/config.ts by \`npm run generate\`.
# \`npm start\` sets the needed ones by itself. Booleans are words, durations carry their unit in the name.
`;

/** .env.example */
export function envExample(): string {
  const blocks = Object.entries(VARIABLES).map(([name, variable]) => block(name, variable));
  return [INTRO, ...blocks].join('\n');
}

function block(name: string, { about, example, roles, schema }: Variable): string {
  const needed = !schema.safeParse(undefined).success;
  const head = `# ${about}\n# For: ${roles.join(', ')}. ${needed ? 'Needed.' : 'May be left out.'}`;
  return `${head}\n${needed ? '' : '# '}${name}=${example}\n`;
}
