// A model card's Markdown as elements: headings, paragraphs, lists, tables, code, emphasis, links.
// Whatever it does not know stays text. It never makes HTML from text.

import { element } from "./dom.js";

const INLINE = /(`[^`]+`|\*\*[^*]+\*\*|\[[^\]]+\]\(https?:\/\/[^)\s]+\))/;

function inline(text) {
  return text.split(INLINE).map((part) => {
    if (part.startsWith("`") && part.length > 2) return element("code", {}, part.slice(1, -1));
    if (part.startsWith("**") && part.length > 4) return element("strong", {}, part.slice(2, -2));
    const link = /^\[([^\]]+)\]\((https?:\/\/[^)\s]+)\)$/.exec(part);
    if (link) return element("a", { href: link[2], rel: "noopener noreferrer" }, link[1]);
    return part;
  });
}

function table(lines) {
  const cells = (line) => line.replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());
  const [head, , ...rows] = lines;
  return element(
    "table",
    {},
    element("tr", {}, ...cells(head).map((cell) => element("th", {}, ...inline(cell)))),
    ...rows.map((row) =>
      element("tr", {}, ...cells(row).map((cell) => element("td", {}, ...inline(cell)))),
    ),
  );
}

function block(lines) {
  const heading = /^(#{1,6})\s+(.*)$/.exec(lines[0]);
  if (heading) {
    const made = element(`h${Math.min(3, heading[1].length)}`, {}, ...inline(heading[2]));
    return lines.length > 1 ? [made, ...block(lines.slice(1))] : [made];
  }
  if (lines.length > 1 && lines[0].includes("|") && /^[\s|:-]+$/.test(lines[1])) return [table(lines)];
  if (/^\s*[-*]\s/.test(lines[0])) {
    const items = [];
    for (const line of lines) {
      if (/^\s*[-*]\s/.test(line)) items.push(line.replace(/^\s*[-*]\s+/, ""));
      else items[items.length - 1] += ` ${line.trim()}`;
    }
    return [element("ul", {}, ...items.map((item) => element("li", {}, ...inline(item))))];
  }
  return [element("p", {}, ...inline(lines.join(" ")))];
}

export function renderMarkdown(target, text) {
  target.replaceChildren();
  // Cards from model hubs begin with a block of YAML for machines.
  const parts = (text ?? "").replace(/^---\n[\s\S]*?\n---\n/, "").split(/^```.*$/m);
  parts.forEach((part, index) => {
    if (index % 2) {
      target.append(element("pre", { class: "code" }, part.trim()));
      return;
    }
    for (const lines of part.split(/\n\s*\n/)) {
      const kept = lines.split("\n").filter((line) => line.trim());
      if (kept.length) target.append(...block(kept));
    }
  });
}
