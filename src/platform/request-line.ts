/** A line of the access log as JSON text, put together by hand: there is one for each request, and its fields are known. */

/** Only `request_id`, `path` and `job_id` hold what a client has written; what the others hold is the same as JSON writes it. */
export interface RequestFields {
  readonly request_id: string;
  readonly tenant_id: string | undefined;
  readonly key_id: string | undefined;
  readonly method: string;
  readonly path: string;
  readonly route: string;
  readonly status: number;
  readonly ms: number;
  readonly bytes: number;
  readonly job_id: string | undefined;
  readonly aborted: true | undefined;
  readonly ip: string;
}

/** @returns `"request_id":"…",…`, without what is undefined */
export function requestFieldsText(line: RequestFields): string {
  const { tenant_id, key_id, job_id } = line;
  return (
    `"request_id":${quoted(line.request_id)}` +
    (tenant_id === undefined ? '' : `,"tenant_id":"${tenant_id}"`) +
    (key_id === undefined ? '' : `,"key_id":"${key_id}"`) +
    `,"method":"${line.method}","path":${quoted(line.path)},"route":"${line.route}"` +
    `,"status":${line.status},"ms":${line.ms},"bytes":${line.bytes}` +
    (job_id === undefined ? '' : `,"job_id":${quoted(job_id)}`) +
    (line.aborted === undefined ? '' : ',"aborted":true') +
    `,"ip":"${line.ip}"`
  );
}

/** Nothing that JSON would write in another way. */
const PLAIN = /^[\w./:{}-]*$/;

function quoted(text: string): string {
  return PLAIN.test(text) ? `"${text}"` : JSON.stringify(text);
}
