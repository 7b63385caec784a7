import type { OpenPublisher } from './publisher';

/** By Redis' publish and subscribe: better-sse knows one process only, and its documentation leaves the way between several open. */
export const openBetterSse: OpenPublisher = (redis) => ({
  publish: (topic, told) =>
    redis.publish(channelOf(topic), JSON.stringify({ type: 'job.progress', job_id: topic, ...told })),
});

export function channelOf(topic: string): string {
  return `bench:better-sse:${topic}`;
}
