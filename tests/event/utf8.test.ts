import { expect, test } from "bun:test";
import { countUtf8, utf8Length } from "../../src/event/utf8.ts";

test("countUtf8() counts as the encoder writes, lone surrogates included", () => {
  for (
    const text of [
      "",
      "a",
      "é",
      "温",
      "🌡",
      "a🌡é温",
      "\ud800",
      "\udc00",
      "\ud83c",
      "\udc00\ud800",
      "\ud800\ud800\udc00",
    ]
  ) {
    const bytes = new TextEncoder().encode(text).length;
    expect([text, countUtf8(text), utf8Length(text)]).toEqual([text, bytes, bytes]);
  }
});
