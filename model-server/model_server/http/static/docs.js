// The page at /docs: the server's own OpenAPI document, readable, with nothing from elsewhere.

import { element } from "./dom.js";
import { renderMarkdown } from "./markdown.js";

const METHODS = ["get", "post", "put", "patch", "delete"];
const at = (id) => document.getElementById(id);
let api = {};

function resolve(schema) {
  const path = schema?.$ref?.replace(/^#\//, "").split("/") ?? [];
  return path.length ? path.reduce((node, key) => node?.[key], api) : schema;
}

function typeOf(schema) {
  const resolved = resolve(schema) ?? {};
  if (schema?.$ref) return schema.$ref.split("/").pop();
  const choices = resolved.anyOf ?? resolved.oneOf;
  if (choices) return choices.map(typeOf).join(" or ");
  if (resolved.const !== undefined) return JSON.stringify(resolved.const);
  if (resolved.enum) return resolved.enum.map((value) => JSON.stringify(value)).join(", ");
  if (resolved.type === "array") return `list of ${typeOf(resolved.items) || "anything"}`;
  const limits = [
    resolved.minimum !== undefined ? `>= ${resolved.minimum}` : "",
    resolved.maximum !== undefined ? `<= ${resolved.maximum}` : "",
    resolved.format ?? "",
  ].filter(Boolean);
  const type = Array.isArray(resolved.type) ? resolved.type.join(" or ") : resolved.type;
  return [type ?? "anything", ...limits].join(" ");
}

function rows(schema, prefix = "", seen = new Set()) {
  const resolved = resolve(schema) ?? {};
  if (seen.has(resolved)) return [];
  const deeper = new Set(seen).add(resolved);
  const choices = resolved.anyOf ?? resolved.oneOf ?? [];
  if (choices.length) return choices.flatMap((choice) => rows(choice, prefix, deeper));
  if (resolved.type === "array") return rows(resolved.items, `${prefix}[]`, deeper);
  return Object.entries(resolved.properties ?? {}).flatMap(([name, property]) => {
    const path = prefix ? `${prefix}.${name}` : name;
    const required = (resolved.required ?? []).includes(name);
    const described = property.description ?? resolve(property)?.description ?? "";
    return [[path, typeOf(property), required ? "yes" : "", described], ...rows(property, path, deeper)];
  });
}

function table(head, lines) {
  return element(
    "table",
    {},
    element("tr", {}, ...head.map((cell) => element("th", {}, cell))),
    ...lines.map((line) =>
      element("tr", {}, ...line.map((cell, index) => element("td", {}, index ? cell : element("code", {}, cell)))),
    ),
  );
}

function media(title, content) {
  return Object.entries(content ?? {}).flatMap(([type, { schema, example, examples }]) => {
    const made = [element("h3", {}, `${title}: `, element("code", {}, type))];
    const lines = rows(schema);
    if (lines.length) made.push(table(["Field", "Type", "Required", "Meaning"], lines));
    const shown = example ?? Object.values(examples ?? {})[0]?.value ?? resolve(schema)?.examples?.[0];
    if (shown !== undefined) {
      made.push(element("pre", { class: "code" }, typeof shown === "string" ? shown : JSON.stringify(shown, null, 2)));
    }
    return made;
  });
}

function parameters(list) {
  if (!list.length) return [];
  const lines = list.map(resolve).map((item) => [
    item.name,
    `${typeOf(item.schema)} (${item.in})`,
    item.required ? "yes" : "",
    item.description ?? "",
  ]);
  return [element("h3", {}, "Parameters"), table(["Name", "Type", "Required", "Meaning"], lines)];
}

function responses(all) {
  return Object.entries(all ?? {}).flatMap(([status, response]) => {
    const resolved = resolve(response) ?? {};
    const title = `Answer ${status}`;
    const shown = media(title, resolved.content);
    if (!shown.length) shown.push(element("h3", {}, title));
    shown.splice(1, 0, element("p", {}, resolved.description ?? ""));
    return shown;
  });
}

function operation(path, method, item, shared) {
  const body = resolve(item.requestBody);
  const text = element("div", { class: "card" });
  renderMarkdown(text, item.description ?? "");
  return element(
    "details",
    { class: "operation" },
    element(
      "summary",
      {},
      element("span", { class: "method" }, method.toUpperCase()),
      element("span", { class: "path" }, path),
      element("span", { class: "summary" }, item.summary ?? ""),
    ),
    text,
    ...parameters([...shared, ...(item.parameters ?? [])]),
    ...media("Request", body?.content),
    ...responses(item.responses),
  );
}

function render() {
  document.title = api.info?.title ?? document.title;
  renderMarkdown(at("intro"), `# ${api.info?.title} ${api.info?.version}\n\n${api.info?.description ?? ""}`);
  const groups = new Map();
  for (const [path, item] of Object.entries(api.paths ?? {})) {
    for (const method of METHODS.filter((name) => item[name])) {
      const tag = item[method].tags?.[0] ?? "Endpoints";
      const made = operation(path, method, item[method], item.parameters ?? []);
      groups.set(tag, [...(groups.get(tag) ?? []), made]);
    }
  }
  at("operations").replaceChildren(
    ...[...groups].flatMap(([tag, list]) => [element("h2", {}, tag), ...list]),
  );
}

try {
  const response = await fetch("openapi.json");
  if (!response.ok) throw new Error(`openapi.json: the server answered ${response.status}`);
  api = await response.json();
  render();
  at("status").textContent = "";
  document.body.dataset.ready = "true";
} catch (error) {
  at("status").textContent = `The document could not be loaded: ${error.message}`;
  at("status").classList.add("bad");
}
