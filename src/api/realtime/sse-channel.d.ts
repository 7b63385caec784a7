/** sse-channel 4.0.2 brings no types; this is what `sse-hub.ts` uses of it. */
declare module 'sse-channel' {
  class SseChannel {
    constructor(options: { historySize?: number; retryTimeout?: number; pingInterval?: number });
    addClient(request: SseChannel.Request, response: SseChannel.Response): void;
    removeClient(response: SseChannel.Response): void;
    /** to all clients */
    ping(): void;
    send(message: SseChannel.Message, clients: readonly Pick<SseChannel.Response, 'write'>[]): void;
    close(): void;
  }

  namespace SseChannel {
    interface Message {
      id?: number;
      event?: string;
      data?: string;
      /** milliseconds */
      retry?: number;
    }

    /** What the library touches of a request. */
    interface Request {
      url: string;
      headers: Readonly<Record<string, string>>;
      socket: {
        setTimeout(timeoutMs: number): void;
        setNoDelay(on: boolean): void;
        setKeepAlive(on: boolean): void;
      };
      on(event: string, listener: () => void): void;
    }

    /** What the library touches of a response. */
    interface Response {
      writeHead(status: number, headers: Readonly<Record<string, string>>): void;
      write(text: string): void;
      end(): void;
      on(event: string, listener: () => void): void;
    }
  }

  export = SseChannel;
}
