// Who the requests are sent as. It is kept here alone, and gone with the page.
const access = { token: "", scopes: undefined, name: "", expires: undefined, apiKey: "" };

// What an access token says of itself; nothing where it can't be read.
function claims(token) {
  try {
    const bytes = Uint8Array.from(atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/")), (char) => char.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return {};
  }
}

function use(token, name) {
  const { sub, scope, exp } = claims(token);
  Object.assign(access, {
    token,
    name: token && (name || sub || "a token"),
    scopes: scope === undefined ? undefined : new Set(scope.split(" ")),
    expires: exp && new Date(exp * 1000),
  });
  const until = access.expires?.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  $("who").replaceChildren(...(token ? [el("span", { class: "name" }, access.name), until ? el("span", { class: "until" }, ` until ${until}`) : ""] : []));
  $("log-out").hidden = !token && !access.apiKey;
  $("log-in").hidden = Boolean(token);
  document.dispatchEvent(new Event("access"));
}

function watchAccess() {
  const dialog = $("access");
  const fault = (text) => {
    $("log-in-fault").textContent = text;
    $("log-in-fault").hidden = !text;
  };
  $("log-in").addEventListener("click", () => dialog.showModal());
  $("access-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    fault("");
    $("password").value = "";
  });
  $("log-out").addEventListener("click", () => {
    for (const id of ["email", "password", "token", "api-key"]) $(id).value = "";
    access.apiKey = "";
    use("");
    $("log-in").focus();
  });
  $("log-in-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    fault("");
    const email = $("email").value;
    const answer = await send("POST", "/sessions", { "Content-Type": "application/json" }, JSON.stringify({ email, password: $("password").value }));
    if (answer.status !== 200) {
      fault(answer.json?.detail || answer.fault || `The shop answered ${answer.status}.`);
      return;
    }
    use(answer.json.access_token, email);
    dialog.close();
  });
  $("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    access.apiKey = $("api-key").value.trim();
    use($("token").value.trim() || access.token, $("token").value.trim() ? "" : access.name);
    dialog.close();
  });
}

// The ways to be allowed an operation, in words.
function accessOf(operation) {
  const ways = operation.security || api.security || [];
  const scopes = ways.flatMap((way) => way.accessToken || []);
  const open = !ways.length || ways.some((way) => !Object.keys(way).length);
  const known = Object.assign({}, ...Object.values(api.components.securitySchemes.oauth?.flows || {}).map((flow) => flow.scopes));
  const named = scopes.map((scope, index) => [index ? " or " : "", el("code", { title: known[scope] }, scope)]);
  const line = el("p", { class: "access" });
  const show = () => {
    const lacking = access.token && access.scopes && scopes.length && !scopes.some((scope) => access.scopes.has(scope));
    line.replaceChildren(...[
      el("span", { class: open ? "tag open" : "tag" }, open ? "Public" : "Access token"),
      scopes.length ? el("span", null, open ? "more with the scope " : "with the scope ", named) : undefined,
      ways.some((way) => way.client) ? el("span", null, "or a client, by HTTP Basic") : undefined,
      ways.some((way) => way.apiKey) ? el("span", null, "and an API key, where it is deployed") : undefined,
      lacking && !open ? el("strong", { class: "fault" }, "Your token lacks it.") : undefined,
    ].filter(Boolean));
  };
  document.addEventListener("access", show);
  show();
  return line;
}
