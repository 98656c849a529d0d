/** A drawing as SVG: for the web, and for programs that go on drawing. */
import type { Mark, Scene } from "./scene.ts";

export function svgOf({ width, height, title, marks }: Scene): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`,
    ` role="img" font-family="system-ui, Helvetica, Arial, sans-serif"><title>${escape(title)}</title>\n`,
    ...marks.map((mark) => `${markup(mark)}\n`),
    "</svg>\n",
  ].join("");
}

function markup(mark: Mark): string {
  switch (mark.kind) {
    case "rect":
      return `<rect x="${mark.x}" y="${mark.y}" width="${mark.width}" height="${mark.height}" fill="${mark.fill}"/>`;
    case "dot":
      return `<circle cx="${mark.x}" cy="${mark.y}" r="${mark.radius}" fill="${mark.fill}"/>`;
    case "line": {
      return `<polyline points="${mark.points.map(([x, y]) => `${x},${y}`).join(" ")}" fill="none" ` +
        `stroke="${mark.stroke}" stroke-width="${mark.width}" stroke-linejoin="round"/>`;
    }
    case "text": {
      const weight = mark.isBold === true ? ` font-weight="600"` : "";
      return `<text x="${mark.x}" y="${mark.y}" font-size="${mark.size}" fill="${mark.fill}" ` +
        `text-anchor="${mark.anchor}"${weight}>${escape(mark.text)}</text>`;
    }
  }
}

/** Control characters are not allowed in XML, escaped or not. */
function escape(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "�")
    .replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");
}
