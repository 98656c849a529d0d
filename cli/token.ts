/** `esc token`: makes tokens. The server keeps hashes only, so what is printed here is printed once. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { readFileSync } from "node:fs";
import { stringify } from "yaml";
import { type Grants, type Scope, SCOPES, TOPIC_SCOPES } from "../src/auth/grants.ts";
import { SECRET_BYTES_MIN } from "../src/auth/jwt.ts";
import { newToken, tokenHash } from "../src/auth/token.ts";
import { parseDuration } from "../src/config/units.ts";
import { EscError } from "../src/errors.ts";
import { patternProblem } from "../src/event/topic.ts";
import type { CommandContext } from "./command.ts";

interface NewOptions {
  readonly name: string;
  readonly scope: readonly Scope[];
  readonly topics: readonly string[];
  readonly expires?: string;
}

interface IssueOptions {
  readonly subject: string;
  readonly secretFile: string;
  readonly scope: readonly Scope[];
  readonly topics: readonly string[];
  readonly ttl: number;
  readonly issuer?: string;
  readonly audience?: string;
  readonly id?: string;
}

const EXAMPLES = `
Examples:
  $ esc token new --name billing --scope publish --scope read --topics 'orders.>'
  $ esc token new --name ops --scope admin --expires 2030-01-01
  $ esc token issue --subject billing --secret-file jwt.key --scope publish --topics 'orders.>' --ttl 15m`;

/** Registers `esc token`. */
export function register(program: Command, context: CommandContext): void {
  const command = program.command("token")
    .summary("make tokens for servers with auth")
    .description(
      "Make tokens for servers with auth. To revoke one, take it out of the configuration and reload.",
    )
    .addHelpText("after", EXAMPLES);
  grantOptions(command.command("new").summary("make a token and its entry in the configuration"))
    .description("Make a random token, and the entry for auth.tokens that lets it in.")
    .requiredOption("--name <name>", "whose it is, for logs and limits")
    .option("--expires <day>", "day or time (ISO 8601) from which it is refused", isoTime)
    .action((options: NewOptions) => printNew(options, context));
  grantOptions(command.command("issue").summary("sign a JSON Web Token with the server's secret"))
    .description("Sign a JSON Web Token (HS256) for servers with auth.jwt.secret.")
    .requiredOption("--subject <name>", "whose it is")
    .requiredOption("--secret-file <file>", "file with the secret, as auth.jwt.secret has it")
    .addOption(
      new Option("--ttl <duration>", "how long it is valid").argParser(duration).default(900_000, "15m"),
    )
    .option("--issuer <text>", "value of iss")
    .option("--audience <text>", "value of aud")
    .option("--id <text>", "value of jti, by which auth.jwt.revoked can refuse it (default: a random one)")
    .action((options: IssueOptions) => printIssued(options, context));
}

function grantOptions(command: Command): Command {
  return command
    .addOption(
      new Option("--scope <scope>", `what it may do: ${SCOPES.join(", ")}; may be repeated`)
        .argParser(scopes).default([], "nothing"),
    )
    .addOption(
      new Option("--topics <pattern>", "topics of its scopes; may be repeated").argParser(patterns).default(
        [],
        "all",
      ),
    );
}

function printNew({ name, scope, topics, expires }: NewOptions, { output }: CommandContext): void {
  const token = newToken();
  const { admin, ...lists } = grantsOf(scope, topics);
  const granted = Object.entries(lists).filter(([, list]) => list.length > 0);
  const entry = {
    name,
    sha256: tokenHash(token),
    ...(expires === undefined ? {} : { expires }),
    ...Object.fromEntries(granted),
    ...(admin ? { admin } : {}),
  };
  output.result({ token, entry }, () => {
    const yaml = stringify([entry], { lineWidth: 0, aliasDuplicateObjects: false }).trimEnd().replace(
      /^/gm,
      "    ",
    );
    return `${token}\n\nThis is the only time it is shown. The server's configuration:\n\nauth:\n  enabled: true\n  tokens:\n${yaml}`;
  });
  if (granted.length === 0 && !admin) output.note("The token may do nothing: give it a --scope");
}

async function printIssued(options: IssueOptions, { output }: CommandContext): Promise<void> {
  const { SignJWT } = await import("jose");
  const secret = readSecret(options.secretFile);
  const { admin, ...lists } = grantsOf(options.scope, options.topics);
  const words = Object.entries(lists).flatMap(([scope, list]) =>
    list.map((pattern) => `${scope}:${pattern}`)
  );
  const id = options.id ?? crypto.randomUUID();
  const nowSeconds = Math.floor(Date.now() / 1000);
  const expires = nowSeconds + Math.ceil(options.ttl / 1000);
  const signing = new SignJWT({ scope: [...words, ...(admin ? ["admin"] : [])].join(" ") })
    .setProtectedHeader({ alg: "HS256" })
    .setSubject(options.subject).setJti(id).setIssuedAt(nowSeconds).setExpirationTime(expires);
  if (options.issuer !== undefined) signing.setIssuer(options.issuer);
  if (options.audience !== undefined) signing.setAudience(options.audience);
  const token = await signing.sign(secret);
  output.result({ token, id, expires: new Date(expires * 1000).toISOString() }, () => token);
}

/** The secret as the configuration's `${file:…}` reads it: without the line end that editors add. */
function readSecret(path: string): Uint8Array {
  let text: string;
  try {
    text = readFileSync(path, "utf8").replace(/\r?\n$/, "");
  } catch (cause) {
    throw new EscError("USAGE", `Cannot read --secret-file ${path}`, { cause });
  }
  const secret = Buffer.from(text);
  if (secret.length < SECRET_BYTES_MIN) {
    throw new EscError("USAGE", `The secret in ${path} is shorter than ${SECRET_BYTES_MIN} bytes`);
  }
  return secret;
}

function grantsOf(scopes: readonly Scope[], topics: readonly string[]): Grants {
  const patterns = topics.length === 0 ? [">"] : topics;
  const [publish, subscribe, read] = TOPIC_SCOPES.map((scope) => scopes.includes(scope) ? patterns : []);
  return {
    publish: publish ?? [],
    subscribe: subscribe ?? [],
    read: read ?? [],
    admin: scopes.includes("admin"),
  };
}

function scopes(text: string, before: readonly Scope[]): readonly Scope[] {
  const scope = SCOPES.find((known) => known === text);
  if (scope === undefined) throw new InvalidArgumentError(`Expected one of ${SCOPES.join(", ")}.`);
  return [...before, scope];
}

function patterns(text: string, before: readonly string[]): readonly string[] {
  const problem = patternProblem(text);
  if (problem !== undefined) throw new InvalidArgumentError(`${problem}.`);
  return [...before, text];
}

function duration(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms < 1000) throw new InvalidArgumentError("Expected a duration such as 15m or 7d.");
  return ms;
}

function isoTime(text: string): string {
  if (/^\d{4}-\d\d-\d\d/.test(text) && !Number.isNaN(Date.parse(text))) return text;
  throw new InvalidArgumentError("Expected a day or time such as 2030-01-31.");
}
