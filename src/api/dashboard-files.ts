/**
 * The built dashboard as it lies in the executable. Imported when it is first asked for: it is not there when
 * esc runs from source and was never built.
 */
import pageBrotli from "../../dist/dashboard/page.html.br" with { type: "file" };
import pageGzip from "../../dist/dashboard/page.html.gz" with { type: "file" };
import scriptBrotli from "../../dist/dashboard/main.js.br" with { type: "file" };
import scriptGzip from "../../dist/dashboard/main.js.gz" with { type: "file" };
import styleBrotli from "../../dist/dashboard/main.css.br" with { type: "file" };
import styleGzip from "../../dist/dashboard/main.css.gz" with { type: "file" };
import iconBrotli from "../../dist/dashboard/icon.svg.br" with { type: "file" };
import iconGzip from "../../dist/dashboard/icon.svg.gz" with { type: "file" };

export interface DashboardFile {
  readonly contentType: string;
  /** Paths inside the executable, by content encoding. */
  readonly br: string;
  readonly gzip: string;
}

/** By name under `/dashboard/`; the page itself is `page.html`. */
export const DASHBOARD_FILES: Readonly<Record<string, DashboardFile>> = {
  "page.html": { contentType: "text/html; charset=utf-8", br: pageBrotli, gzip: pageGzip },
  "main.js": { contentType: "text/javascript; charset=utf-8", br: scriptBrotli, gzip: scriptGzip },
  "main.css": { contentType: "text/css; charset=utf-8", br: styleBrotli, gzip: styleGzip },
  "icon.svg": { contentType: "image/svg+xml", br: iconBrotli, gzip: iconGzip },
};
