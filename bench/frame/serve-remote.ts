import { explain } from '../../tools/process/failure';
import type { RemoteAnswer } from './remote';

/** Makes this process a remote part of a bench: it answers what it is asked over the message channel, and ends with it. */
export function serveRemote<Request, Answer>(answer: (request: Request) => Promise<Answer>): void {
  process.on('message', (request: Request) => {
    void answer(request)
      .then((answered): RemoteAnswer<Answer> => ({ type: 'answered', answer: answered }))
      .catch((error: unknown): RemoteAnswer<Answer> => ({ type: 'failed', reason: explain(error) }))
      .then((message) => process.send?.(message));
  });
  process.once('disconnect', () => process.exit());
}
