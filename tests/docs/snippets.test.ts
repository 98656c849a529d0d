/** Snippets are valid, links lead somewhere, and every page can be found. */
import { expect, test } from "bun:test";
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { ERROR_CODES } from "../../src/errors.ts";
import { Certificates } from "../e2e/certificates.ts";
import { problemsOf, sourceOf } from "../config/loading.ts";
import { type Block, blocksOf, isCommands, reasonNotRun } from "./blocks.ts";
import { LANGUAGES_NOT_RUN, pages, PAGES_NOT_RUN, ROOT } from "./pages.ts";

const CHECKED = ["yaml", "json", ""];

function allBlocks(language: string): Block[] {
  return pages()
    .flatMap((page) => blocksOf(page, join(ROOT, page)))
    .filter((block) => block.language === language && reasonNotRun(block) === undefined);
}

function place({ page, line }: Block): string {
  return `${page}:${line}`;
}

test("every yaml block is a valid configuration", () => {
  const certificates = new Certificates();
  certificates.issue("server", "/CN=server");
  // Files that a reader would have by then: PEM files by their ends, secrets for the rest.
  const files = new Proxy<Record<string, string>>({}, {
    get: (_files, name) => {
      const end = /\.(key|pem)$/.exec(String(name))?.[1];
      if (end === undefined || /^jwt/.test(String(name))) return "a secret of more than thirty-two bytes";
      return readFileSync(certificates.path(`server.${end}`), "utf8");
    },
  });
  const problems = allBlocks("yaml").flatMap((block) =>
    problemsOf(block.text, sourceOf({ files })).map((problem) => `${place(block)}: ${problem}`)
  );
  certificates.folder.remove();
  expect(problems).toEqual([]);
});

test("every json block is JSON", () => {
  for (const block of allBlocks("json")) {
    // One document, or one a line.
    for (const text of isJson(block.text) ? [block.text] : block.text.split("\n")) {
      if (!isJson(text)) throw new Error(`${place(block)}: no JSON: ${text}`);
    }
  }
});

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

test("every block has a language that is checked here, or in tests of its own", () => {
  const known = [...CHECKED, ...LANGUAGES_NOT_RUN, "sh", "console"];
  const unknown = pages()
    .filter((page) => !(page in PAGES_NOT_RUN))
    .flatMap((page) => blocksOf(page, join(ROOT, page)))
    .filter((block) => !known.includes(block.language) && !isCommands(block));
  expect(unknown.map((block) => `${place(block)}: ${block.language}`)).toEqual([]);
});

/** What a browser jumps to for a heading. */
function anchorOf(heading: string): string {
  return heading.toLowerCase().replace(/[`*]/g, "").replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-");
}

function withoutBlocks(text: string): string {
  return text.replace(/^( *)```[\s\S]*?^\1```$/gm, "").replace(
    /`[^`\n]*`/g,
    (code) => code.replace(/[[\]]/g, " "),
  );
}

function anchorsOf(path: string): string[] {
  const headings = withoutBlocks(readFileSync(path, "utf8")).matchAll(/^#+ (.*)$/gm);
  return Array.from(headings, ([, heading = ""]) => anchorOf(heading));
}

/** Relative links of a page: path from the root, and what stands behind `#`. */
function linksOf(page: string): { readonly path: string; readonly anchor: string | undefined }[] {
  const text = withoutBlocks(readFileSync(join(ROOT, page), "utf8"));
  return Array.from(text.matchAll(/\]\(([^)\s]+)\)/g), ([, target = ""]) => target)
    .filter((target) => !/^[a-z]+:/.test(target))
    .map((target) => {
      const [path = "", anchor] = target.split("#");
      return { path: path === "" ? page : relative(ROOT, join(ROOT, dirname(page), path)), anchor };
    });
}

test("every relative link leads to a file, and every anchor to a heading", () => {
  const broken = pages().flatMap((page) =>
    linksOf(page).filter(({ path, anchor }) => {
      if (!existsSync(join(ROOT, path))) return true;
      return anchor !== undefined && path.endsWith(".md") && !anchorsOf(join(ROOT, path)).includes(anchor);
    }).map(({ path, anchor }) => `${page} -> ${path}${anchor === undefined ? "" : `#${anchor}`}`)
  );
  expect(broken).toEqual([]);
});

test("every page of docs/ can be reached from README.md", () => {
  const found = new Set(["README.md"]);
  for (const page of found) {
    for (const { path } of linksOf(page)) {
      const full = join(ROOT, path);
      if (path.endsWith(".md") && existsSync(full) && statSync(full).isFile()) found.add(path);
    }
  }
  const lost = pages().filter((page) =>
    page.startsWith("docs/") && !page.startsWith("docs/decisions/") && !found.has(page)
  );
  expect(lost).toEqual([]);
});

test("docs/troubleshooting.md explains every error code, and no other", () => {
  const text = readFileSync(join(ROOT, "docs/troubleshooting.md"), "utf8");
  const explained = Array.from(text.matchAll(/^\| `([A-Z_]+)` \|/gm), ([, code]) => code);
  expect(explained.toSorted()).toEqual(Object.keys(ERROR_CODES).toSorted());
});
