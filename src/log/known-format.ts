/** Refuses data of a newer esc before anything is started upon it. */

import { fileErrorCode, type Files } from "./files.ts";
import { listSegments, segmentPath } from "./segments.ts";
import { SegmentWindow } from "./window.ts";

/**
 * Reads the header of the newest segment of each log: the newest esc wrote that.
 *
 * @throws {EscError} `LOG_VERSION` if one is of a newer format. What cannot be read is left to those who open it.
 */
export function requireKnownFormat(files: Files, directories: readonly string[]): void {
  const window = new SegmentWindow(files);
  for (const directory of directories) {
    try {
      const newest = listSegments(files, directory).at(-1);
      if (newest !== undefined) window.open(segmentPath(directory, newest, "log"));
    } catch (error) {
      if (fileErrorCode(error) === "LOG_VERSION") throw error;
    } finally {
      window.close();
    }
  }
}
