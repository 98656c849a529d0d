/** The measurements as a file, and back: for a report, or for somebody who was not there. */
import type { LiveColumn } from "../../api/live-columns.ts";
import type { Cell, Row, Timeline } from "./timeline.ts";

const FORMAT = "esc-live/1";
/** A day of seconds in hundreds of columns is far below. */
const FILE_BYTES_MAX = 256 * 1024 * 1024;
const ROWS_MAX = 200_000;
const COLUMNS_MAX = 2_000;

export function fileOf({ columns, rows }: Timeline, version: string): Blob {
  const body = JSON.stringify({ format: FORMAT, version, saved_ms: Date.now(), columns, rows });
  return new Blob([body], { type: "application/json" });
}

/**
 * Reads such a file, which may be anything at all.
 *
 * @throws {TypeError} With a sentence for the user that says what is wrong with it.
 */
export async function readTimeline(file: Blob): Promise<Timeline> {
  if (file.size > FILE_BYTES_MAX) throw new TypeError("The file is larger than 256 MiB");
  const content = parse(await file.text());
  if (!isRecord(content) || content["format"] !== FORMAT) {
    throw new TypeError(`The file was not saved by this dashboard: it has no "format": "${FORMAT}"`);
  }
  const { columns, rows } = content;
  if (!Array.isArray(columns) || columns.length > COLUMNS_MAX || !columns.every(isColumn)) {
    throw new TypeError("The columns of the file cannot be read");
  }
  if (columns[0]?.name !== "time") throw new TypeError(`The first column of the file is not "time"`);
  if (!Array.isArray(rows) || rows.length > ROWS_MAX) {
    throw new TypeError("The rows of the file cannot be read");
  }
  let lastMs = -Infinity;
  const isRow = (row: unknown): row is Row => {
    if (!Array.isArray(row) || row.length !== columns.length || !row.every(isCell)) return false;
    const ms: unknown = row[0];
    if (typeof ms !== "number" || ms <= lastMs) return false;
    lastMs = ms;
    return true;
  };
  const bad = rows.findIndex((row) => !isRow(row));
  if (bad >= 0) {
    throw new TypeError(
      `Row ${bad + 1} of the file is not ${columns.length} numbers, later than the row before`,
    );
  }
  return { columns, rows };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new TypeError("The file is not JSON");
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function isColumn(value: unknown): value is LiveColumn {
  return isRecord(value) && typeof value["name"] === "string" &&
    (value["kind"] === "counter" || value["kind"] === "gauge") &&
    typeof value["unit"] === "string" &&
    (value["lane"] === undefined || typeof value["lane"] === "string");
}

function isCell(value: unknown): value is Cell {
  return value === null || (typeof value === "number" && Number.isFinite(value));
}
