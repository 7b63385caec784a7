import { readFileSync } from 'node:fs';
import path from 'node:path';

const root = path.resolve(__dirname, '../..');

interface Package {
  readonly dependencies: Record<string, string>;
  readonly devDependencies: Record<string, string>;
}

/** Rows of the tables below a heading: package, why, licence, upkeep. */
function rowsBelow(heading: string): string[][] {
  const text = readFileSync(path.join(root, 'docs/dependencies.md'), 'utf8');
  const section = text.split(/^## /m).find((part) => part.startsWith(heading)) ?? '';
  const lines = section.split('\n').filter((line) => line.startsWith('| `'));
  return lines.map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

function licenceOf(name: string): unknown {
  const file = path.join(root, 'node_modules', name, 'package.json');
  return (JSON.parse(readFileSync(file, 'utf8')) as { license?: unknown }).license;
}

describe('docs/dependencies.md', () => {
  const { dependencies, devDependencies } = JSON.parse(
    readFileSync(path.join(root, 'package.json'), 'utf8'),
  ) as Package;

  test.each([
    ['At run time', dependencies],
    ['For development', devDependencies],
  ])('%s: every dependency has its line, and no line outlived its dependency', (heading, declared) => {
    const listed = rowsBelow(heading).map(([name]) => name);
    expect(listed).toEqual(
      Object.keys(declared)
        .sort()
        .map((name) => `\`${name}\``),
    );
  });

  test('every line says why, the licence that the package has, and who keeps it', () => {
    for (const [name = '', why, licence, upkeep, ...rest] of [
      ...rowsBelow('At run time'),
      ...rowsBelow('For development'),
    ]) {
      expect({ name, why, upkeep, rest }).toEqual({
        name,
        why: expect.stringMatching(/\w/) as string,
        upkeep: expect.stringMatching(/\w/) as string,
        rest: [],
      });
      expect(`${name} ${licence}`).toBe(`${name} ${String(licenceOf(name.replaceAll('`', '')))}`);
    }
  });

  test('versions are exact', () => {
    const versions = Object.values({ ...dependencies, ...devDependencies });
    expect(versions.filter((version) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))).toEqual([]);
  });
});
