import { createAdapter } from '@socket.io/redis-streams-adapter';
import { Server } from 'socket.io';
import { later } from '../target';
import type { OpenPublisher } from './publisher';

/** A second Socket.IO server, which nobody is connected to: what it emits to a room goes to the others by the adapter's stream. */
export const openSocketIo: OpenPublisher = (redis) => {
  const io = new Server({ adapter: createAdapter(redis) });
  return {
    publish: async (topic, told) =>
      io.to(topic).emit(later, { type: 'job.progress', job_id: topic, ...told }),
  };
};
