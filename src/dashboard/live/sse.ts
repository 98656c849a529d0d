/** Server-sent events out of a fetched stream: `EventSource` cannot send a token. */

export interface ServerMessage {
  readonly event: string;
  readonly data: string;
  /** Absent: the message changes nothing about where to resume. */
  readonly id?: string;
}

/** Longest message that is put together; esc's own are far below. */
const MESSAGE_LENGTH_MAX = 16 * 1024 * 1024;

/** Reads messages until the stream ends. @throws {RangeError} When one is longer than any of esc's. */
export async function* readMessages(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerMessage> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const blocks = (rest + decoder.decode(value, { stream: true })).split("\n\n");
      rest = blocks.pop() ?? "";
      if (rest.length > MESSAGE_LENGTH_MAX) throw new RangeError("A message does not end");
      for (const block of blocks) {
        const message = parseBlock(block);
        if (message !== undefined) yield message;
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** The lines of one message, with empty data where it only says where to resume; `undefined` for comments. */
export function parseBlock(block: string): ServerMessage | undefined {
  let event = "message";
  let id: string | undefined;
  const data: string[] = [];
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    if (colon <= 0) continue;
    const field = line.slice(0, colon);
    const value = line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") event = value;
    else if (field === "data") data.push(value);
    else if (field === "id") id = value;
  }
  if (data.length === 0 && id === undefined) return undefined;
  return { event, data: data.join("\n"), ...(id === undefined ? {} : { id }) };
}
