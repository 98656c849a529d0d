/** A real browser with the dashboard of a running server in it. */
import { afterAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { type Browser, chromium, type Download, type Locator, type Page } from "playwright-core";
import type { EscServer } from "../support/esc.ts";

const CHROMIUM = Bun.which("chromium");
const SKIPPED = CHROMIUM === null ? " (skipped: chromium is not installed)" : "";
/** Time for anything that the page shall show: it is shown within a second or two, on a machine that is free. */
const WAIT_MS = 30_000;
const TEST_MS = 120_000;
/** A browser that finds no server says so by itself. */
const CONNECTION_LOST =
  /ERR_(CONNECTION_\w+|INCOMPLETE_CHUNKED_ENCODING|EMPTY_RESPONSE|INTERNET_DISCONNECTED|NETWORK_CHANGED)/;

/** A test in a browser; skipped, and saying so, where there is none. */
export function browserTest(name: string, run: () => Promise<void>): void {
  test.skipIf(CHROMIUM === null)(`${name}${SKIPPED}`, run, TEST_MS);
}

export interface DashboardOptions {
  readonly view?: string;
  readonly width?: number;
  readonly colorScheme?: "light" | "dark";
  /** HTTP statuses that the page is expected to meet, which the browser logs as errors. */
  readonly statuses?: readonly number[];
}

/** One for all tests of a file: starting it takes longer than most of them. */
let shared: Promise<Browser> | undefined;

/** Ends the browser after the file's last test. Call once in each file. */
export function useBrowser(): void {
  afterAll(async () => {
    await (await shared)?.close();
    shared = undefined;
  });
}

function launch(): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM ?? "chromium",
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/** The dashboard in a browser that has never seen it before. */
export class Dashboard {
  readonly page: Page;
  /** What must not happen: errors of scripts, dialogs, requests to others, refusals by the content policy. */
  readonly problems: string[] = [];
  readonly #server: EscServer;

  private constructor(page: Page, server: EscServer, statuses: readonly number[]) {
    this.#server = server;
    this.page = page;
    page.setDefaultTimeout(WAIT_MS);
    page.on("pageerror", (error) => this.problems.push(`error: ${error.message}`));
    page.on("dialog", (dialog) => {
      this.problems.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on("console", (message) => {
      const text = message.text();
      const isExpected = CONNECTION_LOST.test(text) ||
        statuses.some((status) => text.includes(` ${status} (`));
      if (message.type() === "error" && !isExpected) this.problems.push(`console: ${text}`);
    });
    page.on("request", (request) => {
      const isOurs = request.url().startsWith(server.url("/")) || /^(blob|data):/.test(request.url());
      if (!isOurs) this.problems.push(`request to ${request.url()}`);
    });
  }

  /** Opens a view, with an empty profile. */
  static async open(server: EscServer, options: DashboardOptions = {}): Promise<Dashboard> {
    const browser = await (shared ??= launch());
    const context = await browser.newContext({
      viewport: { width: options.width ?? 1440, height: 900 },
      colorScheme: options.colorScheme ?? "light",
      acceptDownloads: true,
    });
    const dashboard = new Dashboard(await context.newPage(), server, options.statuses ?? []);
    await dashboard.page.goto(server.url(`/#/${options.view ?? "overview"}`));
    return dashboard;
  }

  /** Shows a view of the same page. */
  async show(view: string): Promise<void> {
    await this.page.goto(this.#server.url(`/#/${view}`));
  }

  /** Waits until the page is connected. */
  async isLive(): Promise<void> {
    await this.page.locator(".connection.live").waitFor();
  }

  /** Waits until this text is seen somewhere in the view. */
  async sees(text: string | RegExp): Promise<void> {
    await this.page.locator("main").getByText(text).first().waitFor();
  }

  /** Row of a table that holds a text. */
  row(table: string, text: string): Locator {
    return this.page.getByRole("region", { name: table }).locator("tbody tr").filter({ hasText: text })
      .first();
  }

  /** A file that an action makes the browser save. */
  async download(act: () => Promise<void>): Promise<{ name: string; bytes: Buffer }> {
    const saved: Promise<Download> = this.page.waitForEvent("download");
    await act();
    const download = await saved;
    return { name: download.suggestedFilename(), bytes: readFileSync(await download.path()) };
  }

  /** Closes the page and its profile. @throws When anything happened that must not. */
  async close(): Promise<void> {
    await this.page.context().close();
    expect(this.problems).toEqual([]);
  }
}

/** Publishes events and waits until they are durable. */
export async function publish(server: EscServer, events: readonly object[]): Promise<void> {
  const response = await fetch(server.url("/api/v1/publish"), {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(events),
  });
  expect(response.status).toBe(200);
}

/** Readings of a warm house. */
export function readings(count: number, more: object = {}): object[] {
  return Array.from({ length: count }, (_, index) => ({
    topic: `sensor.${index % 2 === 0 ? "kitchen" : "attic"}`,
    priority: 3,
    payload: { room: index % 2 === 0 ? "kitchen" : "attic", celsius: 20 + (index % 10) },
    ...more,
  }));
}
