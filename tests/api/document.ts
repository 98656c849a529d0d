/** Checks answers against `/openapi.json`: status, content type and shape must be what it promises. */
import { expect } from "bun:test";
import { z } from "zod";

interface Media {
  readonly schema?: { readonly $ref?: string };
}
interface Operation {
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, Media>> }>>;
}
export interface OpenApi {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
}

/** Fetches the document once, and checks every answer that goes through `fetch()`. */
export class CheckedApi {
  readonly document: OpenApi;
  readonly #url: string;
  /** `METHOD path status` of every answer seen. */
  readonly seen = new Set<string>();

  private constructor(url: string, document: OpenApi) {
    this.#url = url;
    this.document = document;
  }

  static async of(url: string): Promise<CheckedApi> {
    const response = await fetch(`${url}/openapi.json`);
    return new CheckedApi(url, await response.json() as OpenApi);
  }

  /** @returns The answer, with its body as JSON when it is any. */
  async fetch(
    path: string,
    init: RequestInit = {},
  ): Promise<{ status: number; headers: Headers; body: unknown }> {
    const response = await fetch(`${this.#url}${path}`, init);
    const method = (init.method ?? "GET").toUpperCase();
    const text = await response.text();
    const type = (response.headers.get("content-type") ?? "").split(";")[0] ?? "";
    const body: unknown = type.endsWith("json") ? JSON.parse(text) : text;
    expect(response.headers.get("x-content-type-options")).toBe("nosniff");
    this.#check(method, new URL(path, this.#url).pathname, response.status, type, body);
    return { status: response.status, headers: response.headers, body };
  }

  #check(method: string, pathname: string, status: number, type: string, body: unknown): void {
    const label = `${method} ${pathname} ${status}`;
    const problem = this.document.components.schemas["Problem"];
    const found = Object.entries(this.document.paths).find(([path, operations]) =>
      method.toLowerCase() in operations && new RegExp(`^${path.replace(/\{\w+\}/g, ".+")}$`).test(pathname)
    );
    if (!found) {
      expect([404, 405], label).toContain(status);
      expect(type, label).toBe("application/problem+json");
      this.#matches(problem, body, label);
      return;
    }
    const [path, operations] = found;
    this.seen.add(`${method} ${path} ${status}`);
    const promised = operations[method.toLowerCase()]?.responses[String(status)];
    expect(promised, `${label} is not in the document`).toBeDefined();
    const media = Object.entries(promised?.content ?? {}).find(([name]) => name.split(";")[0] === type);
    expect(media, `${label} with ${type} is not in the document`).toBeDefined();
    const schema = media?.[1].schema;
    if (schema) this.#matches(schema.$ref === "#/components/schemas/Problem" ? problem : schema, body, label);
  }

  #matches(schema: object | undefined, body: unknown, label: string): void {
    const result = z.fromJSONSchema(schema as Parameters<typeof z.fromJSONSchema>[0]).safeParse(body);
    expect(result.error?.issues ?? [], `${label}: ${JSON.stringify(body)?.slice(0, 500)}`).toEqual([]);
  }
}
