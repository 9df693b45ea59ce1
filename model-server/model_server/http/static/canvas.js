// What is on the canvas: a picture with boxes over it, or a drawing in progress.

import { colour } from "./dom.js";

const PAPER = 512;

export function drawPlain(canvas, bitmap) {
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
}

export function annotate(canvas, bitmap, detections, lit) {
  drawPlain(canvas, bitmap);
  const context = canvas.getContext("2d");
  const unit = Math.max(1, Math.max(bitmap.width, bitmap.height) / 450);
  // The best is drawn last, so that it is on top; the one pointed at even later.
  const order = detections.map((_, index) => index).reverse();
  if (lit >= 0) order.push(lit);
  for (const index of order) {
    if (detections[index]) box(context, detections[index], unit, lit < 0 || lit === index);
  }
}

function box(context, { label, score, box: [left, top, right, bottom] }, unit, strong) {
  const paint = colour(label);
  context.globalAlpha = strong ? 1 : 0.25;
  context.lineWidth = 1.6 * unit;
  context.strokeStyle = paint;
  context.strokeRect(left, top, right - left, bottom - top);
  const size = 10 * unit;
  context.font = `600 ${size}px system-ui, sans-serif`;
  const text = `${label} ${Math.floor(100 * score)}%`;
  const width = context.measureText(text).width + size * 0.8;
  const height = size * 1.5;
  const x = Math.max(0, Math.min(left, context.canvas.width - width));
  const y = top >= height ? top - height : Math.max(0, top);
  context.fillStyle = paint;
  context.fillRect(x, y, width, height);
  context.fillStyle = "#fff";
  context.textBaseline = "middle";
  context.fillText(text, x + size * 0.4, y + height / 2);
  context.globalAlpha = 1;
}

// Lets a person draw on white paper; `done` gets the picture after every stroke. The strokes are
// kept apart from the canvas, because boxes are drawn over it in between.
export function setUpPen(canvas, active, done) {
  const paper = new OffscreenCanvas(PAPER, PAPER);
  const ink = paper.getContext("2d");
  ink.fillStyle = "#fff";
  ink.fillRect(0, 0, PAPER, PAPER);
  ink.lineWidth = 9;
  ink.lineCap = ink.lineJoin = "round";
  ink.strokeStyle = "#1b2330";
  drawPlain(canvas, paper);
  let from = null;

  function place(event) {
    const area = canvas.getBoundingClientRect();
    return [
      ((event.clientX - area.left) * PAPER) / area.width,
      ((event.clientY - area.top) * PAPER) / area.height,
    ];
  }

  canvas.onpointerdown = (event) => {
    if (!active()) return;
    canvas.setPointerCapture(event.pointerId);
    from = place(event);
  };
  canvas.onpointermove = (event) => {
    if (!from || !active()) return;
    const to = place(event);
    ink.beginPath();
    ink.moveTo(...from);
    ink.lineTo(...to);
    ink.stroke();
    from = to;
    drawPlain(canvas, paper);
  };
  canvas.onpointerup = async () => {
    if (!from || !active()) return;
    from = null;
    done(await paper.convertToBlob({ type: "image/png" }));
  };
}
