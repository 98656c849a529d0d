/**
 * A drawing as a PDF page: lines stay lines, text stays text.
 *
 *     header | 1 catalog | 2 pages | 3 page | 4 content | 5 font | 6 bold font | cross-reference | trailer
 *
 * One page, two of the fonts that every reader has (PDF 1.4, 9.6.2.2): a library would be larger than the rest
 * of the dashboard.
 */
import type { Mark, Scene } from "./scene.ts";

/** Points a pixel: 96 pixels and 72 points are an inch. */
const POINTS = 0.75;

export function pdfOf(scene: Scene): Blob {
  const [width, height] = [scene.width * POINTS, scene.height * POINTS];
  // From pixels that grow downwards to points that grow upwards.
  const content = [`${POINTS} 0 0 -${POINTS} 0 ${height} cm`, ...scene.marks.map(operators)].join("\n");
  const font = (name: string) =>
    `<< /Type /Font /Subtype /Type1 /BaseFont /${name} /Encoding /WinAnsiEncoding >>`;
  const objects = [
    "<< /Type /Catalog /Pages 2 0 R >>",
    "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
    `<< /Type /Page /Parent 2 0 R /MediaBox [0 0 ${width} ${height}] /Contents 4 0 R ` +
    "/Resources << /Font << /F1 5 0 R /F2 6 0 R >> >> >>",
    `<< /Length ${content.length} >>\nstream\n${content}\nendstream`,
    font("Helvetica"),
    font("Helvetica-Bold"),
  ];
  let file = "%PDF-1.4\n%\xe2\xe3\xcf\xd3\n";
  const offsets = objects.map((body, index) => {
    const offset = file.length;
    file += `${index + 1} 0 obj\n${body}\nendobj\n`;
    return offset;
  });
  const size = objects.length + 1;
  const entries = offsets.map((offset) => `${`${offset}`.padStart(10, "0")} 00000 n \n`).join("");
  const end = `trailer\n<< /Size ${size} /Root 1 0 R >>\nstartxref\n${file.length}\n%%EOF\n`;
  file += `xref\n0 ${size}\n0000000000 65535 f \n${entries}${end}`;
  // Each character is one byte: offsets are lengths, and text is in the font's own encoding.
  return new Blob([Uint8Array.from(file, (char) => char.charCodeAt(0))], { type: "application/pdf" });
}

function operators(mark: Mark): string {
  switch (mark.kind) {
    case "rect":
      return `${color(mark.fill)} rg ${mark.x} ${mark.y} ${mark.width} ${mark.height} re f`;
    case "dot": {
      const { x, y, radius } = mark;
      return `${color(mark.fill)} rg ${x - radius} ${y - radius} ${radius * 2} ${radius * 2} re f`;
    }
    case "line": {
      const path = mark.points.map(([x, y], index) => `${x} ${y} ${index === 0 ? "m" : "l"}`).join(" ");
      return `${color(mark.stroke)} RG ${mark.width} w 1 j ${path} S`;
    }
    case "text": {
      const text = winAnsi(mark.text);
      const shift = { start: 0, middle: 0.5, end: 1 }[mark.anchor] * widthOf(text) * mark.size;
      const font = mark.isBold === true ? "/F2" : "/F1";
      // The page is upside down: the text must not be.
      return `BT ${color(mark.fill)} rg ${font} ${mark.size} Tf 1 0 0 -1 ${
        (mark.x - shift).toFixed(2)
      } ${mark.y} Tm ` +
        `(${text.replace(/[\\()]/g, "\\$&")}) Tj ET`;
    }
  }
}

/** `#rrggbb` as three parts of 1. */
function color(hex: string): string {
  return [1, 3, 5].map((at) => (parseInt(hex.slice(at, at + 2), 16) / 255).toFixed(3)).join(" ");
}

/** Characters of the fonts' encoding; what it lacks is a question mark. */
function winAnsi(text: string): string {
  return Array.from(text, (char) => {
    if (char === "–") return "\x96";
    if (char === "−") return "-";
    return /[\x20-\x7e\xa0-\xff]/.test(char) ? char : "?";
  }).join("");
}

/** Width of text in Helvetica, in parts of its size: exact for figures, which labels are made of. */
function widthOf(text: string): number {
  let width = 0;
  for (const char of text) {
    if (/[ .,:;!'|/ijlftI]/.test(char)) width += 0.278;
    else if (/[A-Zmw%M]/.test(char)) {
      width += char === "m" || char === "M" ? 0.833 : char === "%" ? 0.889 : 0.68;
    } else width += 0.556;
  }
  return width;
}
