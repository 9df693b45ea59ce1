// Small helpers around the document. Text is always set as text: nothing that comes from a server
// or a model card is ever parsed as HTML.

const SVG = "http://www.w3.org/2000/svg";

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

export function show(id, visible) {
  document.getElementById(id).hidden = !visible;
}

export function facts(list, entries) {
  list.replaceChildren(
    ...entries
      .filter(([, value]) => value)
      .flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]),
  );
}

export function colour(text) {
  let hash = 7;
  for (const char of text) hash = (hash * 31 + char.codePointAt(0)) >>> 0;
  return `hsl(${(hash * 47) % 360} 85% 45%)`;
}

function svg(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function meter(score) {
  return svg(
    "svg",
    { class: "meter", viewBox: "0 0 100 4", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { class: "track", width: 100, height: 4 }),
    svg("rect", { class: "value", width: 100 * score, height: 4 }),
  );
}

function dot(label) {
  return svg(
    "svg",
    { width: 14, height: 14, "aria-hidden": "true" },
    svg("rect", { width: 14, height: 14, rx: 4, fill: colour(label) }),
  );
}

export function resultList(list, items, metered, light) {
  const rows = items.map((item, index) => {
    const row = element(
      "li",
      { tabindex: "0" },
      dot(item.label),
      element("span", { class: "name" }, item.label),
      element("span", { class: "score" }, metered ? `${(100 * item.score).toFixed(1)}%` : `${Math.floor(100 * item.score)}%`),
    );
    if (metered) row.append(meter(item.score));
    for (const type of ["mouseenter", "focus"]) row.addEventListener(type, () => light(index));
    for (const type of ["mouseleave", "blur"]) row.addEventListener(type, () => light(-1));
    return row;
  });
  list.replaceChildren(...rows);
}
