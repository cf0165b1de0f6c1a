// CommonMark, as far as the description uses it: headings, paragraphs, lists, tables, code, emphasis and links.

const INLINE = /`([^`]+)`|\*\*([^*]+)\*\*|\*([^*]+)\*|\[([^\]]+)\]\(([^)\s]+)\)/g;

function inline(text) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(INLINE)) {
    const [all, code, strong, emphasis, label, target] = match;
    parts.push(text.slice(end, match.index));
    if (code) parts.push(operations.has(code) ? el("a", { href: `#${code}` }, el("code", null, code)) : el("code", null, code));
    else if (strong) parts.push(el("strong", null, inline(strong)));
    else if (emphasis) parts.push(el("em", null, inline(emphasis)));
    else parts.push(link(inline(label), target));
    end = match.index + all.length;
  }
  return [...parts, text.slice(end)];
}

function link(label, target) {
  const { protocol } = new URL(target, location.href);
  return ["http:", "https:", "mailto:"].includes(protocol) ? el("a", { href: target }, label) : label;
}

// `level` is that of a heading with one #.
function markdown(text, level = 1) {
  const lines = (text || "").split("\n");
  const nodes = [];
  const take = (pattern) => {
    const taken = [];
    while (lines.length && pattern.test(lines[0])) taken.push(lines.shift());
    return taken;
  };
  while (lines.length) {
    const line = lines[0];
    const heading = /^(#{1,6}) (.*)/.exec(line);
    if (!line.trim()) {
      lines.shift();
    } else if (line.startsWith("```")) {
      lines.shift();
      const code = take(/^(?!```)/).join("\n");
      lines.shift();
      nodes.push(el("pre", { class: "code", tabindex: "0" }, el("code", null, coloured(code))));
    } else if (heading) {
      lines.shift();
      const id = `about-${heading[2].toLowerCase().replace(/[^a-z0-9]+/g, "-")}`;
      nodes.push(el(`h${Math.min(level + heading[1].length - 1, 6)}`, { id }, inline(heading[2])));
    } else if (/^\|/.test(line)) {
      const cells = (row, tag) => el("tr", null, row.replace(/^\||\|\s*$/g, "").split("|").map((cell) => el(tag, null, inline(cell.trim()))));
      const [head, , ...rows] = take(/^\|/);
      nodes.push(el("div", { class: "scroll" }, el("table", null, el("thead", null, cells(head, "th")), el("tbody", null, rows.map((row) => cells(row, "td"))))));
    } else if (/^([-*]|\d+\.) /.test(line)) {
      const items = [];
      for (const part of take(/^([-*]|\d+\.) |^\s+\S/)) {
        if (/^\s/.test(part)) items[items.length - 1] += ` ${part.trim()}`;
        else items.push(part.replace(/^([-*]|\d+\.) /, ""));
      }
      nodes.push(el(/^\d/.test(line) ? "ol" : "ul", null, items.map((item) => el("li", null, inline(item)))));
    } else {
      const paragraph = [lines.shift(), ...take(/^(?!```|#{1,6} |\||[-*] |\d+\. )\s*\S/)];
      nodes.push(el("p", null, inline(paragraph.join(" ").replace(/\s+/g, " "))));
    }
  }
  return nodes;
}
