//! What a new OpenAPI document takes from the clients of an old one. docs/versioning.md says what counts, and why.
//!
//! What was taken before must be taken still, so inputs may only become wider; what is answered must be what was
//! expected, so answers may only become narrower, but for fields, which may be added.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter, ptr,
    sync::LazyLock,
};

use serde_json::{Map, Value};

/// The breaks, a sentence each, with the place in front.
pub fn breaks(old: &Value, new: &Value) -> Vec<String> {
    let documents = Documents { old, new };
    let mut found = documents.security_schemes();
    let new_operations = operations(new);
    for (name, operation) in operations(old) {
        match new_operations.get(&name) {
            Some(now) => found.extend(documents.operation(&name, operation, now)),
            None => found.push(format!("{name} is gone")),
        }
    }
    let mut told = BTreeSet::new();
    found.retain(|sentence| told.insert(sentence.clone()));
    found
}

struct Documents<'d> {
    old: &'d Value,
    new: &'d Value,
}

/// Which way a schema's values go.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Input,
    Answer,
    /// An answer that names its reason by a code: further ones may come, each with fields of its own.
    Refusal,
}

/// The schemas that are being compared, so that one within itself is compared once.
type Trail<'t> = &'t [(Vec<*const Value>, Vec<*const Value>)];

impl Documents<'_> {
    fn security_schemes(&self) -> Vec<String> {
        let of = |document: &'_ Value| map(&document["components"]["securitySchemes"]).clone();
        let (old, new) = (of(self.old), of(self.new));
        let mut found = Vec::new();
        for (name, scheme) in &old {
            let place = format!("security scheme {name}");
            let Some(now) = new.get(name) else {
                found.push(format!("{place} is gone"));
                continue;
            };
            for part in ["type", "scheme", "in", "name", "openIdConnectUrl"] {
                found.extend(change(&place, part, &scheme[part], &now[part]));
            }
            for (kind, flow) in map(&scheme["flows"]) {
                let (place, now) = (format!("{place}, flow {kind}"), &now["flows"][kind]);
                for part in ["authorizationUrl", "tokenUrl", "refreshUrl"] {
                    found.extend(change(&place, part, &flow[part], &now[part]));
                }
                let gone = map(&flow["scopes"]).keys().filter(|scope| now["scopes"].get(scope).is_none());
                found.extend(gone.map(|scope| format!("{place}: the scope {scope} is gone")));
            }
        }
        found
    }

    fn operation(&self, name: &str, old: &Value, new: &Value) -> Vec<String> {
        let mut found: Vec<String> =
            change(name, "operationId", &old["operationId"], &new["operationId"]).into_iter().collect();
        found.extend(self.security(name, old, new));
        found.extend(self.parameters(name, old, new));
        found.extend(self.body(name, old, new));
        found.extend(self.answers(name, old, new));
        found
    }

    /// Whoever could call it can call it still.
    fn security(&self, name: &str, old: &Value, new: &Value) -> Vec<String> {
        let ways = |document: &Value, operation: &Value| {
            let ways = operation.get("security").or(document.get("security")).map(list).unwrap_or_default();
            if ways.is_empty() { vec![Value::Object(Map::new())] } else { ways.to_vec() }
        };
        let enough = |way: &Value, needed: &Value| {
            map(needed).iter().all(|(scheme, scopes)| {
                let has = way.get(scheme).map(list);
                has.is_some_and(|has| list(scopes).iter().all(|scope| has.contains(scope)))
            })
        };
        let now = ways(self.new, new);
        let refused =
            ways(self.old, old).into_iter().filter(|way| !now.iter().any(|needed| enough(way, needed)));
        refused.map(|way| format!("{name}: {way} is no longer enough to call it")).collect()
    }

    fn parameters(&self, name: &str, old: &Value, new: &Value) -> Vec<String> {
        let of = |document, operation: &'_ Value| -> BTreeMap<String, Value> {
            let parameters = list(&operation["parameters"]).iter().map(|it| follow(document, it).clone());
            let key = |it: &Value| {
                let (name, place) = (text(&it["name"]), text(&it["in"]));
                let name = if place == "header" { name.to_lowercase() } else { name.to_owned() };
                format!("{name} ({place})")
            };
            parameters.map(|it| (key(&it), it)).collect()
        };
        let (old, new) = (of(self.old, old), of(self.new, new));
        let is_required = |it: &Value| it["required"] == true;
        let mut found = Vec::new();
        for (key, parameter) in &old {
            let place = format!("{name}: parameter {key}");
            let Some(now) = new.get(key) else {
                found.push(format!("{place} is gone"));
                continue;
            };
            if is_required(now) && !is_required(parameter) {
                found.push(format!("{place} is required now"));
            }
            for part in ["style", "explode"] {
                found.extend(change(&place, part, &parameter[part], &now[part]));
            }
            found.extend(self.schemas(Way::Input, &[&parameter["schema"]], &[&now["schema"]], &place, &[]));
        }
        let added = new.iter().filter(|(key, now)| !old.contains_key(*key) && is_required(now));
        found.extend(added.map(|(key, _)| format!("{name}: parameter {key} is new and required")));
        found
    }

    fn body(&self, name: &str, old: &Value, new: &Value) -> Vec<String> {
        let (old, new) = (follow(self.old, &old["requestBody"]), follow(self.new, &new["requestBody"]));
        let place = format!("{name}: body");
        let mut found = Vec::new();
        if !old.is_null() && new.is_null() {
            return vec![format!("{place} is gone")];
        }
        if new["required"] == true && old["required"] != true {
            found.push(format!("{place} is required now"));
        }
        found.extend(self.content(Way::Input, old, new, &place));
        found
    }

    fn answers(&self, name: &str, old: &Value, new: &Value) -> Vec<String> {
        let (old, new) = (map(&old["responses"]), map(&new["responses"]));
        let mut found = Vec::new();
        for (status, answer) in old {
            let place = format!("{name}: answer {status}");
            let Some(now) = new.get(status) else {
                found.push(format!("{place} is gone"));
                continue;
            };
            let (answer, now) = (follow(self.old, answer), follow(self.new, now));
            found.extend(self.headers(&place, answer, now));
            let way = if is_refusal(status) { Way::Refusal } else { Way::Answer };
            found.extend(self.content(way, answer, now, &place));
        }
        // 304 comes to those alone who ask for it.
        let harmless = |status: &str| is_refusal(status) || status == "304";
        let added = new.keys().filter(|status| !old.contains_key(*status) && !harmless(status));
        found.extend(added.map(|status| format!("{name}: answer {status} is new, which no client expects")));
        found
    }

    fn headers(&self, place: &str, old: &Value, new: &Value) -> Vec<String> {
        let mut found = Vec::new();
        for (header, declared) in map(&old["headers"]) {
            let place = format!("{place}, header {header}");
            let new = map(&new["headers"]);
            let now = new.iter().find(|(name, _)| name.eq_ignore_ascii_case(header));
            let Some((_, now)) = now else {
                found.push(format!("{place} is gone"));
                continue;
            };
            let (declared, now) = (follow(self.old, declared), follow(self.new, now));
            if declared["required"] == true && now["required"] != true {
                found.push(format!("{place} is no longer always there"));
            }
            found.extend(self.schemas(Way::Answer, &[&declared["schema"]], &[&now["schema"]], &place, &[]));
        }
        found
    }

    fn content(&self, way: Way, old: &Value, new: &Value, place: &str) -> Vec<String> {
        let mut found = Vec::new();
        for (media_type, content) in map(&old["content"]) {
            match new["content"].get(media_type) {
                Some(now) => {
                    found.extend(self.schemas(way, &[&content["schema"]], &[&now["schema"]], place, &[]));
                }
                None => found.push(format!("{place}: the media type {media_type} is gone")),
            }
        }
        found
    }

    /// Compares what fits all of some schemas with what now has to fit all of others.
    fn schemas(&self, way: Way, old: &[&Value], new: &[&Value], place: &str, trail: Trail) -> Vec<String> {
        let identity = |all: &[&Value]| all.iter().map(|schema| ptr::from_ref(*schema)).collect::<Vec<_>>();
        let here = (identity(old), identity(new));
        if trail.contains(&here) {
            return Vec::new();
        }
        let trail: Vec<_> = trail.iter().cloned().chain([here]).collect();
        let (mut old, mut new) = (shapes(self.old, old), shapes(self.new, new));
        let mut found = Vec::new();
        if way == Way::Refusal {
            (old, new) = (by_code(self.old, old), by_code(self.new, new));
            let codes =
                |shapes: &[Shape]| shapes.iter().filter_map(|it| it.code.clone()).collect::<BTreeSet<_>>();
            let (before, now) = (codes(&old), codes(&new));
            found.extend(before.difference(&now).map(|code| format!("{place}: the code {code} is gone")));
            new.retain(|shape| {
                shape.code.as_ref().is_none_or(|code| before.contains(code) || before.is_empty())
            });
        }
        let (values, limits) = if way == Way::Input { (&old, &new) } else { (&new, &old) };
        for value in values {
            let fitting = limits.iter().filter(|it| {
                it.kind == value.kind && (it.code == value.code || it.code.is_none() || value.code.is_none())
            });
            let compared = fitting.map(|limit| match way {
                Way::Input => self.shape(way, value, limit, place, &trail),
                _ => self.shape(way, limit, value, place, &trail),
            });
            // One of several is meant: the one that is the most alike.
            match (compared.min_by_key(Vec::len), way) {
                (Some(breaks), _) => found.extend(breaks),
                (None, Way::Input) => found.push(format!("{place} can no longer be of type {}", value.kind)),
                (None, _) => found.push(format!("{place} may now be of type {}", value.kind)),
            }
        }
        found
    }

    fn shape(&self, way: Way, old: &Shape, new: &Shape, place: &str, trail: Trail) -> Vec<String> {
        let mut found = Vec::new();
        let open = old.is_open && way != Way::Input;
        let (values, limits) = if way == Way::Input { (old, new) } else { (new, old) };
        if !open {
            found.extend(values.beyond(limits, way, place));
            let names = limits.limits.keys().filter(|name| !values.keeps(limits, name));
            found.extend(names.map(|name| {
                let shown = |shape: &Shape| shape.limits.get(name).map_or("absent".to_owned(), Limit::shown);
                format!("{place}: {name} was {}, is {}", shown(old), shown(new))
            }));
        }
        if way == Way::Input && old.default.is_some() && old.default != new.default {
            let shown = |default: Option<&Value>| default.map_or("absent".to_owned(), Value::to_string);
            found.push(format!("{place}: the default was {}, is {}", shown(old.default), shown(new.default)));
        }
        found.extend(self.fields(way, old, new, place, trail));
        let parts = [(&old.items, &new.items, "/*"), (&old.names, &new.names, "/(name)")];
        for (old, new, part) in parts {
            let one_is_there = !old.is_empty() || !new.is_empty();
            if one_is_there {
                found.extend(self.schemas(inner(way), old, new, &under(place, part), trail));
            }
        }
        found
    }

    fn fields(&self, way: Way, old: &Shape, new: &Shape, place: &str, trail: Trail) -> Vec<String> {
        let mut found = Vec::new();
        for (field, schemas) in &old.fields {
            let place = under(place, &format!("/{field}"));
            match new.fields.get(field) {
                // It is what tells this alternative from the others.
                Some(_) if way == Way::Refusal && CODES.contains(field) => {}
                Some(now) => found.extend(self.schemas(inner(way), schemas, now, &place, trail)),
                None => found.push(format!("{place} is gone")),
            }
        }
        let field = |name: &&str| under(place, &format!("/{name}"));
        if way == Way::Input {
            let added = new.required.difference(&old.required);
            found.extend(added.map(|name| format!("{} is required now", field(name))));
            if new.is_closed && !old.is_closed {
                found.push(format!("{place}: fields that are not listed are refused now"));
            }
        } else {
            let dropped =
                old.required.difference(&new.required).filter(|name| new.fields.contains_key(*name));
            found.extend(dropped.map(|name| format!("{} is no longer always there", field(name))));
        }
        if !old.further.is_empty() {
            let place = under(place, "/*");
            if new.further.is_empty() && new.is_closed {
                found.push(format!("{place} is gone"));
            } else {
                found.extend(self.schemas(inner(way), &old.further, &new.further, &place, trail));
            }
        } else if way == Way::Input && !old.is_closed && !new.further.is_empty() {
            found.extend(self.schemas(way, &[&Value::Bool(true)], &new.further, &under(place, "/*"), trail));
        }
        found
    }
}

/// What a code is called by which refusals are told apart, in problems (RFC 9457) and in OAuth 2.0.
const CODES: [&str; 2] = ["code", "error"];

/// The way of what is within.
fn inner(way: Way) -> Way {
    if way == Way::Input { Way::Input } else { Way::Answer }
}

/// A place within another: `body /price`, `body /price/amount`.
fn under(place: &str, part: &str) -> String {
    let is_pointer = place.rsplit(' ').next().is_some_and(|last| last.starts_with('/'));
    // An operation's own path is none: `GET /products`.
    if is_pointer && place.contains(": ") { format!("{place}{part}") } else { format!("{place} {part}") }
}

/// One of the kinds of value that a schema takes, with all that its parts ask of it.
#[derive(Clone)]
struct Shape<'d> {
    kind: &'static str,
    values: Option<Vec<&'d Value>>,
    limits: BTreeMap<&'d str, Limit>,
    fields: BTreeMap<&'d str, Vec<&'d Value>>,
    required: BTreeSet<&'d str>,
    /// Whether it takes no fields but those.
    is_closed: bool,
    /// What fields that are not listed have to be.
    further: Vec<&'d Value>,
    names: Vec<&'d Value>,
    items: Vec<&'d Value>,
    default: Option<&'d Value>,
    /// Whether the document says that other values may come: `x-open`.
    is_open: bool,
    code: Option<String>,
}

#[derive(Clone, PartialEq)]
enum Limit {
    AtLeast(f64),
    AtMost(f64),
    /// What can only be the same, or not: a pattern, a format. Of several all hold.
    Same(BTreeSet<String>),
}

const KINDS: [&str; 7] = ["null", "boolean", "object", "array", "number", "integer", "string"];
/// What says nothing about values.
const ANNOTATIONS: [&str; 10] = [
    "$comment",
    "deprecated",
    "description",
    "discriminator",
    "example",
    "examples",
    "externalDocs",
    "readOnly",
    "title",
    "writeOnly",
];

/// What fits all of the schemas: any of these.
fn shapes<'d>(document: &'d Value, all_of: &[&'d Value]) -> Vec<Shape<'d>> {
    let any = KINDS.map(|kind| Shape {
        kind,
        values: None,
        limits: BTreeMap::new(),
        fields: BTreeMap::new(),
        required: BTreeSet::new(),
        is_closed: false,
        further: Vec::new(),
        names: Vec::new(),
        items: Vec::new(),
        default: None,
        is_open: false,
        code: None,
    });
    all_of.iter().fold(any.into(), |shapes, schema| narrowed(document, shapes, schema))
}

fn narrowed<'d>(document: &'d Value, mut shapes: Vec<Shape<'d>>, schema: &'d Value) -> Vec<Shape<'d>> {
    if *schema == false {
        return Vec::new();
    }
    for (keyword, value) in map(schema) {
        shapes = match keyword.as_str() {
            "$ref" => narrowed(document, shapes, follow(document, schema)),
            "allOf" => list(value).iter().fold(shapes, |shapes, part| narrowed(document, shapes, part)),
            "oneOf" | "anyOf" => {
                list(value).iter().flat_map(|part| narrowed(document, shapes.clone(), part)).collect()
            }
            _ => shapes.into_iter().filter_map(|shape| shape.narrowed(keyword, value)).collect(),
        };
    }
    shapes
}

impl<'d> Shape<'d> {
    /// The shape with one keyword more; nothing if no value of its kind is left.
    fn narrowed(mut self, keyword: &'d str, value: &'d Value) -> Option<Self> {
        match keyword {
            "type" => {
                let named = |kind: &str| *value == kind || list(value).iter().any(|it| *it == kind);
                return (named(self.kind) || self.kind == "integer" && named("number")).then_some(self);
            }
            "enum" => return self.one_of(list(value).iter().collect()),
            "const" => return self.one_of(vec![value]),
            "properties" => {
                map(value).iter().for_each(|(name, it)| self.fields.entry(name).or_default().push(it));
            }
            "required" => self.required.extend(list(value).iter().map(text)),
            "additionalProperties" | "unevaluatedProperties" if value.is_boolean() => {
                self.is_closed |= *value == false;
            }
            "additionalProperties" | "unevaluatedProperties" => self.further.push(value),
            "propertyNames" => self.names.push(value),
            "items" => self.items.push(value),
            "default" => self.default = Some(value),
            "x-open" => self.is_open |= *value == true,
            _ if ANNOTATIONS.contains(&keyword) || keyword.starts_with("x-") => {}
            _ if concerns(keyword, self.kind) => {
                let limit = Limit::of(keyword, value);
                let both = match self.limits.remove(keyword) {
                    Some(other) => other.and(limit),
                    None => limit,
                };
                self.limits.insert(keyword, both);
            }
            _ => {}
        }
        Some(self)
    }

    fn one_of(mut self, mut values: Vec<&'d Value>) -> Option<Self> {
        values.retain(|value| {
            let known = self.values.as_ref().is_none_or(|known| known.contains(value));
            known && kind_of(value) == self.kind
        });
        let some = !values.is_empty();
        self.values = Some(values);
        some.then_some(self)
    }

    /// The values that it can be, but `limits` can't.
    fn beyond(&self, limits: &Self, way: Way, place: &str) -> Option<String> {
        let allowed = limits.values.as_ref()?;
        let beyond: Option<Vec<String>> = self.values.as_ref().map(|values| {
            values.iter().filter(|value| !allowed.contains(value)).map(|value| value.to_string()).collect()
        });
        let said = if way == Way::Input { "can no longer be" } else { "may now be" };
        match beyond {
            Some(beyond) if beyond.is_empty() => None,
            Some(beyond) => Some(format!("{place} {said} {}", beyond.join(", "))),
            None => Some(format!("{place} {said} anything but those listed")),
        }
    }

    /// Whether it keeps a limit of the other's.
    fn keeps(&self, limits: &Self, name: &str) -> bool {
        match (self.limits.get(name), limits.limits.get(name)) {
            (_, None) => true,
            (Some(Limit::AtLeast(own)), Some(Limit::AtLeast(limit))) => own >= limit,
            (Some(Limit::AtMost(own)), Some(Limit::AtMost(limit))) => own <= limit,
            (Some(Limit::Same(own)), Some(Limit::Same(limit))) => own.is_superset(limit),
            _ => false,
        }
    }
}

impl Limit {
    fn of(keyword: &str, value: &Value) -> Self {
        let number = value.as_f64();
        match (keyword, number) {
            ("minimum" | "exclusiveMinimum" | "minLength" | "minItems" | "minProperties", Some(number)) => {
                Self::AtLeast(number)
            }
            ("maximum" | "exclusiveMaximum" | "maxLength" | "maxItems" | "maxProperties", Some(number)) => {
                Self::AtMost(number)
            }
            _ => Self::Same(iter::once(value.to_string()).collect()),
        }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::AtLeast(one), Self::AtLeast(other)) => Self::AtLeast(one.max(other)),
            (Self::AtMost(one), Self::AtMost(other)) => Self::AtMost(one.min(other)),
            (Self::Same(one), Self::Same(other)) => Self::Same(one.into_iter().chain(other).collect()),
            (one, _) => one,
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::AtLeast(limit) | Self::AtMost(limit) => limit.to_string(),
            Self::Same(all) => all.iter().cloned().collect::<Vec<_>>().join(" and "),
        }
    }
}

/// Each alternative once for each code that it may name.
fn by_code<'d>(document: &'d Value, alternatives: Vec<Shape<'d>>) -> Vec<Shape<'d>> {
    let mut apart = Vec::new();
    for shape in alternatives {
        let named = CODES.iter().find_map(|name| shape.fields.get(name));
        let kinds = named.map(|schemas| shapes(document, schemas)).unwrap_or_default();
        let codes: Vec<&Value> =
            kinds.iter().flat_map(|kind| kind.values.iter().flatten().copied()).collect();
        if codes.is_empty() {
            apart.push(shape);
        } else {
            let of = |code: &Value| Shape { code: Some(text(code).to_owned()), ..shape.clone() };
            apart.extend(codes.into_iter().map(of));
        }
    }
    apart
}

/// Whether a keyword says anything about values of that kind.
fn concerns(keyword: &str, kind: &str) -> bool {
    match keyword {
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" => {
            kind == "number" || kind == "integer"
        }
        "minLength" | "maxLength" | "pattern" | "contentEncoding" | "contentMediaType" => kind == "string",
        "minItems" | "maxItems" | "uniqueItems" | "contains" => kind == "array",
        "minProperties" | "maxProperties" | "patternProperties" | "dependentRequired" => kind == "object",
        "format" => kind == "string" || kind == "number" || kind == "integer",
        _ => true,
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The operations, by method and path.
fn operations(document: &Value) -> BTreeMap<String, &Value> {
    let methods = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
    let mut operations = BTreeMap::new();
    for (path, item) in map(&document["paths"]) {
        let there = methods.into_iter().filter_map(|method| Some((method, item.get(method)?)));
        operations.extend(there.map(|(method, it)| (format!("{} {path}", method.to_uppercase()), it)));
    }
    operations
}

fn is_refusal(status: &str) -> bool {
    status.starts_with(['4', '5'])
}

/// Says that a part is another now.
fn change(place: &str, part: &str, old: &Value, new: &Value) -> Option<String> {
    (old != new).then(|| format!("{place}: {part} was {old}, is {new}"))
}

/// What a reference leads to; anything else itself.
fn follow<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    match value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) {
        Some(pointer) => document.pointer(pointer).unwrap_or(&Value::Null),
        None => value,
    }
}

fn map(value: &Value) -> &Map<String, Value> {
    static NONE: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
    value.as_object().unwrap_or(&NONE)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A document with what the shop's contracts are made of: a list that anybody reads, and a thing that is made with a
    /// token and a key.
    fn document() -> Value {
        serde_yaml_ng::from_str(
            r##"
            security: [{ token: [things:write] }]
            paths:
              /things:
                get:
                  operationId: things-list
                  security: []
                  parameters:
                    - { name: limit, in: query, schema: { type: integer, minimum: 1, maximum: 100, default: 20 } }
                    - { name: sort, in: query, schema: { type: string, enum: [name, age] } }
                  responses:
                    "200":
                      headers:
                        ETag: { required: true, schema: { type: string, pattern: '^".+"$' } }
                        Link: { schema: { type: string } }
                        Cache-Control: { schema: { type: string, enum: [no-store], x-open: true } }
                      content:
                        application/json:
                          schema: { type: array, maxItems: 100, items: { $ref: "#/components/schemas/Thing" } }
                post:
                  operationId: things-create
                  parameters:
                    - { $ref: "#/components/parameters/Key" }
                  requestBody:
                    content:
                      application/json: { schema: { $ref: "#/components/schemas/NewThing" } }
                      application/merge-patch+json: { schema: { type: object } }
                  responses:
                    "201":
                      content:
                        application/json: { schema: { $ref: "#/components/schemas/Thing" } }
                    "409":
                      content:
                        application/problem+json:
                          schema:
                            oneOf:
                              - $ref: "#/components/schemas/Problem"
                                required: [lines]
                                properties:
                                  code: { const: out_of_stock }
                                  lines: { type: array, items: { type: string } }
                              - $ref: "#/components/schemas/Problem"
                                properties:
                                  code: { enum: [name_taken, price_changed] }
            components:
              securitySchemes:
                token: { type: http, scheme: bearer }
                oauth: { type: oauth2, flows: { clientCredentials: { tokenUrl: token, scopes: { "things:write": all } } } }
              parameters:
                Key: { name: Key, in: header, schema: { type: string, maxLength: 255 } }
              schemas:
                Problem:
                  type: object
                  required: [status, code]
                  unevaluatedProperties: false
                  properties: { status: { type: integer }, code: { type: string } }
                Name: { type: string, minLength: 1, maxLength: 200, pattern: '\S' }
                NewThing:
                  type: object
                  required: [name]
                  additionalProperties: false
                  properties:
                    name: { $ref: "#/components/schemas/Name" }
                    note: { oneOf: [{ type: string, maxLength: 9 }, { type: "null" }] }
                    size: { type: [integer, "null"], minimum: 0, maximum: 9 }
                    kind: { type: string, enum: [soft, hard], default: soft }
                    tags: { type: object, propertyNames: { maxLength: 50 }, additionalProperties: { type: string, maxLength: 50 } }
                Thing:
                  $ref: "#/components/schemas/NewThing"
                  required: [id, kind]
                  properties:
                    id: { type: string, format: uuid }
                    state: { type: string, enum: [new, used] }
                    reason: { type: string, enum: [gift, find], x-open: true }
                    parent: { $ref: "#/components/schemas/Thing" }
                    weight: { type: number }
            "##,
        )
        .expect("valid YAML")
    }

    const LIST: &str = "/paths/~1things/get";
    const CREATE: &str = "/paths/~1things/post";
    const NEW: &str = "/components/schemas/NewThing";
    const THING: &str = "/components/schemas/Thing";
    const CONFLICT: &str =
        "/paths/~1things/post/responses/409/content/application~1problem+json/schema/oneOf";

    /// The document with what stands at a place replaced or added; taken out where it is null.
    fn changed(place: &str, change: Value) -> Value {
        let mut document = document();
        let (parent, name) = place.rsplit_once('/').expect("a pointer");
        let name = name.replace("~1", "/");
        match document.pointer_mut(parent).unwrap_or_else(|| panic!("there is no {parent}")) {
            Value::Object(parent) if change.is_null() => {
                parent.remove(&name).unwrap_or_else(|| panic!("there is no {place}"));
            }
            Value::Array(parent) if change.is_null() => {
                parent.remove(name.parse().expect("an index"));
            }
            Value::Array(parent) => parent.push(change),
            parent => parent[name] = change,
        }
        document
    }

    fn yaml(text: &str) -> Value {
        serde_yaml_ng::from_str(text).expect("valid YAML")
    }

    #[test]
    fn every_kind_of_break_is_found() {
        for (place, change, expected) in BREAKS {
            let place = place.concat();
            let found = breaks(&document(), &changed(&place, yaml(change)));
            assert!(
                found.iter().any(|it| it == expected),
                "{place} {change}: {expected:?} is not in {found:#?}"
            );
        }
    }

    #[test]
    fn no_compatible_change_is_taken_for_a_break() {
        for (place, change) in ADDITIONS {
            let place = place.concat();
            let found = breaks(&document(), &changed(&place, yaml(change)));
            assert!(found.is_empty(), "{place} {change}: {found:#?}");
        }
    }

    #[test]
    fn a_document_does_not_break_itself() {
        assert!(breaks(&document(), &document()).is_empty());
    }

    /// A place, what is put there, and what has to be said of it.
    const BREAKS: &[(&[&str], &str, &str)] = &[
        // Operations.
        (&["/paths/~1things"], "~", "GET /things is gone"),
        (&[CREATE], "~", "POST /things is gone"),
        (&[LIST, "/operationId"], "list", "GET /things: operationId was \"things-list\", is \"list\""),
        // Who may call.
        (&[LIST, "/security"], "[{ token: [] }]", "GET /things: {} is no longer enough to call it"),
        (
            &[CREATE, "/security"],
            "[{ token: [things:write, admin] }]",
            "POST /things: {\"token\":[\"things:write\"]} is no longer enough to call it",
        ),
        (
            &[CREATE, "/security"],
            "[{ token: [things:write], key: [] }]",
            "POST /things: {\"token\":[\"things:write\"]} is no longer enough to call it",
        ),
        (
            &["/security"],
            "[{ token: [admin] }]",
            "POST /things: {\"token\":[\"things:write\"]} is no longer enough to call it",
        ),
        (&["/components/securitySchemes/token"], "~", "security scheme token is gone"),
        (
            &["/components/securitySchemes/token/scheme"],
            "basic",
            "security scheme token: scheme was \"bearer\", is \"basic\"",
        ),
        (
            &["/components/securitySchemes/oauth/flows/clientCredentials/scopes/things:write"],
            "~",
            "security scheme oauth, flow clientCredentials: the scope things:write is gone",
        ),
        (
            &["/components/securitySchemes/oauth/flows/clientCredentials/tokenUrl"],
            "elsewhere",
            "security scheme oauth, flow clientCredentials: tokenUrl was \"token\", is \"elsewhere\"",
        ),
        // Parameters.
        (&[LIST, "/parameters/1"], "~", "GET /things: parameter sort (query) is gone"),
        (
            &[LIST, "/parameters/2"],
            "{ name: q, in: query, required: true, schema: { type: string } }",
            "GET /things: parameter q (query) is new and required",
        ),
        (&[LIST, "/parameters/0/required"], "true", "GET /things: parameter limit (query) is required now"),
        (
            &["/components/parameters/Key/required"],
            "true",
            "POST /things: parameter key (header) is required now",
        ),
        (&[LIST, "/parameters/0/in"], "header", "GET /things: parameter limit (query) is gone"),
        (
            &[LIST, "/parameters/0/style"],
            "deepObject",
            "GET /things: parameter limit (query): style was null, is \"deepObject\"",
        ),
        (
            &[LIST, "/parameters/0/schema/maximum"],
            "50",
            "GET /things: parameter limit (query): maximum was 100, is 50",
        ),
        (
            &[LIST, "/parameters/0/schema/default"],
            "50",
            "GET /things: parameter limit (query): the default was 20, is 50",
        ),
        (
            &[LIST, "/parameters/0/schema/type"],
            "string",
            "GET /things: parameter limit (query) can no longer be of type integer",
        ),
        (
            &[LIST, "/parameters/1/schema/enum"],
            "[name]",
            "GET /things: parameter sort (query) can no longer be \"age\"",
        ),
        // Bodies.
        (&[CREATE, "/requestBody"], "~", "POST /things: body is gone"),
        (&[CREATE, "/requestBody/required"], "true", "POST /things: body is required now"),
        (&[LIST, "/requestBody"], "{ required: true }", "GET /things: body is required now"),
        (
            &[CREATE, "/requestBody/content/application~1merge-patch+json"],
            "~",
            "POST /things: body: the media type application/merge-patch+json is gone",
        ),
        (&[NEW, "/required"], "[name, size]", "POST /things: body /size is required now"),
        (&[NEW, "/properties/size"], "~", "POST /things: body /size is gone"),
        (
            &[NEW, "/properties/name"],
            "{ type: string, minLength: 2 }",
            "POST /things: body /name: minLength was 1, is 2",
        ),
        (
            &["/components/schemas/Name/maxLength"],
            "100",
            "POST /things: body /name: maxLength was 200, is 100",
        ),
        (
            &["/components/schemas/Name/pattern"],
            "a",
            "POST /things: body /name: pattern was \"\\\\S\", is \"a\"",
        ),
        (
            &["/components/schemas/Name/format"],
            "email",
            "POST /things: body /name: format was absent, is \"email\"",
        ),
        (
            &["/components/schemas/Name/not"],
            "{ const: x }",
            "POST /things: body /name: not was absent, is {\"const\":\"x\"}",
        ),
        (&[NEW, "/properties/size/minimum"], "1", "POST /things: body /size: minimum was 0, is 1"),
        (&[NEW, "/properties/size/multipleOf"], "3", "POST /things: body /size: multipleOf was absent, is 3"),
        (
            &[NEW, "/properties/size/type"],
            "integer",
            "POST /things: body /size can no longer be of type null",
        ),
        (&[NEW, "/properties/note/oneOf/1"], "~", "POST /things: body /note can no longer be of type null"),
        (
            &[NEW, "/properties/note/oneOf/0/maxLength"],
            "8",
            "POST /things: body /note: maxLength was 9, is 8",
        ),
        (&[NEW, "/properties/kind/enum"], "[soft]", "POST /things: body /kind can no longer be \"hard\""),
        (&[NEW, "/properties/kind/const"], "soft", "POST /things: body /kind can no longer be \"hard\""),
        (
            &[NEW, "/properties/kind/default"],
            "~",
            "POST /things: body /kind: the default was \"soft\", is absent",
        ),
        (
            &[NEW, "/properties/name/enum"],
            "[a, b]",
            "POST /things: body /name can no longer be anything but those listed",
        ),
        (
            &[NEW, "/properties/tags/maxProperties"],
            "3",
            "POST /things: body /tags: maxProperties was absent, is 3",
        ),
        (
            &[NEW, "/properties/tags/propertyNames/maxLength"],
            "9",
            "POST /things: body /tags/(name): maxLength was 50, is 9",
        ),
        (
            &[NEW, "/properties/tags/additionalProperties/maxLength"],
            "9",
            "POST /things: body /tags/*: maxLength was 50, is 9",
        ),
        (&[NEW, "/properties/tags/additionalProperties"], "false", "POST /things: body /tags/* is gone"),
        (
            &[CREATE, "/requestBody/content/application~1merge-patch+json/schema/additionalProperties"],
            "false",
            "POST /things: body: fields that are not listed are refused now",
        ),
        // Answers.
        (&[CREATE, "/responses/201"], "~", "POST /things: answer 201 is gone"),
        (&[CREATE, "/responses/409"], "~", "POST /things: answer 409 is gone"),
        (&[CREATE, "/responses/202"], "{}", "POST /things: answer 202 is new, which no client expects"),
        (&[CREATE, "/responses/303"], "{}", "POST /things: answer 303 is new, which no client expects"),
        (
            &[CREATE, "/responses/201/content/application~1json"],
            "~",
            "POST /things: answer 201: the media type application/json is gone",
        ),
        (&[LIST, "/responses/200/headers/Link"], "~", "GET /things: answer 200, header Link is gone"),
        (
            &[LIST, "/responses/200/headers/ETag/required"],
            "false",
            "GET /things: answer 200, header ETag is no longer always there",
        ),
        (
            &[LIST, "/responses/200/headers/ETag/schema/pattern"],
            "~",
            "GET /things: answer 200, header ETag: pattern was \"^\\\".+\\\"$\", is absent",
        ),
        (&[THING, "/properties/state"], "~", "GET /things: answer 200 /*/state is gone"),
        (&[THING, "/properties/id"], "~", "POST /things: answer 201 /id is gone"),
        (&[THING, "/required"], "[id]", "GET /things: answer 200 /*/kind is no longer always there"),
        (
            &[THING, "/properties/id/format"],
            "uri",
            "POST /things: answer 201 /id: format was \"uuid\", is \"uri\"",
        ),
        (
            &[THING, "/properties/id/type"],
            "integer",
            "POST /things: answer 201 /id may now be of type integer",
        ),
        (
            &[THING, "/properties/id/type"],
            "[string, 'null']",
            "POST /things: answer 201 /id may now be of type null",
        ),
        (&[THING, "/properties/state/enum/2"], "lost", "POST /things: answer 201 /state may now be \"lost\""),
        (
            &[THING, "/properties/state/enum"],
            "~",
            "POST /things: answer 201 /state may now be anything but those listed",
        ),
        (
            &["/components/schemas/Name/maxLength"],
            "300",
            "POST /things: answer 201 /name: maxLength was 200, is 300",
        ),
        (
            &["/components/schemas/Name/minLength"],
            "~",
            "POST /things: answer 201 /name: minLength was 1, is absent",
        ),
        (
            &[NEW, "/properties/size/type"],
            "[number, 'null']",
            "POST /things: answer 201 /size may now be of type number",
        ),
        (
            &[NEW, "/properties/note/oneOf/2"],
            "{ type: boolean }",
            "POST /things: answer 201 /note may now be of type boolean",
        ),
        (
            &[LIST, "/responses/200/content/application~1json/schema/maxItems"],
            "200",
            "GET /things: answer 200: maxItems was 100, is 200",
        ),
        (
            &[NEW, "/properties/tags/propertyNames"],
            "~",
            "GET /things: answer 200 /*/parent/tags/(name): maxLength was 50, is absent",
        ),
        (
            &[THING, "/properties/parent"],
            "{ type: string }",
            "POST /things: answer 201 /parent may now be of type string",
        ),
        // Refusals.
        (
            &[CONFLICT, "/1/properties/code/enum"],
            "[name_taken]",
            "POST /things: answer 409: the code price_changed is gone",
        ),
        (&[CONFLICT, "/0"], "~", "POST /things: answer 409: the code out_of_stock is gone"),
        (&[CONFLICT, "/0/properties/lines"], "~", "POST /things: answer 409 /lines is gone"),
        (&[CONFLICT, "/0/required"], "~", "POST /things: answer 409 /lines is no longer always there"),
        (&["/components/schemas/Problem/properties/status"], "~", "POST /things: answer 409 /status is gone"),
    ];

    /// A place, and what is put there.
    const ADDITIONS: &[(&[&str], &str)] = &[
        (&["/paths/~1others"], "{ get: { operationId: others-list, responses: {} } }"),
        (&["/paths/~1things/delete"], "{ operationId: things-delete, responses: {} }"),
        (&[LIST, "/summary"], "In other words"),
        (&[LIST, "/deprecated"], "true"),
        // Who may call.
        (&[CREATE, "/security"], "[{ token: [things:write] }, { key: [] }]"),
        (&[CREATE, "/security"], "[{ token: [] }]"),
        (&[CREATE, "/security"], "[]"),
        (&["/components/securitySchemes/key"], "{ type: apiKey, in: header, name: X-Api-Key }"),
        (&["/components/securitySchemes/oauth/flows/clientCredentials/scopes/more"], "more"),
        // Inputs.
        (&[LIST, "/parameters/2"], "{ name: q, in: query, schema: { type: string } }"),
        (&[LIST, "/parameters/0/schema/maximum"], "200"),
        (&[LIST, "/parameters/0/schema/minimum"], "~"),
        (&[LIST, "/parameters/1/schema/enum/2"], "size"),
        (&[LIST, "/parameters/1/schema/enum"], "~"),
        (&[LIST, "/parameters/1/schema/default"], "name"),
        (&["/components/parameters/Key/schema/maxLength"], "300"),
        (&["/components/parameters/Key/name"], "KEY"),
        (&[LIST, "/requestBody"], "{ content: { application/json: { schema: { type: object } } } }"),
        (&[CREATE, "/requestBody/content/application~1xml"], "{ schema: { type: object } }"),
        (&[NEW, "/properties/colour"], "{ type: string }"),
        (&[CREATE, "/requestBody/content/application~1merge-patch+json/schema/type"], "[object, string]"),
        // Answers.
        (&[LIST, "/responses/304"], "{}"),
        (&[LIST, "/responses/404"], "{}"),
        (&[LIST, "/responses/503"], "{}"),
        (&[LIST, "/responses/200/headers/Sunset"], "{ schema: { type: string } }"),
        (&[LIST, "/responses/200/headers/Link/required"], "true"),
        (&[LIST, "/responses/200/headers/Cache-Control/schema/enum/1"], "public"),
        (&[LIST, "/responses/200/content/text~1csv"], "{ schema: { type: string } }"),
        (&[LIST, "/responses/200/content/application~1json/schema/maxItems"], "50"),
        (&[THING, "/properties/colour"], "{ type: string }"),
        (&[THING, "/required"], "[id, kind, state, colour]"),
        (&[THING, "/properties/state/enum"], "[new]"),
        (&[THING, "/properties/state/const"], "new"),
        (&[THING, "/properties/reason/enum/2"], "theft"),
        (&[THING, "/properties/reason/enum"], "~"),
        (&[THING, "/properties/weight/type"], "integer"),
        (&[THING, "/properties/weight/minimum"], "0"),
        (&[THING, "/properties/id/description"], "In other words"),
        // Other words for the same.
        (&[NEW, "/properties/note"], "{ type: [string, 'null'], maxLength: 9 }"),
        (&[NEW, "/properties/note"], "{ anyOf: [{ type: 'null' }, { type: string, maxLength: 9 }] }"),
        (
            &[NEW, "/properties/size"],
            "{ oneOf: [{ type: integer, minimum: 0, maximum: 9 }, { type: 'null' }] }",
        ),
        (&[NEW, "/properties/name"], "{ allOf: [{ $ref: '#/components/schemas/Name' }, { minLength: 1 }] }"),
        (&[NEW, "/properties/name"], "{ type: string, minLength: 1, maxLength: 200, pattern: '\\S' }"),
        (&[NEW, "/properties/kind"], "{ enum: [hard, soft], default: soft }"),
        // Refusals.
        (&[CONFLICT, "/1/properties/code/enum/2"], "archived"),
        (&[CONFLICT, "/2"], "{ type: object, required: [code], properties: { code: { const: other } } }"),
        (&[CONFLICT, "/0/properties/hint"], "{ type: string }"),
        (&["/components/schemas/Problem/properties/help"], "{ type: string }"),
    ];
}
