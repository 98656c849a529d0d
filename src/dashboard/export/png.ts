/** A drawing as PNG, at twice its size: sharp on every screen. */
import type { Mark, Scene } from "./scene.ts";

const SCALE = 2;

export async function pngOf({ width, height, marks }: Scene): Promise<Blob> {
  const canvas = document.createElement("canvas");
  canvas.width = width * SCALE;
  canvas.height = height * SCALE;
  const context = canvas.getContext("2d");
  if (context === null) throw new Error("This browser cannot draw");
  context.scale(SCALE, SCALE);
  context.lineJoin = "round";
  for (const mark of marks) draw(context, mark);
  return await new Promise((resolve, reject) => {
    canvas.toBlob((blob) =>
      blob === null ? reject(new Error("This browser cannot write PNG")) : resolve(blob)
    );
  });
}

function draw(context: CanvasRenderingContext2D, mark: Mark): void {
  switch (mark.kind) {
    case "rect":
      context.fillStyle = mark.fill;
      context.fillRect(mark.x, mark.y, mark.width, mark.height);
      return;
    case "dot":
      context.fillStyle = mark.fill;
      context.beginPath();
      context.arc(mark.x, mark.y, mark.radius, 0, 2 * Math.PI);
      context.fill();
      return;
    case "line":
      context.strokeStyle = mark.stroke;
      context.lineWidth = mark.width;
      context.beginPath();
      for (const [x, y] of mark.points) context.lineTo(x, y);
      context.stroke();
      return;
    case "text":
      context.fillStyle = mark.fill;
      context.font = `${mark.isBold === true ? "600 " : ""}${mark.size}px system-ui, sans-serif`;
      context.textAlign = mark.anchor === "middle" ? "center" : mark.anchor;
      context.fillText(mark.text, mark.x, mark.y);
      return;
  }
}
