// JSON Schema, as far as the description uses it.

// What a reference leads to, with what stands beside it.
function resolve(schema) {
  if (!schema || typeof schema !== "object") return {};
  const { $ref, allOf, ...own } = schema;
  const parts = [$ref && { name: $ref.split("/").pop(), ...resolve(lookUp($ref)) }, ...(allOf || []).map(resolve), own];
  return parts.filter(Boolean).reduce(both);
}

function lookUp(reference) {
  const keys = reference.slice(2).split("/").map((key) => decodeURIComponent(key).replace(/~1/g, "/").replace(/~0/g, "~"));
  return keys.reduce((value, key) => value?.[key], api);
}

function both(one, other) {
  const merged = { ...one, ...other };
  if (one.properties && other.properties) {
    merged.properties = { ...one.properties };
    for (const [name, property] of Object.entries(other.properties)) {
      merged.properties[name] = both(one.properties[name] || {}, property);
    }
  }
  if (one.required && other.required) merged.required = [...new Set([...one.required, ...other.required])];
  return merged;
}

const isNull = (schema) => schema.type === "null";

// The ways to fulfil a schema; and, where there is one besides null, that one.
function variants(schema) {
  const all = (schema.oneOf || schema.anyOf || []).map(resolve);
  const ways = all.filter((way) => !isNull(way));
  return { ways, nullable: ways.length < all.length };
}

// A schema that is one thing or null, as that thing.
function plain(schema) {
  const resolved = resolve(schema);
  const { ways, nullable } = variants(resolved);
  if (!nullable || ways.length !== 1) return resolved;
  const { oneOf, anyOf, ...rest } = resolved;
  return { ...both(ways[0], rest), nullable };
}

function typeOf(schema) {
  let text = [schema.type || (schema.properties ? "object" : "const" in schema ? typeof schema.const : "")].flat().join(" or ");
  if (schema.type === "array") {
    const items = plain(schema.items);
    text = `array of ${items.type === "object" && items.name ? items.name : typeOf(items) || "anything"}`;
  } else if (text === "object" && schema.name) {
    text = schema.name;
  } else if (!text && variants(schema).ways.length) {
    text = "one of several";
  }
  return text + (schema.nullable ? " or null" : "");
}

function range(least, most, unit = "") {
  if (least === undefined && most === undefined) return undefined;
  if (least === most) return `exactly ${least}${unit}`;
  if (least === undefined) return `at most ${most}${unit}`;
  if (most === undefined) return `at least ${least}${unit}`;
  return `${least} to ${most}${unit}`;
}

// What a value must be besides its type.
function constraints(schema) {
  const code = (value) => el("code", null, typeof value === "string" && value ? value : JSON.stringify(value));
  const texts = [
    schema.format,
    range(schema.minimum, schema.maximum),
    range(schema.minLength, schema.maxLength, " characters"),
    range(schema.minItems, schema.maxItems, " items"),
    range(schema.minProperties, schema.maxProperties, " entries"),
    schema.uniqueItems && "no two the same",
  ].filter(Boolean);
  const parts = [
    texts.length && el("span", null, texts.join(", ")),
    schema.pattern && el("span", null, "matches ", code(schema.pattern)),
    "const" in schema && el("span", null, "always ", code(schema.const)),
    schema.enum && el("span", null, "one of ", schema.enum.map((value) => [code(value), " "])),
    "default" in schema && el("span", null, "default ", code(schema.default)),
  ].filter(Boolean);
  const example = schema.example ?? schema.examples?.[0];
  if (example !== undefined && typeof example !== "object" && !schema.enum) parts.push(el("span", null, "such as ", code(example)));
  return parts.length ? el("p", { class: "limits" }, parts) : undefined;
}

// A line for something that has a name: a parameter, a header, a property.
function field(name, schema, { required, description, deprecated, label = "required" } = {}) {
  return el("li", null,
    el("p", { class: "field" },
      el("code", { class: "name" }, name), " ",
      el("span", { class: "type" }, typeOf(schema)), " ",
      required && el("span", { class: "required" }, label),
      deprecated && el("span", { class: "deprecated" }, "deprecated")),
    markdown(description || schema.description, 5),
    constraints(schema),
    inside(schema));
}

// What a schema is made of, to be unfolded.
function inside(schema) {
  const within = schema.type === "array" ? plain(schema.items) : schema;
  const limits = within !== schema && !within.properties && constraints(within);
  const { ways } = variants(within);
  const count = Object.keys(within.properties || {}).length || ways.length || (typeof within.additionalProperties === "object" ? 1 : 0);
  if (!count) return limits && [el("p", { class: "limits" }, "each:"), limits];
  const title = within.properties ? `${count} ${count === 1 ? "field" : "fields"}` : ways.length ? `${count} forms` : "entries";
  return lazy({ class: "inside" }, within.name ? `${within.name}: ${title}` : title, () => fields(within));
}

// The fields of an object, or the forms that a value can have.
function fields(schema) {
  const required = new Set(schema.required);
  const { ways } = variants(schema);
  const extra = schema.additionalProperties;
  const properties = Object.entries(schema.properties || {});
  return [
    properties.length && el("ul", { class: "fields" }, properties.map(([name, property]) =>
      field(name, plain(property), { required: required.has(name), deprecated: property.deprecated }))),
    extra && typeof extra === "object" && el("ul", { class: "fields" }, field("any name", plain(extra))),
    ways.map((way, index) => lazy({ class: "inside" }, way.title || codesOf(way).join(", ") || way.name || typeOf(way) || `form ${index + 1}`,
      () => [markdown(way.description, 5), constraints(way), way.type === "array" ? inside(way) : fields(way)])),
  ];
}

// The codes of the problems that a schema describes.
function codesOf(schema) {
  const resolved = resolve(schema);
  const code = resolve(resolved.properties?.code || resolved.properties?.error);
  const own = "const" in code ? [code.const] : code.enum || [];
  return [...new Set([...own, ...variants(resolved).ways.flatMap(codesOf)])];
}

// The examples of a media type, a parameter or a header, by name; where there are none, one that the schema allows.
function examplesOf(described) {
  const named = Object.entries(described.examples || {}).map(([name, example]) => [example.summary || name, lookUpExample(example).value]);
  if (named.length) return named;
  if ("example" in described) return [["", described.example]];
  const made = sample(described.schema);
  return made === undefined ? [] : [["", made]];
}

// The schema of a parameter or a header, with the example that stands beside it.
function withExample({ schema, example, examples }) {
  const [first] = Object.values(examples || {});
  const shown = example ?? (first && lookUpExample(first).value);
  return shown === undefined ? plain(schema) : { ...plain(schema), example: shown };
}

const lookUpExample = (example) => (example.$ref ? lookUp(example.$ref) : example);

function sample(schema, depth = 0) {
  const resolved = plain(schema);
  const { ways } = variants(resolved);
  if ("example" in resolved) return resolved.example;
  if (resolved.examples?.length) return resolved.examples[0];
  if ("const" in resolved) return resolved.const;
  if ("default" in resolved) return resolved.default;
  if (resolved.enum) return resolved.enum[0];
  if (depth > 6) return undefined;
  if (resolved.properties) {
    const shown = Object.entries(resolved.properties).filter(([name]) => !resolved.required || resolved.required.includes(name));
    return Object.fromEntries(shown.map(([name, property]) => [name, sample(property, depth + 1)]));
  }
  if (resolved.type === "array") return resolved.minItems ? [sample(resolved.items, depth + 1)] : [];
  if (ways.length) return sample(ways[0], depth + 1);
  return { string: "string", integer: resolved.minimum ?? 1, number: 1, boolean: true, object: {} }[resolved.type];
}
