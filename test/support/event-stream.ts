/** An event stream's text, by the line rules of HTML 9.2.6, for what this server sends. */

export interface StreamedMessage {
  event: string;
  id: string | undefined;
  /** as text, its lines joined */
  text: string;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- read as it comes; the assertions check its shape
  data: any;
}

/** Of what came in full; blocks without data are left out. */
export function parseEventStream(text: string): StreamedMessage[] {
  const blocks = text.split('\n\n').slice(0, -1);
  return blocks.flatMap((block) => {
    const lines = block.split('\n').filter((line) => !line.startsWith(':'));
    const fields = (name: string): string[] =>
      lines.filter((line) => line.startsWith(`${name}: `)).map((line) => line.slice(name.length + 2));
    const data = fields('data');
    if (data.length === 0) return [];
    const joined = data.join('\n');
    const [event = 'message'] = fields('event');
    return [{ event, id: fields('id').at(-1), text: joined, data: JSON.parse(joined) as unknown }];
  });
}
