/** `npm start`: builds esc if need be and runs the server with `config/config.yaml`, or with the arguments given. */
import { buildIfStale, EXECUTABLE, ROOT } from "./build.ts";

buildIfStale();
const given = process.argv.slice(2);
const server = Bun.spawn([
  EXECUTABLE,
  ...(given.length > 0 ? given : ["serve", "--config", "config/config.yaml"]),
], {
  cwd: ROOT,
  stdio: ["inherit", "inherit", "inherit"],
});
// The server drains on the first signal and ends at once on the second: it must hear of both, whoever got them.
for (const signal of ["SIGTERM", "SIGHUP"] as const) process.on(signal, () => server.kill(signal));
// A terminal sends Ctrl-C to the server itself: here it is only outlived.
process.on("SIGINT", () => {});
process.exit(await server.exited);
