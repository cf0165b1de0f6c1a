// The page: reads the description from beside itself, and shows it.

let api = {};
const operations = new Map();
const METHODS = ["get", "post", "put", "patch", "delete"];

// What can be searched for: all words must be there.
const words = ({ method, path, operationId, summary, description, tags }) =>
  [method, path, operationId, summary, description, ...(tags || [])].join(" ").toLowerCase();

function readOperations() {
  for (const [path, item] of Object.entries(api.paths)) {
    for (const method of METHODS.filter((name) => item[name])) {
      const operation = { ...item[method], method: method.toUpperCase(), path };
      operations.set(operation.operationId, operation);
    }
  }
}

function show() {
  const { info } = api;
  document.title = `${info.title}: API`;
  $("brand").replaceChildren(info.title, el("small", null, `API v${info.version}`));
  const about = el("section", { class: "about", "aria-labelledby": "title" },
    el("h1", { id: "title" }, info.title),
    el("p", { class: "lead" }, inline(info.summary || "")),
    el("p", { class: "base" }, el("span", null, "It answers at "), el("code", null, base), el("span", null, ", described by "), el("a", { href: "openapi.json" }, "openapi.json"), "."),
    markdown(info.description, 1));
  const groups = api.tags.map(({ name, description }) => {
    const id = `tag-${name.toLowerCase()}`;
    const members = [...operations.values()].filter((operation) => operation.tags?.includes(name));
    for (const operation of members) {
      operation.card = operationCard(operation);
      operation.link = el("li", null, el("a", { href: `#${operation.operationId}` }, badge(operation.method), el("span", null, operation.summary)));
      operation.words = words(operation);
    }
    const section = el("section", { "aria-labelledby": id }, el("h2", { id }, name), markdown(description, 3), members.map(({ card }) => card));
    const list = el("section", { "aria-labelledby": `${id}-list` }, el("h2", { id: `${id}-list` }, el("a", { href: `#${id}` }, name)), el("ul", null, members.map(({ link }) => link)));
    return { members, section, list };
  });
  const headings = [...about.querySelectorAll("h2")].map(({ id, textContent }) => el("li", null, el("a", { href: `#${id}` }, textContent)));
  const start = el("section", { "aria-labelledby": "about-list" }, el("h2", { id: "about-list" }, el("a", { href: "#title" }, "About")), el("ul", null, headings));
  $("contents").replaceChildren(start, ...groups.map(({ list }) => list));
  $("main").replaceChildren(about, ...groups.map(({ section }) => section));
  watchSearch(about, start, groups);
}

function watchSearch(about, start, groups) {
  const search = $("search");
  let found = [];
  const filter = () => {
    const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    found = [];
    for (const { members, section, list } of groups) {
      for (const operation of members) {
        const fits = wanted.every((word) => operation.words.includes(word));
        operation.card.hidden = operation.link.hidden = !fits;
        if (fits) found.push(operation);
      }
      section.hidden = list.hidden = members.every(({ card }) => card.hidden);
    }
    about.hidden = start.hidden = wanted.length > 0;
    $("found").textContent = wanted.length ? `${found.length} operations found` : "";
  };
  search.addEventListener("input", filter);
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && found.length) location.hash = found[0].operationId;
    if (event.key === "Escape") {
      search.value = "";
      filter();
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.target.closest("input, textarea, select, dialog")) {
      event.preventDefault();
      menu(true);
      search.focus();
    }
    if (event.key === "Escape") menu(false);
  });
}

// On narrow screens the contents are behind a button.
function menu(open) {
  $("menu").setAttribute("aria-expanded", open);
  document.body.classList.toggle("menu-open", open);
}

// Opens what the address names.
function visit(event) {
  const id = decodeURIComponent(location.hash.slice(1));
  const target = id && $(id);
  menu(false);
  if (!target) return;
  const operation = operations.get(id);
  if (operation) {
    target.hidden = target.parentElement.hidden = false;
    target.fill();
    target.open = true;
  }
  mark(operation);
  target.scrollIntoView();
  if (event) (operation ? target.firstChild : target).focus({ preventScroll: true });
}

// Shows in the contents which operation is being read.
function mark(current) {
  for (const operation of operations.values()) {
    if (operation === current) operation.link.firstChild.setAttribute("aria-current", "true");
    else operation.link.firstChild.removeAttribute("aria-current");
  }
  current?.link.scrollIntoView({ block: "nearest" });
}

async function start() {
  watchAccess();
  $("menu").addEventListener("click", () => menu($("menu").getAttribute("aria-expanded") !== "true"));
  // A second click on the same link goes there again.
  $("contents").addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (link && link.hash === location.hash) visit(event);
  });
  window.addEventListener("hashchange", visit);
  window.addEventListener("beforeprint", () => {
    for (const { card } of operations.values()) {
      card.fill();
      card.open = true;
    }
  });
  try {
    const response = await fetch("openapi.json");
    if (!response.ok) throw new Error(`the shop answered ${response.status}`);
    api = await response.json();
  } catch (error) {
    $("loading").replaceChildren(`The description can’t be read (${error.message}). `, el("a", { href: "" }, "Try again"), ".");
    return;
  }
  readOperations();
  show();
  visit();
}

start();
