/** The dashboard at `/`: a page without data, that gets them from the API like everybody else. */
import { gunzipSync } from "node:zlib";
import { accepts } from "./compress.ts";
import type { DashboardFile } from "./dashboard-files.ts";
import { problem, problemOf } from "./problem.ts";
import type { ApiRequest, Route } from "./route.ts";
import { problemSchema } from "./schemas.ts";
import { z } from "zod";

/**
 * Nothing from elsewhere, nothing written into the page, no text that becomes markup: what an event carries
 * can be shown and never run.
 */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' blob: data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

/** A file as it was first read: it lies in the executable, so it can't change while this process runs. */
interface Loaded {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly etag: string;
}

export function dashboardRoutes(): Route[] {
  const loaded = new Map<string, Promise<Loaded>>();
  const load = (path: string): Promise<Loaded> => {
    let file = loaded.get(path);
    if (file === undefined) loaded.set(path, file = read(path));
    return file;
  };
  const serve = async (name: string, request: Request): Promise<Response> => {
    const files = await import("./dashboard-files.ts").catch(() => undefined);
    if (files === undefined) {
      return problem(503, "This esc runs from source and its dashboard was not built: npm run build");
    }
    const file = Object.hasOwn(files.DASHBOARD_FILES, name) ? files.DASHBOARD_FILES[name] : undefined;
    if (file === undefined) return problemOf("NOT_FOUND", `The dashboard has no "${name.slice(0, 100)}"`);
    return await answer(file, request, load);
  };
  const responses = {
    200: { description: "The file", contentType: "text/html" },
    304: { description: "It has not changed" },
    503: { description: "The dashboard was not built", schema: problemSchema },
  };
  return [
    {
      method: "GET",
      path: "/",
      summary: "The dashboard, for browsers",
      tag: "dashboard",
      responses,
      handle: ({ request }: ApiRequest) => serve("page.html", request),
    },
    {
      method: "GET",
      path: "/dashboard/{file}",
      summary: "What the dashboard is made of",
      tag: "dashboard",
      params: z.object({ file: z.string() }),
      responses: {
        ...responses,
        200: { description: "The file", contentType: "text/javascript" },
        404: { description: "There is none of that name", schema: problemSchema },
      },
      handle: ({ request, params }: ApiRequest) => serve(params["file"] ?? "", request),
    },
  ];
}

async function answer(
  file: DashboardFile,
  request: Request,
  load: (path: string) => Promise<Loaded>,
): Promise<Response> {
  const encoding = (["br", "gzip"] as const).find((name) => accepts(request, name));
  const { bytes, etag } = await load(file[encoding ?? "gzip"]);
  const headers: Record<string, string> = {
    "content-type": file.contentType,
    "content-security-policy": CONTENT_SECURITY_POLICY,
    // Asked for again each time, and answered 304: a new version of esc shows at once.
    "cache-control": "no-cache",
    etag,
    vary: "accept-encoding",
    ...(encoding === undefined ? {} : { "content-encoding": encoding }),
  };
  if (request.headers.get("if-none-match") === etag) return new Response(null, { status: 304, headers });
  return new Response(encoding === undefined ? gunzipSync(bytes) : bytes, { headers });
}

async function read(path: string): Promise<Loaded> {
  const bytes = await Bun.file(path).bytes();
  return { bytes, etag: `"${Bun.hash(bytes).toString(36)}"` };
}
