import { afterAll, beforeAll, expect } from "bun:test";
import { newToken, tokenHash } from "../../src/auth/token.ts";
import { EscServer } from "../support/esc.ts";
import { browserTest, Dashboard, publish, useBrowser } from "./browser.ts";

useBrowser();
const VIEWS = [
  "overview",
  "topics",
  "consumers",
  "alerts",
  "windows",
  "dlq",
  "log",
  "publish",
  "config",
  "market",
];

const SECRET = "a secret of at least thirty-two bytes";

/** Each would run if it became markup, a script or an address. */
const ATTACKS = [
  `<img src=x onerror="globalThis.caught=1">`,
  `<script>globalThis.caught=1</script>`,
  `"><svg onload=globalThis.caught=1>`,
  `javascript:globalThis.caught=1`,
  "{{constructor.constructor('globalThis.caught=1')()}}",
  `=HYPERLINK("javascript:1")`,
  "\u202e\u0000\ufeff</td></table><iframe src=//example.com>",
];

let server: EscServer;
beforeAll(async () => {
  server = await EscServer.start({
    config: {
      store: { topics: [">"] },
      rules: {
        echo: { topics: [">"], when: "true", alert: { message: "{payload.text}", cooldown: "1ms" } },
        dead: { topics: ["dead.>"], when: "true", dead_letter: true },
      },
      windows: {
        echo: {
          topics: [">"],
          by: "payload.text",
          tumbling: "1s",
          idle_timeout: "1s",
          aggregates: { n: "count()" },
        },
      },
    },
  });
  await publish(
    server,
    ATTACKS.flatMap((text) =>
      [text, `dead.${text}`].map((topic) => ({
        topic: topic.replaceAll("\u0000", ""),
        key: text,
        id: topic.slice(0, 60),
        headers: { "x-attack": text.replaceAll("\u0000", "") },
        payload: { text },
      }))
    ),
  );
}, 60_000);
afterAll(() => server.remove());

browserTest("what events carry is shown and never run", async () => {
  const dashboard = await Dashboard.open(server);
  const { page } = dashboard;
  try {
    await dashboard.isLive();
    for (const view of VIEWS) {
      await dashboard.show(view);
      await page.getByRole("heading", { level: 2 }).waitFor();
      const row = page.locator("main tbody tr.choosable").first();
      if (["alerts", "dlq", "log"].includes(view)) {
        await row.waitFor();
        for (const each of (await page.locator("main tbody tr.choosable").all()).slice(0, 14)) {
          await each.click();
        }
      }
      expect(await page.evaluate(() => "caught" in globalThis)).toBe(false);
      expect(await page.locator("main img, main script, main iframe, main svg[onload]").count()).toBe(0);
    }
    await dashboard.show("topics");
    await dashboard.sees(ATTACKS[0] ?? "");
    await dashboard.show("log?topic=dead.>");
    await dashboard.row("Events", `dead.${ATTACKS[1]}`).click();
    await page.locator(".detail h3", { hasText: `dead.${ATTACKS[1]}` }).waitFor();
    expect(await page.evaluate(() => "caught" in globalThis)).toBe(false);
  } finally {
    await dashboard.close();
  }
});

browserTest(
  "the page's policy lets no text become markup or script, and nothing be loaded from elsewhere",
  async () => {
    const dashboard = await Dashboard.open(server);
    const { page } = dashboard;
    await dashboard.isLive();
    const refused = await page.evaluate(() => {
      const attempt = (act: () => void) => {
        try {
          act();
          return "done";
        } catch (error) {
          return error instanceof Error ? error.name : "refused";
        }
      };
      return {
        markup: attempt(() => {
          document.createElement("p").innerHTML = "<b>x</b>";
        }),
        script: attempt(() => {
          const script = document.createElement("script");
          script.textContent = "globalThis.caught = 1";
          document.head.append(script);
        }),
      };
    });
    const foreign = await page.evaluate(() =>
      fetch("http://127.0.0.2:9/").then(() => "done", () => "refused")
    );
    expect({ ...refused, foreign }).toEqual({ markup: "TypeError", script: "TypeError", foreign: "refused" });
    // The browser reports what it refused.
    dashboard.problems.length = 0;
    await dashboard.close();

    const response = await fetch(server.url("/"));
    const policy = response.headers.get("content-security-policy") ?? "";
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toContain("unsafe");
    const html = await response.text();
    expect(html).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=/i);
  },
);

browserTest(
  "with auth the page asks for a token, keeps it in its tab, and offers what it may do",
  async () => {
    const [admin, reader] = [newToken(), newToken()];
    const guarded = await EscServer.start({
      config: {
        auth: {
          enabled: true,
          jwt: { secret: SECRET },
          tokens: [
            {
              name: "boss",
              sha256: tokenHash(admin),
              admin: true,
              read: [">"],
              publish: [">"],
              subscribe: [">"],
            },
            { name: "guest", sha256: tokenHash(reader), read: ["orders.>"] },
          ],
        },
      },
    });
    const dashboard = await Dashboard.open(guarded, { statuses: [401, 403] });
    const { page } = dashboard;
    const signIn = async (token: string) => {
      await page.getByLabel("Token").fill(token);
      await page.getByRole("button", { name: "Sign in" }).click();
    };
    try {
      await dashboard.sees("This server wants a token");
      await signIn("esc_wrong");
      await dashboard.sees(/token/i);
      await signIn(reader);
      await dashboard.isLive();
      await dashboard.row("Lanes", "realtime").waitFor();
      expect(await page.getByRole("button", { name: "Pause", exact: true }).count()).toBe(0);
      await dashboard.sees("Not visible to this token.");
      await dashboard.show("config");
      await dashboard.sees(`"guest" has no permission to administrate`);
      await page.getByRole("button", { name: "Sign out" }).click();
      await dashboard.sees("Signed out");

      await dashboard.show("overview");
      await signIn(admin);
      await dashboard.isLive();
      await page.getByRole("button", { name: "Pause", exact: true }).waitFor();
      await dashboard.show("config");
      await dashboard.row("Configuration", "auth.tokens[0].name").waitFor();
      const text = await page.locator("main").textContent() ?? "";
      expect(text).toContain("auth.jwt.secret");
      expect(text).not.toContain(SECRET);
      expect(page.url()).not.toContain(admin);
      const kept = await page.evaluate(
        () => [JSON.stringify({ ...sessionStorage }), JSON.stringify({ ...localStorage }), document.cookie],
      );
      expect(kept.map((place) => place.includes(admin))).toEqual([true, false, false]);
    } finally {
      await dashboard.close();
      await guarded.remove();
    }
  },
);
