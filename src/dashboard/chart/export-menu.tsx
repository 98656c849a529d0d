/** What a chart shows, as a file: a picture for a report, numbers for a sheet. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { csvOf } from "../export/csv.ts";
import { pdfOf } from "../export/pdf.ts";
import { pngOf } from "../export/png.ts";
import { save } from "../export/save.ts";
import { sceneOf } from "../export/scene.ts";
import { svgOf } from "../export/svg.ts";
import { theme } from "../theme.ts";
import { type ChartData, cut } from "./chart-data.ts";
import type { Span } from "./span.ts";

const FORMATS = ["PNG", "SVG", "PDF", "CSV"] as const;
type Format = (typeof FORMATS)[number];

export function ExportMenu({ data, span }: { readonly data: ChartData; readonly span: Span }) {
  const isOpen = useSignal(false);
  const menu = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!isOpen.value) return;
    const close = (event: Event) => {
      if (!(event.target instanceof Node && menu.current?.contains(event.target))) isOpen.value = false;
    };
    document.addEventListener("pointerdown", close);
    document.addEventListener("focusin", close);
    return () => {
      document.removeEventListener("pointerdown", close);
      document.removeEventListener("focusin", close);
    };
  }, [isOpen.value]);
  const choose = async (format: Format) => {
    isOpen.value = false;
    const shown = cut(data, span.range.value);
    save(`esc-${data.id}.${format.toLowerCase()}`, await fileOf(format, shown, span));
  };
  return (
    <div
      class="menu"
      ref={menu}
      onKeyDown={(event) => {
        if (event.key === "Escape") isOpen.value = false;
      }}
    >
      <button
        type="button"
        class="quiet"
        aria-expanded={isOpen.value}
        aria-label={`Export ${data.title}`}
        onClick={() => isOpen.value = !isOpen.value}
      >
        Export
      </button>
      {isOpen.value && (
        <div class="menu-list">
          {FORMATS.map((format) => (
            <button type="button" key={format} onClick={() => void choose(format)}>{format}</button>
          ))}
        </div>
      )}
    </div>
  );
}

async function fileOf(format: Format, data: ChartData, span: Span): Promise<Blob> {
  const scene = () => sceneOf(data, { range: span.range.value, theme: theme.value });
  switch (format) {
    case "PNG":
      return await pngOf(scene());
    case "SVG":
      return new Blob([svgOf(scene())], { type: "image/svg+xml" });
    case "PDF":
      // Paper is white.
      return pdfOf(sceneOf(data, { range: span.range.value, theme: "light" }));
    case "CSV":
      return new Blob([csvOf(data)], { type: "text/csv;charset=utf-8" });
  }
}
