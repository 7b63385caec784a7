import { progressPublication } from '../../../src/domain/realtime/publication';
import { createRealtimeLog } from '../../../src/platform/redis/realtime-log';
import type { OpenPublisher } from './publisher';

/** Before the keys of an installation that was not told otherwise. */
const prefix = 'millrace:';

/** As a worker does it: into the realtime log, where it stays for those who come back. */
export const openMillrace: OpenPublisher = (redis) => {
  const onRefused = (_publication: unknown, error: Error): never => {
    throw error;
  };
  const log = createRealtimeLog({ redis, prefix, onRefused });
  return { publish: (topic, told) => log.publish([progressPublication(topic, told)]) };
};
