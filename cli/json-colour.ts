/** JSON in a terminal's colours, as people know it from jq: keys, texts, numbers, words. */
import type { Output } from "./output.ts";

/** A text with its quotes, and the colon behind it if it is a key; a number; a word. */
const TOKENS = /("(?:[^"\\]|\\.)*")(\s*:)?|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\b(?:true|false|null)\b/g;

/** @param json Valid JSON; line breaks and blanks stay. */
export function colourJson(json: string, output: Output): string {
  return json.replaceAll(TOKENS, (token, text: string | undefined, colon: string | undefined) => {
    if (text === undefined) return output.style("yellow", token);
    return colon === undefined ? output.style("green", text) : `${output.style("cyan", text)}${colon}`;
  });
}

/** Whether a text is a JSON object or list: worth colouring, and safe to. */
export function isJsonTree(text: string): boolean {
  if (!/^\s*[{[]/.test(text)) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
