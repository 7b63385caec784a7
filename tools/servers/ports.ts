import net from 'node:net';

/** Whether a port can be listened on, on the loopback and on all addresses. */
export async function isPortFree(port: number): Promise<boolean> {
  // Some systems allow one listener on 127.0.0.1 beside another on all addresses, so both are asked.
  return (await canListen(port, '127.0.0.1')) && (await canListen(port, '::'));
}

/** A port that was free a moment ago and is in none of `taken`. */
export async function findFreePort(taken: ReadonlySet<number> = new Set()): Promise<number> {
  for (;;) {
    const port = await anyPort();
    if (!taken.has(port)) return port;
  }
}

async function canListen(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      // A machine without IPv6 can't listen on `::`; that says nothing about the port.
      resolve(error.code === 'EAFNOSUPPORT' || error.code === 'EADDRNOTAVAIL');
    });
    server.listen({ port, host, exclusive: true }, () => {
      server.close(() => {
        resolve(true);
      });
    });
  });
}

async function anyPort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once('error', reject);
    server.listen({ port: 0, host: '127.0.0.1', exclusive: true }, () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => {
        resolve(port);
      });
    });
  });
}
