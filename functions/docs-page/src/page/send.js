// Where the shop answers: beside this page.
const base = new URL(".", location.href).href.replace(/\/$/, "");

// The last id of each kind, and the last ETag of each path, that answers have shown: forms propose them.
const seen = { ids: {}, etags: {} };

function remember(value) {
  if (!value || typeof value !== "object") return;
  const [, kind] = /^([a-z]+)_/.exec(typeof value.id === "string" ? value.id : value.client_id || "") || [];
  if (kind) seen.ids[kind] = value.id || value.client_id;
  // Backwards: of a list, the first stays.
  Object.values(value).reverse().forEach(remember);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

// Sends a request, and gives what came of it, whatever that is.
async function send(method, path, headers, body) {
  const started = performance.now();
  try {
    // Neither the browser's cache nor its redirects: what the shop answers is shown.
    const options = { method, headers, body, cache: "no-store", credentials: "omit", redirect: "manual" };
    const response = await fetch(base + path, options);
    const text = await response.text();
    const duration = performance.now() - started;
    const answer = { status: response.status, reason: response.statusText, headers: [...response.headers], text, duration };
    if (response.type === "opaqueredirect") answer.fault = "The shop answered with a redirect, which browsers keep from scripts.";
    if (/json/.test(response.headers.get("content-type"))) answer.json = parsed(text);
    remember(answer.json);
    const etag = response.headers.get("etag");
    if (etag) seen.etags[path] = etag;
    return answer;
  } catch (error) {
    return { status: 0, headers: [], text: "", duration: performance.now() - started, fault: `No answer: ${error.message}` };
  }
}

function uuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const FORM = "application/x-www-form-urlencoded";

// A body as it is typed: JSON, or a form with a parameter a line.
function typed(type, value) {
  if (value === undefined) return "";
  if (type === FORM) return Object.entries(value).map(([name, part]) => `${name}=${part}`).join("\n");
  return pretty(value);
}

function sent(type, text) {
  if (type !== FORM) return text;
  const pairs = text.split("\n").filter((line) => line.trim());
  return new URLSearchParams(pairs.map((line) => [line.split("=", 1)[0].trim(), line.slice(line.indexOf("=") + 1)])).toString();
}

// The request that a form has been filled in for.
function request(operation, form) {
  let path = operation.path;
  const query = [];
  const headers = {};
  for (const { name, in: place, value } of form.parameters) {
    if (place === "path") path = path.replace(`{${name}}`, value ? encodeURIComponent(value) : `{${name}}`);
    else if (value !== "" && place === "query") query.push(`${encodeURIComponent(name)}=${encodeURIComponent(value)}`);
    else if (value !== "" && place === "header") headers[name] = value;
  }
  const body = form.type && form.body.trim() ? sent(form.type, form.body) : undefined;
  if (body !== undefined) headers["Content-Type"] = form.type;
  return { method: operation.method, path: path + (query.length ? `?${query.join("&")}` : ""), headers, body };
}

// How this request shows who is calling. Where nobody has logged in, the command names variables instead.
function credentials(operation, form) {
  const ways = operation.security || api.security || [];
  const takes = (scheme) => ways.some((way) => way[scheme]);
  const headers = {};
  if (form.client) headers.Authorization = `Basic ${btoa([form.client, form.secret].map(encodeURIComponent).join(":"))}`;
  else if (takes("accessToken") && access.token) headers.Authorization = `Bearer ${access.token}`;
  if (takes("apiKey") && access.apiKey) headers["X-Api-Key"] = access.apiKey;
  return headers;
}

const quoted = (text) => `'${text.replace(/'/g, "'\\''")}'`;

// The request as a command. Secrets are variables in it: it is for scripts and mails.
function curl(operation, form) {
  const { method, path, headers, body } = request(operation, form);
  const ways = operation.security || api.security || [];
  const parts = [];
  if (method !== (body === undefined ? "GET" : "POST")) parts.push(`-X ${method}`);
  if (form.client) parts.push('-u "$CLIENT_ID:$CLIENT_SECRET"');
  else if (ways.some((way) => way.accessToken) && (access.token || !ways.some((way) => !Object.keys(way).length))) parts.push('-H "Authorization: Bearer $TOKEN"');
  if (ways.some((way) => way.apiKey) && access.apiKey) parts.push('-H "X-Api-Key: $API_KEY"');
  for (const [name, value] of Object.entries(headers)) {
    if (name !== "Content-Type" || ![FORM, "application/json"].includes(value)) parts.push(`-H ${quoted(`${name}: ${value}`)}`);
  }
  if (body !== undefined && form.type === FORM) parts.push(...body.split("&").map((pair) => `-d ${quoted(pair)}`));
  const next = " \\\n  ";
  const command = [`curl ${quoted(base + path)}`, ...parts].join(next);
  if (body === undefined || form.type === FORM) return [command];
  return [command, next, form.type === "application/json" ? "--json '" : "-d '", ...coloured(quoted(body).slice(1))];
}
