"use strict";

const $ = (id) => document.getElementById(id);

// Makes an element. Children are nodes or text, never HTML: nothing that comes from outside is ever parsed.
function el(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child || child === 0));
  return element;
}

// A <details> that makes its content when it is first opened.
function lazy(attributes, summary, make) {
  const details = el("details", attributes, el("summary", null, summary));
  details.fill = () => {
    details.fill = () => {};
    details.append(...[make()].flat(Infinity).filter(Boolean));
  };
  details.firstChild.addEventListener("click", () => details.fill());
  // The browser's own search opens it, too.
  details.addEventListener("toggle", () => details.open && details.fill());
  return details;
}

// A dark block of code, with a button that copies it; `set` shows something else.
function panel(title, ...controls) {
  const code = el("code");
  const copy = el("button", { type: "button", class: "copy", click: async () => {
    await navigator.clipboard.writeText(code.textContent);
    copy.textContent = "Copied";
    setTimeout(() => { copy.textContent = "Copy"; }, 1500);
  } }, "Copy");
  const head = el("div", { class: "panel-head" }, el("span", null, title), controls, navigator.clipboard && copy);
  // Scrollable, and so in reach of the keyboard.
  const pre = el("pre", { tabindex: "0", role: "group", "aria-label": title }, code);
  const block = el("div", { class: "panel" }, head, pre);
  block.set = (...content) => code.replaceChildren(...content);
  return block;
}

const TOKENS = /("(?:\\.|[^"\\])*")(\s*:)?|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const LARGE = 200_000;

// JSON with its colours; text that is too long for them, or is no JSON, as it is.
function coloured(text) {
  if (text.length > LARGE) return [text];
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(TOKENS)) {
    const [token, string, colon] = match;
    const kind = colon ? "k" : string ? "s" : "n";
    parts.push(text.slice(end, match.index), el("span", { class: kind }, string || token), colon || "");
    end = match.index + token.length;
  }
  return [...parts, text.slice(end)];
}

const pretty = (value) => JSON.stringify(value, null, 2);
