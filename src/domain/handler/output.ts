import { unstorableReason } from '../batch/storable';
import { isDeeperThan, JSON_DEPTH_MAX } from '../json-text';
import { OUTPUT_BYTES_MAX } from './contract';

export interface OutputProblem {
  code: 'output_too_large' | 'output_not_storable';
  message: string;
}

/** Why well-formed JSON text can't be an item's output, or undefined where it can. */
export function outputProblem(text: string): OutputProblem | undefined {
  if (isLargerThan(text, OUTPUT_BYTES_MAX)) {
    return { code: 'output_too_large', message: 'The output is larger than 1 MB.' };
  }
  const reason = unstorableReason(text) ?? deepReason(text);
  if (reason === undefined) return undefined;
  return { code: 'output_not_storable', message: `The output holds ${reason}.` };
}

function deepReason(text: string): string | undefined {
  // Each level is at least two characters.
  const maybe = text.length > 2 * JSON_DEPTH_MAX && isDeeperThan(text, JSON_DEPTH_MAX);
  return maybe ? `more than ${JSON_DEPTH_MAX} levels of nesting` : undefined;
}

/** In bytes of UTF-8. A UTF-16 code unit makes up to three. */
function isLargerThan(text: string, bytesMax: number): boolean {
  if (text.length * 3 <= bytesMax) return false;
  let bytes = text.length;
  for (let at = 0; at < text.length && bytes <= bytesMax; at++) {
    const code = text.charCodeAt(at);
    if (code < 0x80) continue;
    // Each half of a pair adds one: four bytes for two units.
    bytes += code < 0x800 || (code >= 0xd800 && code <= 0xdfff) ? 1 : 2;
  }
  return bytes > bytesMax;
}
