// An operation, as it is read and tried.

const badge = (method) => el("span", { class: `method ${method.toLowerCase()}` }, method);
const statusBadge = (status) => el("span", { class: `status s${String(status)[0]}` }, status);

// A path that breaks where it may.
const breakable = (path) => path.split(/(?=\/)/).flatMap((part) => [el("wbr"), part]);

function operationCard(operation) {
  const title = el("h3", null,
    badge(operation.method),
    el("span", { class: "title" }, operation.summary, operation.deprecated && el("span", { class: "deprecated" }, "deprecated")),
    el("code", { class: "path" }, breakable(operation.path)));
  const card = lazy({ class: "operation", id: operation.operationId }, title, () => operationBody(operation));
  card.firstChild.addEventListener("click", () => {
    if (!card.open) history.replaceState(null, "", `#${operation.operationId}`);
    mark(operation);
  });
  return card;
}

function operationBody(operation) {
  const parameters = (operation.parameters || []).map(resolve);
  const body = operation.requestBody && resolve(operation.requestBody);
  const types = Object.entries(body?.content || {});
  const places = [["path", "Path"], ["query", "Query"], ["header", "Headers"]];
  const form = {
    parameters: parameters.map((parameter) => ({ ...parameter, schema: plain(parameter.schema), value: parameter.required ? proposal(parameter) : "" })),
    type: types[0]?.[0],
    body: types.length ? typed(types[0][0], examplesOf(types[0][1])[0]?.[1]) : "",
    client: "",
    secret: "",
  };
  return el("div", { class: "body" },
    el("div", { class: "text" },
      el("p", { class: "ids" }, el("code", null, operation.operationId)),
      accessOf(operation),
      markdown(operation.description, 4),
      places.map(([place, title]) => {
        const of = form.parameters.filter((parameter) => parameter.in === place);
        return of.length > 0 && [el("h4", null, title), el("ul", { class: "fields" }, of.map((parameter) => {
          return field(parameter.name, withExample(parameter), parameter);
        }))];
      }),
      types.length > 0 && requestBody(body, types),
      el("h4", null, "Answers"),
      el("div", { class: "answers" }, Object.entries(operation.responses).map(([status, response]) => answerRow(status, resolve(response), operation)))),
    el("div", { class: "code-side" }, tryOut(operation, form, types), examples(operation)));
}

function requestBody(body, types) {
  const [, { schema }] = types[0];
  const shape = plain(schema);
  return [
    el("h4", null, "Body"),
    el("p", { class: "limits" },
      el("span", null, types.map(([type], index) => [index ? " or " : "", el("code", null, type)])),
      body.required && el("span", { class: "required" }, "required")),
    markdown(body.description || shape.description, 5),
    fields(shape),
  ];
}

// What stands in all answers of an operation would hide what is particular to one.
function answerRow(status, response, operation) {
  const [type, media] = Object.entries(response.content || {})[0] || [];
  const codes = media ? codesOf(media.schema) : [];
  const common = (name) => Object.values(operation.responses).every((other) => name in (resolve(other).headers || {}));
  const headers = Object.entries(response.headers || {}).map(([name, header]) => [name, resolve(header)]);
  const line = ([name, header]) => field(name, withExample(header), { ...header, label: "always" });
  const own = headers.filter(([name]) => !common(name));
  const rest = headers.filter(([name]) => common(name));
  const [first, ...more] = (response.description || "").trim().split(/(?<=[.:])\s/);
  const summary = [statusBadge(status), el("span", { class: "says" }, inline(first.replace(/:$/, " …"))),
    codes.length > 0 && codes.length < 5 && el("span", { class: "codes" }, codes.map((code) => [el("code", null, code), " "]))];
  return lazy({ class: "answer" }, summary, () => {
    const shape = media && plain(media.schema);
    return [
      more.length > 0 && markdown(response.description, 5),
      own.length > 0 && [el("h5", null, "Headers"), el("ul", { class: "fields" }, own.map(line))],
      shape && [el("h5", null, "Body ", el("code", null, type)), shape.name && shape.description && markdown(shape.description, 6),
        shape.properties || variants(shape).ways.length ? fields(shape) : [el("p", { class: "type" }, typeOf(shape)), constraints(shape), inside(shape)]],
      response.links && [el("h5", null, "What to do with it"), el("ul", null, Object.values(response.links).map(followUp))],
      rest.length > 0 && lazy({ class: "inside" }, "headers of every answer", () => el("ul", { class: "fields" }, rest.map(line))),
    ];
  });
}

// Where an answer leads on to.
function followUp(link) {
  const { operationId, description, parameters } = resolve(link);
  const from = Object.entries(parameters || {}).map(([name, value]) => [" ", el("code", null, `${name}: ${value}`)]);
  return el("li", null, inline(`\`${operationId}\``), from, description && [": ", inline(description)]);
}

// The examples of all answers, one at a time.
function examples(operation) {
  const all = Object.entries(operation.responses).flatMap(([status, response]) =>
    Object.values(resolve(response).content || {}).slice(0, 1).flatMap((media) =>
      examplesOf(media).map(([name, value]) => ({ status, title: name || value?.code || "", value }))));
  if (!all.length) return undefined;
  const select = el("select", { "aria-label": "Which answer" }, all.map(({ status, title }, index) => el("option", { value: index }, title ? `${status} · ${title}` : status)));
  const block = panel("Example answers", select);
  const show = () => {
    const { value } = all[select.value];
    block.set(...(typeof value === "string" ? [value] : coloured(pretty(value))));
  };
  select.addEventListener("change", show);
  show();
  return block;
}

// What a parameter is set to before anybody does: what answers have shown, or else its example.
function proposal(parameter) {
  const { name, in: place } = parameter;
  if (name === "Idempotency-Key") return uuid();
  if (name === "If-Match") return "*";
  const value = sample(withExample(parameter)) ?? "";
  const [, kind] = (place === "path" && /^([a-z]+)_/.exec(value)) || [];
  return String(seen.ids[kind] ?? value);
}

function tryOut(operation, form, types) {
  const command = panel("Request");
  const refresh = () => command.set(...curl(operation, form));
  document.addEventListener("access", refresh);
  refresh();
  const outcome = el("div", { class: "outcome", role: "status" });
  return [command, lazy({ class: "try" }, "Try it", () => {
    const button = el("button", { type: "submit", class: "primary" }, "Send");
    return [el("form", { submit: async (event) => {
      event.preventDefault();
      button.disabled = true;
      const { method, path, headers, body } = request(operation, form);
      const answer = await send(method, path, { ...headers, ...credentials(operation, form) }, body);
      outcome.replaceChildren(...answered(answer));
      button.disabled = false;
    } }, inputs(operation, form, types, refresh), button), outcome];
  })];
}

function inputs(operation, form, types, refresh) {
  const id = (name) => `${operation.operationId}.${name}`;
  const rows = form.parameters.map((parameter) => {
    // Answers since may have shown what it could be.
    if (parameter.in === "path") parameter.value = proposal(parameter);
    if (parameter.name === "If-Match") parameter.value = seen.etags[request(operation, form).path] ?? "*";
    const control = choice(parameter);
    control.id = id(parameter.name);
    control.value = parameter.value;
    const change = () => { parameter.value = control.value; refresh(); };
    control.addEventListener(control.tagName === "SELECT" ? "change" : "input", change);
    const renew = parameter.name === "Idempotency-Key" && el("button", { type: "button", class: "quiet", click: () => { control.value = uuid(); change(); } }, "New key");
    return [el("label", { for: control.id }, el("code", null, parameter.name), parameter.required && el("span", { class: "required" }, "required")),
      el("div", { class: "row" }, control, renew)];
  });
  if ((operation.security || []).some((way) => way.client)) {
    for (const [key, name] of [["client", "client_id"], ["secret", "client_secret"]]) {
      const control = el("input", { id: id(key), type: key === "secret" ? "password" : "text", autocomplete: "off", input: () => { form[key] = control.value; refresh(); } });
      rows.push([el("label", { for: control.id }, el("code", null, name), el("span", { class: "hint" }, "HTTP Basic")), control]);
    }
  }
  refresh();
  return types.length ? [rows, bodyInputs(form, types, refresh, id)] : rows;
}

// A parameter's own kind of input.
function choice({ schema, required, example }) {
  const values = schema.enum || (schema.type === "boolean" ? ["true", "false"] : "const" in schema ? [schema.const] : undefined);
  if (values) return el("select", { required }, !required && el("option", { value: "" }, "not sent"), values.map((value) => el("option", { value }, value)));
  const number = schema.type === "integer";
  return el("input", {
    type: number ? "number" : "text", min: number ? schema.minimum : undefined, max: number ? schema.maximum : undefined,
    required, placeholder: example ?? schema.default, autocomplete: "off", spellcheck: "false",
  });
}

function bodyInputs(form, types, refresh, id) {
  const text = el("textarea", { id: id("body"), spellcheck: "false", input: () => { form.body = text.value; refresh(); } });
  const all = types.flatMap(([type, media]) => examplesOf(media).map(([name, value]) => ({ type, value, title: name })));
  const titles = all.map(({ type, title }) => [types.length > 1 && type, title].filter(Boolean).join(" · ") || type);
  const fill = ({ type, value }) => {
    form.type = type;
    text.value = form.body = typed(type, value);
    text.rows = Math.min(form.body.split("\n").length + 1, 18);
    refresh();
  };
  if (all.length) fill(all[0]);
  const select = all.length > 1 && el("select", { "aria-label": "Example", change: () => fill(all[select.value]) },
    titles.map((title, index) => el("option", { value: index }, title)));
  return [el("label", { for: text.id }, "Body", form.type === FORM && el("span", { class: "hint" }, "a parameter a line")), select, text];
}

// What came of a request.
function answered(answer) {
  if (answer.fault) return [el("p", { class: "fault" }, answer.fault)];
  const block = panel("Body");
  block.set(...(answer.json === undefined ? [answer.text] : coloured(pretty(answer.json))));
  return [
    el("p", { class: "result" }, statusBadge(answer.status), el("strong", null, answer.reason), el("span", { class: "hint" }, `${Math.round(answer.duration)} ms, ${new Blob([answer.text]).size.toLocaleString("en")} bytes`)),
    el("details", { class: "inside" }, el("summary", null, `${answer.headers.length} headers`),
      el("dl", null, answer.headers.map(([name, value]) => [el("dt", null, name), el("dd", null, value)]))),
    answer.text && block,
  ];
}
