/** Result lines as the store writes them, read back with output and error still as text. */
import { eachField, stringValue } from '../json-fields';

export interface ResultLine {
  index: number;
  customId: string;
  status: string;
  /** exact JSON text; `null` where there is none */
  output: string;
  /** JSON text of an `ItemError`, or `null` */
  error: string;
  attempts: number;
  durationMs: number;
}

/** @param text whole lines, each with its line break */
export function* resultLinesIn(text: string): Generator<ResultLine, void, void> {
  for (let at = 0; at < text.length; ) {
    const end = text.indexOf('\n', at);
    yield parse(text.slice(at, end));
    at = end + 1;
  }
}

function parse(text: string): ResultLine {
  const line = { index: 0, customId: '', status: '', output: '', error: '', attempts: 0, durationMs: 0 };
  eachField(text, (name, json) => {
    if (name === 'index') line.index = Number(json);
    else if (name === 'custom_id') line.customId = stringValue(json);
    else if (name === 'status') line.status = stringValue(json);
    else if (name === 'output') line.output = json;
    else if (name === 'error') line.error = json;
    else if (name === 'attempts') line.attempts = Number(json);
    else line.durationMs = Number(json);
  });
  return line;
}
