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
const CONFLICT: &str = "/paths/~1things/post/responses/409/content/application~1problem+json/schema/oneOf";

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
        assert!(found.iter().any(|it| it == expected), "{place} {change}: {expected:?} is not in {found:#?}");
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
    (&["/components/schemas/Name/maxLength"], "100", "POST /things: body /name: maxLength was 200, is 100"),
    (&["/components/schemas/Name/pattern"], "a", "POST /things: body /name: pattern was \"\\\\S\", is \"a\""),
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
    (&[NEW, "/properties/size/type"], "integer", "POST /things: body /size can no longer be of type null"),
    (&[NEW, "/properties/note/oneOf/1"], "~", "POST /things: body /note can no longer be of type null"),
    (&[NEW, "/properties/note/oneOf/0/maxLength"], "8", "POST /things: body /note: maxLength was 9, is 8"),
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
    (&[THING, "/properties/id/type"], "integer", "POST /things: answer 201 /id may now be of type integer"),
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
    (&[NEW, "/properties/size"], "{ oneOf: [{ type: integer, minimum: 0, maximum: 9 }, { type: 'null' }] }"),
    (&[NEW, "/properties/name"], "{ allOf: [{ $ref: '#/components/schemas/Name' }, { minLength: 1 }] }"),
    (&[NEW, "/properties/name"], "{ type: string, minLength: 1, maxLength: 200, pattern: '\\S' }"),
    (&[NEW, "/properties/kind"], "{ enum: [hard, soft], default: soft }"),
    // Refusals.
    (&[CONFLICT, "/1/properties/code/enum/2"], "archived"),
    (&[CONFLICT, "/2"], "{ type: object, required: [code], properties: { code: { const: other } } }"),
    (&[CONFLICT, "/0/properties/hint"], "{ type: string }"),
    (&["/components/schemas/Problem/properties/help"], "{ type: string }"),
];
