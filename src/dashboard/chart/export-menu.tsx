/** What a chart shows, as a file: a picture for a report, numbers for a sheet. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { pdfOf } from "../export/pdf.ts";
import { pngOf } from "../export/png.ts";
import { save } from "../export/save.ts";
import type { Scene } from "../export/scene.ts";
import { svgOf } from "../export/svg.ts";
import { type Theme, theme } from "../theme.ts";

const FORMATS = ["PNG", "SVG", "PDF", "CSV"] as const;
type Format = (typeof FORMATS)[number];

export interface ExportMenuProps {
  /** For the file's name. */
  readonly id: string;
  readonly title: string;
  readonly drawing: (theme: Theme) => Scene;
  readonly csv: () => string;
}

export function ExportMenu(props: ExportMenuProps) {
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
    save(`esc-${props.id}.${format.toLowerCase()}`, await fileOf(format, props));
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
        aria-label={`Export ${props.title}`}
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

async function fileOf(format: Format, { drawing, csv }: ExportMenuProps): Promise<Blob> {
  switch (format) {
    case "PNG":
      return await pngOf(drawing(theme.value));
    case "SVG":
      return new Blob([svgOf(drawing(theme.value))], { type: "image/svg+xml" });
    case "PDF":
      // Paper is white.
      return pdfOf(drawing("light"));
    case "CSV":
      return new Blob([csv()], { type: "text/csv;charset=utf-8" });
  }
}
