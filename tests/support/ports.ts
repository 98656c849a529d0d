/** Addresses for tests that cannot let the server choose: to start it twice on the same port, or to find nobody. */
import { createServer } from "node:net";

/** A loopback TCP port that was free a moment ago. Prefer port 0 and the address the server reports. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => {
        if (address === null || typeof address === "string") reject(new Error("the socket has no port"));
        else resolve(address.port);
      });
    });
  });
}
