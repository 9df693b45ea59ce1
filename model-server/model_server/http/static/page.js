// The page at /: takes a picture from wherever it comes, asks the server, shows what it found.
// All detections are asked for once; the slider only filters what is here already.

import { annotate, drawPlain, setUpPen } from "./canvas.js";
import { startCamera } from "./camera.js";
import { element, facts, resultList, show } from "./dom.js";
import { renderMarkdown } from "./markdown.js";

const LEAST_SCORE = 0.05;
const MOST_BOXES = 100;
const TOP_K = 5;

const at = (id) => document.getElementById(id);
const state = {
  models: [],
  source: null, // "file" | "camera" | "pen"
  bitmap: null,
  type: "image/jpeg",
  answer: null,
  lit: -1,
  camera: null,
  asking: null,
};

function model() {
  return state.models[at("model").selectedIndex];
}

function threshold() {
  return Number(at("threshold").value) / 100;
}

function say(text, bad = false) {
  at("status").textContent = text;
  at("status").classList.toggle("bad", bad);
}

// ---- asking the server

async function ask(blob) {
  state.asking?.abort();
  const asking = (state.asking = new AbortController());
  const classifies = model().task === "classification";
  const query = classifies
    ? `top_k=${Math.min(TOP_K, model().classes || TOP_K)}`
    : `score_threshold=${LEAST_SCORE}&max_boxes=${MOST_BOXES}`;
  const url = `v1/models/${encodeURIComponent(model().name)}:predict?${query}`;
  const started = performance.now();
  show("busy", true);
  try {
    const response = await fetch(url, {
      method: "POST",
      body: blob,
      headers: { "Content-Type": blob.type || "application/octet-stream", Accept: "application/json" },
      signal: asking.signal,
    });
    const answer = await readJson(response);
    if (!response.ok) throw new Error(reason(answer) ?? `The server answered ${response.status}.`);
    state.answer = answer.predictions[0];
    state.milliseconds = performance.now() - started;
    render();
    return true;
  } catch (error) {
    if (error.name === "AbortError") return false;
    state.answer = null;
    render();
    say(error instanceof TypeError ? "The server cannot be reached." : error.message, true);
    return false;
  } finally {
    if (state.asking === asking) show("busy", false);
  }
}

// KServe V1 has its errors as a text, everything else as an object.
function reason(answer) {
  return typeof answer?.error === "string" ? answer.error : answer?.error?.message;
}

async function readJson(response) {
  try {
    return await response.json();
  } catch {
    return null;
  }
}

// ---- showing

function visible() {
  const found = state.answer?.detections ?? [];
  return found.filter((item) => item.score >= threshold());
}

function render() {
  const answer = state.answer;
  const items = answer?.classes
    ? answer.classes.map((item) => ({ ...item, score: item.probability }))
    : visible();
  if (state.bitmap) annotate(at("canvas"), state.bitmap, answer?.detections ? items : [], state.lit);
  resultList(at("results"), items, Boolean(answer?.classes), light);
  at("json").textContent = answer ? JSON.stringify(answer, null, 2) : "";
  at("threshold-value").textContent = `${at("threshold").value}%`;
  show("slider", model()?.task === "detection" && Boolean(state.source));
  show("save", Boolean(answer?.detections) && state.source !== "camera");
  if (answer) sayResult(answer, items);
}

function sayResult(answer, items) {
  const took = `${Math.round(state.milliseconds)} ms`;
  if (answer.classes) say(`Answered in ${took}.`);
  else if (items.length) say(`${items.length} found in ${took}.`);
  else if (answer.detections?.length) say(`Nothing above ${at("threshold").value}% (${took}).`);
  else if (answer.detections) say(`Nothing found (${took}).`);
  else say(`Answered with the model's raw outputs in ${took}: see the JSON.`);
}

function light(index) {
  if (index === state.lit) return;
  state.lit = index;
  if (state.bitmap) annotate(at("canvas"), state.bitmap, visible(), index);
  [...at("results").children].forEach((row, number) => row.classList.toggle("lit", number === index));
}

function fill(source) {
  state.source = source;
  show("empty", !source);
  show("canvas", Boolean(source));
  show("again", Boolean(source));
  show("shoot", source === "camera");
  show("wipe", source === "pen");
  at("stage").classList.toggle("filled", Boolean(source));
  at("canvas").classList.toggle("drawing", source === "pen");
}

function clear() {
  state.asking?.abort();
  state.camera?.stop();
  Object.assign(state, { camera: null, bitmap: null, answer: null, lit: -1 });
  fill(null);
  show("busy", false);
  render();
  say("");
}

// ---- pictures in

async function take(blob) {
  if (!blob) return;
  clear();
  try {
    state.bitmap = await createImageBitmap(blob, { imageOrientation: "from-image" });
  } catch {
    // The browser cannot show it; the server may still read it, or say why not.
    state.bitmap = null;
  }
  fill("file");
  show("canvas", Boolean(state.bitmap));
  if (state.bitmap) drawPlain(at("canvas"), state.bitmap);
  state.blob = blob;
  await ask(blob);
}

function pictureOf(transfer) {
  const files = [...(transfer?.files ?? [])];
  return files.find((file) => file.type.startsWith("image/")) ?? files[0];
}

async function useCamera() {
  clear();
  try {
    state.camera = await startCamera(at("video"));
  } catch (error) {
    say(error.message, true);
    return;
  }
  fill("camera");
  const camera = state.camera;
  while (state.camera === camera) {
    const frame = await camera.frame();
    if (state.camera !== camera) return;
    state.bitmap = frame.bitmap;
    if (!state.answer) drawPlain(at("canvas"), frame.bitmap);
    const answered = await ask(frame.blob);
    if (!answered && state.camera === camera) {
      camera.stop();
      state.camera = null;
      return;
    }
  }
}

async function shoot() {
  const frame = await state.camera.frame();
  await take(frame.blob);
}

function usePen() {
  clear();
  fill("pen");
  const canvas = at("canvas");
  setUpPen(canvas, () => state.source === "pen", async (blob) => {
    state.bitmap = await createImageBitmap(blob);
    await ask(blob);
  });
  say("Draw with the mouse or a finger.");
}

// ---- about

// What pixels become, and how that is known.
function preparation(found) {
  if (!found) return "";
  return `${found.meaning} (${found.source}: ${found.reason})`;
}

function renderAbout() {
  const current = model();
  if (!current) return;
  facts(at("facts"), [
    ["Name", current.name],
    ["Task", current.task],
    ["Format", current.format],
    ["Input", current.inputs.join("; ")],
    ["Pixels", preparation(current.preprocessing)],
    ["Classes", current.classes ? `${current.classes}: ${current.labels.join(", ")}${current.classes > current.labels.length ? ", ..." : ""}` : ""],
    ["SHA-256", current.digest],
    ["About", current.description],
    ["Warning", current.warnings.join(" ")],
  ]);
  renderMarkdown(at("card"), current.card);
  const url = new URL(`v1/models/${encodeURIComponent(current.name)}:predict`, document.baseURI);
  at("curl").textContent =
    `curl --data-binary @picture.jpg -H 'Content-Type: image/jpeg' \\\n  '${url}'`;
}

async function loadModels() {
  const response = await fetch("page/models.json");
  const answer = await readJson(response);
  if (!response.ok || !answer) throw new Error(`The server answered ${response.status}.`);
  state.models = answer.models;
  at("model").replaceChildren(
    ...state.models.map((item) => element("option", {}, `${item.name} (${item.task})`)),
  );
  at("threshold").value = Math.round(100 * Math.max(answer.score_threshold, LEAST_SCORE));
  renderAbout();
}

async function changeModel() {
  renderAbout();
  if (state.camera) return; // the next frame goes to the new model
  const { blob, source } = state;
  if (source === "file" && blob) await take(blob);
  else clear();
}

// ---- events

async function copy(id, button) {
  try {
    await navigator.clipboard.writeText(at(id).textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(at(id));
    button.textContent = "Selected";
  }
  setTimeout(() => (button.textContent = "Copy"), 1500);
}

function save() {
  at("canvas").toBlob((blob) => {
    const link = element("a", { href: URL.createObjectURL(blob), download: "detections.png" });
    link.click();
    URL.revokeObjectURL(link.href);
  }, "image/png");
}

function listen() {
  const stage = at("stage");
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    stage.classList.remove("over");
    take(pictureOf(event.dataTransfer));
  });
  addEventListener("dragenter", () => stage.classList.add("over"));
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) stage.classList.remove("over");
  });
  addEventListener("paste", (event) => take(pictureOf(event.clipboardData)));
  at("file").addEventListener("change", (event) => {
    take(event.target.files[0]);
    event.target.value = "";
  });
  at("choose").addEventListener("click", () => at("file").click());
  at("camera").addEventListener("click", useCamera);
  at("draw").addEventListener("click", usePen);
  at("other").addEventListener("click", clear);
  at("shoot").addEventListener("click", shoot);
  at("wipe").addEventListener("click", usePen);
  at("save").addEventListener("click", save);
  at("threshold").addEventListener("input", render);
  at("model").addEventListener("change", changeModel);
  at("copy-json").addEventListener("click", (event) => copy("json", event.target));
  at("copy-curl").addEventListener("click", (event) => copy("curl", event.target));
}

try {
  await loadModels();
  listen();
  render();
  say("");
  document.body.dataset.ready = "true";
} catch (error) {
  say(`The page could not be loaded: ${error.message}`, true);
}
