/** The `http` handler: a request per item, made of a template. */
import { z } from 'zod';
import { AppError } from '../../domain/errors';
import {
  type Handler,
  type HandlerItem,
  type ItemStream,
  OUTPUT_BYTES_MAX,
} from '../../domain/handler/contract';
import type { AnyDefinition } from './definition';
import { describeHandler, parseParams } from './define-handler';
import { toAnswer, toItemFailure } from './http-answer';
import { HTTP_PARAMS, HTTP_SECRETS, type HttpParams } from './http-params';
import { type RequestTemplate, toRequestTemplate } from './http-request';
import type { HttpClient } from './ports';
import { runGroups } from './run-groups';

const OUTPUT = z.union([
  z.object({
    status: z.int(),
    headers: z.record(z.string(), z.string()),
    body: z.unknown().describe('JSON, or text, or {"base64": …}; null where there is none'),
  }),
  z.unknown().describe('With `response: "body"`, the body alone'),
]);

const ABOUT = {
  name: 'http',
  description: 'Sends a request for each item, made of a template, and answers with what the server answers.',
  params: HTTP_PARAMS,
  secretParams: HTTP_SECRETS,
  output: OUTPUT,
};

export function createHttp(client: HttpClient): Handler {
  return {
    ...describeHandler(ABOUT),
    async validateParams(params) {
      const { sampleUrl } = toRequestTemplate(await parseParams(HTTP_PARAMS, params));
      const refusal = sampleUrl === undefined ? undefined : client.refusal(sampleUrl);
      if (refusal !== undefined) throw refuseUrl(refusal.message);
    },
    async runItems(items, batch) {
      const params = await parseParams(HTTP_PARAMS, batch.params);
      const template = toRequestTemplate(params);
      await runGroups(inExactText(items), {
        batch,
        params,
        definition: definitionOf(client, params, template),
      });
    },
  };
}

function refuseUrl(detail: string): AppError {
  return new AppError('invalid_params', 'The handler refuses these params.', {
    errors: [{ pointer: '/params/url', detail }],
  });
}

function definitionOf(client: HttpClient, params: HttpParams, template: RequestTemplate): AnyDefinition {
  return {
    name: ABOUT.name,
    description: ABOUT.description,
    async run({ index, customId, idempotencyKey, input }, { signal }) {
      const request = template.build({ index, customId, idempotencyKey, inputText: input as string });
      // The item's time is the one deadline: the signal is what ends the request.
      const result = await client.exchange({
        ...request,
        signal,
        responseBytesMax: OUTPUT_BYTES_MAX,
        overflow: 'cut',
      });
      if (!result.ok) throw toItemFailure(result);
      return toAnswer(result, { ...params, secrets: template.secretsOf(request), nowMs: Date.now() });
    },
  };
}

/** Each item's input as one JSON string, so that it comes to `run` as the exact text, with all digits of its numbers. */
function inExactText(items: ItemStream | readonly HandlerItem[]): ItemStream | readonly HandlerItem[] {
  if (!(Symbol.asyncIterator in items)) return items.map(wrap);
  const { take } = items;
  return {
    ...(take && { take: async (count: number) => (await take.call(items, count)).map(wrap) }),
    async *[Symbol.asyncIterator]() {
      for await (const item of items) yield wrap(item);
    },
  };
}

function wrap(item: HandlerItem): HandlerItem {
  return { ...item, inputText: JSON.stringify(item.inputText) };
}
