//! Finds breaking changes between two OpenAPI documents. docs/versioning.md explains the rules.
//!
//! Inputs may only become wider: requests that were valid stay valid. Responses may only become narrower: clients meet only
//! values that they expect. New fields in responses are allowed.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter, ptr,
    sync::LazyLock,
};

use serde_json::{Map, Value};

/// Returns the breaking changes, each as a sentence with its place in front.
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

/// The direction in which a schema's values travel.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Input,
    Answer,
    /// A problem, identified by a code: new ones with new fields may appear.
    Refusal,
}

/// The schemas being compared. A recursive schema is compared once.
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

    /// Compares the security of an operation: every sufficient credential must stay sufficient.
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

    /// Compares values that match all of some schemas with values that must match all of others.
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

/// Field that identifies a problem (RFC 9457) or an OAuth 2.0 error.
const CODES: [&str; 2] = ["code", "error"];

/// Returns the direction of what is inside.
fn inner(way: Way) -> Way {
    if way == Way::Input { Way::Input } else { Way::Answer }
}

/// Returns a nested place: `body /price`, `body /price/amount`.
fn under(place: &str, part: &str) -> String {
    let is_pointer = place.rsplit(' ').next().is_some_and(|last| last.starts_with('/'));
    // An operation's own path is none: `GET /products`.
    if is_pointer && place.contains(": ") { format!("{place}{part}") } else { format!("{place} {part}") }
}

/// Values of one type that a schema accepts.
#[derive(Clone)]
struct Shape<'d> {
    kind: &'static str,
    values: Option<Vec<&'d Value>>,
    limits: BTreeMap<&'d str, Limit>,
    fields: BTreeMap<&'d str, Vec<&'d Value>>,
    required: BTreeSet<&'d str>,
    /// True if no other fields are allowed.
    is_closed: bool,
    /// Schemas of other fields.
    further: Vec<&'d Value>,
    names: Vec<&'d Value>,
    items: Vec<&'d Value>,
    default: Option<&'d Value>,
    /// True if new values may appear (`x-open`).
    is_open: bool,
    code: Option<String>,
}

#[derive(Clone, PartialEq)]
enum Limit {
    AtLeast(f64),
    AtMost(f64),
    /// A limit without an order, such as a pattern or a format. All of them must hold.
    Same(BTreeSet<String>),
}

const KINDS: [&str; 7] = ["null", "boolean", "object", "array", "number", "integer", "string"];
/// Keywords that do not constrain values.
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

/// Returns the shapes of the values that fit all of the schemas.
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
    /// Adds a keyword. Returns `None` if no value of this type is left.
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

    /// Returns the values that are possible here, but not with `limits`.
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

    /// Returns whether it keeps a limit of another shape.
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

/// Splits each alternative by the codes that it may have.
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

/// Returns whether a keyword constrains values of a type.
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

/// Returns the operations by method and path.
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

/// Reports a changed part.
fn change(place: &str, part: &str, old: &Value, new: &Value) -> Option<String> {
    (old != new).then(|| format!("{place}: {part} was {old}, is {new}"))
}

/// Follows a reference. Returns any other value unchanged.
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
mod tests;
