import { type ParseArgsConfig, parseArgs } from 'node:util';
import { StartFailure } from '../../tools/process/failure';

export interface FrameOptions {
  /** Where the JSON goes; relative to the checkout. */
  readonly outFolder: string | undefined;
  /** Variables for API and worker beside those that `npm start` sets. */
  readonly variables: Readonly<Record<string, string>>;
}

type OptionsConfig = NonNullable<ParseArgsConfig['options']>;

/** Takes out what every bench knows; the rest is the bench's own. */
export function readFrameOptions(args: readonly string[]): { frame: FrameOptions; rest: string[] } {
  const rest: string[] = [];
  const variables: Record<string, string> = {};
  let outFolder: string | undefined;
  const words = args.flatMap((word) => splitAssignment(word));
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at] as string;
    if (word !== '--out' && word !== '--set') {
      rest.push(word);
      continue;
    }
    at += 1;
    const value = words[at];
    if (value === undefined) throw new StartFailure(`${word} needs a value`);
    if (word === '--out') outFolder = value;
    else Object.assign(variables, asVariable(value));
  }
  return { frame: { outFolder, variables }, rest };
}

/** `--out=there` is `--out there`. */
function splitAssignment(word: string): string[] {
  const [, name, value] = /^(--out|--set)=([^]*)$/.exec(word) ?? [];
  return name === undefined || value === undefined ? [word] : [name, value];
}

function asVariable(text: string): Record<string, string> {
  const [, name, value] = /^([A-Z][A-Z0-9_]*)=([^]*)$/.exec(text) ?? [];
  if (name === undefined || value === undefined) {
    throw new StartFailure(`--set takes NAME=VALUE, not "${text}"`);
  }
  return { [name]: value };
}

/** The options of one bench; throws a StartFailure for those it does not have. */
export function readOptions<T extends OptionsConfig>(args: readonly string[], options: T) {
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: false }).values;
  } catch (error) {
    throw new StartFailure((error as Error).message);
  }
}

/** A whole number of at least 1. */
export function wholeNumber(name: string, text: string | undefined, usual: number): number {
  if (text === undefined) return usual;
  const value = Number(text);
  if (/^\d{1,9}$/.test(text) && value >= 1) return value;
  throw new StartFailure(`--${name} must be a whole number of at least 1, not "${text}"`);
}
