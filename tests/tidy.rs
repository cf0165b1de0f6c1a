//! Tests of the repository, one for each rule of `tidy`. Each test applies its rule to the repository, then breaks the rule
//! to see that it is detected.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::fs;

use serde_json::Value;
use shared::auth::Scope;
use shop::new;
use tempfile::TempDir;
use tidy::{self, Files, Repository, rules};

/// A rule, and a repository that satisfies it.
struct Rule {
    rule: rules::Rule,
    files: Files,
}

fn holds(rule: rules::Rule) -> Rule {
    let files = tidy::read(&template::repository()).unwrap();
    let findings = rule(&Repository::new(files.clone()).unwrap());
    assert!(findings.is_empty(), "\n  {}\n", findings.join("\n  "));
    Rule { rule, files }
}

impl Rule {
    /// Checks the finding after `text` is replaced by `fault` in a file.
    fn finds(self, expected: &str, path: &str, text: &str, fault: &str) -> Self {
        let mut files = self.files.clone();
        let file = files.get_mut(path).unwrap();
        assert!(file.contains(text), "{path} no longer has {text:?}: choose another place for the fault");
        *file = file.replacen(text, fault, 1);
        self.says(expected, files)
    }

    fn says(self, expected: &str, files: Files) -> Self {
        let findings = (self.rule)(&Repository::new(files).unwrap());
        let found = findings.iter().any(|finding| finding.contains(expected));
        assert!(found, "{expected:?} should be found, but there was only {findings:?}");
        self
    }
}

#[test]
fn what_is_generated_is_fresh() {
    holds(rules::generated_files)
        .finds("openapi.json is stale: run `cargo shop tidy`", "openapi.json", "List products", "List goods")
        .finds("openapi.json is stale", "functions/products-list/openapi.yaml", "List products", "List goods")
        .finds("CargoLambda.toml is stale", "CargoLambda.toml", "products-get", "products-got")
        .finds("CargoLambda.toml is stale", "template.yaml", "Api, Method: PATCH", "Api, Method: PUT")
        .finds("docs/configuration.md is stale", "docs/configuration.md", "| `unknown` |", "| `none` |")
        .finds("docs/configuration.md is stale", "template.yaml", "BUILD_ID: !Ref", "BUILT: !Ref");
}

#[test]
fn template_folders_packages_and_contracts_have_the_same_names() {
    let template = "template.yaml";
    let manifest = "functions/products-get/Cargo.toml";
    let rule = holds(rules::packages)
        .finds("call GetProduct ProductsGet", template, "  ProductsGet:\n", "  GetProduct:\n")
        .finds(
            "must have CodeUri target/lambda/products-get",
            template,
            "target/lambda/products-get",
            "products-get",
        )
        .finds("must have FunctionName", template, "AWS::StackName}-products-get", "AWS::StackName}-get")
        .finds("if, and only if, ProductsList", template, "Http: { Type: Api,", "Http: { Type: HttpApi,")
        .finds("must have an openapi-send.yaml if", template, "Submit: { Type", "Send: { Type")
        .finds("must have an openapi-submit.yaml if", template, "Submit: { Type", "Send: { Type")
        .finds("call package and [[bin]] products-get", manifest, "products-get", "get");

    let renamed = rule
        .files
        .iter()
        .map(|(path, text)| (path.replace("products-get/", "products-fetch/"), text.clone()));
    let renamed: Files = renamed.collect();
    rule.says("functions/products-get is missing", renamed.clone())
        .says("no function for functions/products-fetch", renamed);
}

#[test]
fn functions_depend_on_the_domain_crate_alone() {
    let manifest = "functions/products-get/Cargo.toml";
    holds(rules::dependencies)
        .finds("leave out aws-sdk-dynamodb", manifest, "shared.", "aws-sdk-dynamodb.")
        .finds("leave out [features]", manifest, "[lints]", "[features]");
}

#[test]
fn variables_are_set_once_and_known_on_this_machine() {
    let template = "template.yaml";
    holds(rules::variables)
        .finds("HealthGet has PUBLIC_URL, which Globals", template, "BUILD_ID:", "PUBLIC_URL:")
        .finds("local/env must set BUILT,", template, "BUILD_ID: ", "BUILT: ")
        .finds("local/env must set KEYS_TABLE", "local/env", "KEYS_TABLE", "KEYS");
}

#[test]
fn functions_have_just_the_rights_that_they_need() {
    let template = "template.yaml";
    let keys = r#"Resource: !Sub "${KeysTable.Arn}/index/verifiers""#;
    let secret = "Resource: !Ref HmacSecret";
    holds(rules::rights)
        .finds("name the actions one by one", template, "dynamodb:GetItem", "dynamodb:*")
        .finds("has rights on *", template, keys, "Resource: \"*\"")
        .finds("no right to any action on KeysTable", template, keys, "Resource: !GetAtt ProductsTable.Arn")
        .finds("no right to any action on HmacSecret", template, secret, "Resource: !Ref SigningSecret")
        .finds("has rights on SigningSecret, which none", template, secret, "Resource: !Ref SigningSecret")
        .finds("has rights on KeysTable, which none", template, "KEYS_TABLE: !Ref KeysTable", "KEYS: here")
        .finds(
            "no right to any action on EventBus",
            template,
            "Resource: !GetAtt EventBus.Arn",
            "Resource: !GetAtt EventArchive.Arn",
        )
        .finds(
            "MailSend has rights on OrdersTable, which none",
            template,
            "Stream: !GetAtt OrdersTable.StreamArn",
            "Stream: !GetAtt KeysTable.StreamArn",
        )
        .finds("the right to ses:SendEmail if", template, "[ses:SendEmail]", "[ses:SendRawEmail]")
        .finds("the right to ses:SendEmail if", template, "MAIL_FROM:", "MAIL_TO:")
        .finds(
            "write out the statements",
            template,
            "- Statement:",
            "- DynamoDBCrudPolicy: {}\n        - Statement:",
        );
}

#[test]
fn functions_are_called_and_not_held_up() {
    let template = "template.yaml";
    let permission = "FunctionName: !Ref KeysRotate.Alias";
    holds(rules::triggers)
        .finds("nothing calls ProductsList", template, "      Events: {", "      Event: {")
        .finds(
            "needs a permission to call KeysRotate.Alias",
            template,
            permission,
            "FunctionName: KeysRotate",
        )
        .finds(
            "HmacSecret needs a rotation schedule",
            template,
            "SecretId: !Ref HmacSecret",
            "SecretId: !Ref SigningSecret",
        )
        .finds("needs BisectBatchOnFunctionError", template, "BisectBatchOnFunctionError: true", "A: b")
        .finds("needs an OnFailure destination", template, "OnFailure:", "OnSuccess:")
        .finds("needs MaximumRetryAttempts", template, "MaximumRetryAttempts: 5", "MaximumRetryAttempts: -1")
        .finds("needs FunctionResponseTypes", template, "[ReportBatchItemFailures]", "[]");
}

#[test]
fn functions_have_limits_logs_and_alarms() {
    let template = "template.yaml";
    let alarms = "Alarms: [!Ref ProductsGetAlarm]";
    holds(rules::operation)
        .finds("the limits on time must rise", template, "Timeout: 15\n", "Timeout: 30\n")
        .finds("must have Architectures", template, "[!Ref Architecture]", "[arm64]")
        .finds("UsersRegister must have MemorySize 1769", template, "MemorySize: 1769", "MemorySize: 512")
        .finds(
            "UsersVerifyEmail must have MemorySize",
            "functions/users-verify-email/src/main.rs",
            "accounts.verify(",
            "accounts.other(",
        )
        .finds("a LogGroup that has RetentionInDays", template, "!Ref Logs", "!Ref DeadLetterQueue")
        .finds("ProductsGet needs an alarm", template, alarms, "Alarms: []")
        .finds("the alarm of ProductsGet must watch", template, alarms, "Alarms: [!Ref ProductsListAlarm]")
        .finds(
            "must watch 5XXError and Latency of GET /products",
            template,
            "MetricName: 5XXError",
            "MetricName: 4XXError",
        )
        .finds(
            "the alarm of OauthAuthorize must watch 5XXError and Latency of POST /oauth/authorize",
            template,
            ", !Ref OauthAuthorizeSubmitAlarm]",
            "]",
        );
}

#[test]
fn every_alarm_is_heard_and_has_a_chapter_in_the_runbook() {
    let (template, runbook) = ("template.yaml", "docs/operating.md");
    holds(rules::alarms)
        .finds("KeysRotateAlarm needs AlarmActions", template, "AlarmActions:", "InsufficientDataActions:")
        .finds("KeysRotateAlarm needs AlarmActions", template, "[!Ref AlarmTopic]", "[!Ref DeadLetterQueue]")
        .finds("ProductsListAlarm needs AlarmActions", template, "          OKActions:", "          Actions:")
        .finds(
            "DeadLetters's description must end",
            template,
            "#the-dead-letter-queue-has-messages",
            "#something",
        )
        .finds(
            "DeadLetters's description must end",
            runbook,
            "### The dead-letter queue has messages",
            "### Something",
        )
        .finds(
            "no alarm leads to #something:",
            runbook,
            "### The dead-letter queue has messages",
            "### Something",
        );
}

#[test]
fn what_costs_or_can_be_guessed_has_limits_of_its_own() {
    let template = "template.yaml";
    holds(rules::throttles)
        .finds("POST /sessions of SessionsCreate needs a limit", template, "/~1sessions", "/~1session")
        .finds("limits POST /session, where nothing answers", template, "/~1sessions", "/~1session")
        .finds(
            "POST /orders of OrdersCreate needs a limit",
            template,
            "ThrottlingBurstLimit: !Ref OrderBurst",
            "A: b",
        )
        .finds("must limit all other methods", template, "ResourcePath: /*", "ResourcePath: /health");
}

#[test]
fn the_stack_stays_below_the_limit_of_resources() {
    let topics: String = (0..100).map(|n| format!("  Topic{n}: {{ Type: AWS::SNS::Topic }}\n")).collect();
    holds(rules::resources).finds(
        "resources, of 430 at most",
        "template.yaml",
        "  Api:\n",
        &format!("{topics}  Api:\n"),
    );
}

#[test]
fn what_is_watched_is_emitted() {
    let template = "template.yaml";
    let (method, streams) =
        ("ProductsList: { Method: GET", "[ProductsAvailability, MailSend, EventsPublish]");
    let rule = holds(rules::metrics)
        .finds(
            "watches AWS/ApiGateway 5XXErrors by",
            template,
            "MetricName: 5XXError",
            "MetricName: 5XXErrors",
        )
        .finds("watches AWS/ApiGatewy 5XXError by", template, "AWS/ApiGateway", "AWS/ApiGatewy")
        .finds(
            "by [\"ApiName\", \"Method\", \"Phase\", \"Resource\"], which nothing emits",
            template,
            "{ Name: Stage, Value: v1 }",
            "{ Name: Phase, Value: v1 }",
        )
        .finds("of the Stage v2, which", template, "{ Name: Stage, Value: v1 }", "{ Name: Stage, Value: v2 }")
        .finds("of the Method PUT, which", template, method, "ProductsList: { Method: PUT")
        .finds(
            "DeadLetterQueue.Arn, which the template does not have",
            template,
            "DeadLetterQueue.QueueName",
            "DeadLetterQueue.Arn",
        )
        .finds(
            "of the FunctionName MailSent, which",
            template,
            streams,
            "[ProductsAvailability, MailSent, EventsPublish]",
        )
        .finds("of the Resource OrdersExpire:lively", template, "live]] }", "lively]] }")
        .finds(
            "nor the dashboard watches revenue",
            template,
            "MetricName=\\\"revenue\\\"",
            "MetricName=\\\"income\\\"",
        )
        .finds("nor the dashboard watches replays", template, "\"replays\"", "\"requests\"");

    // The functions' own, on alarms and on a dashboard.
    let watched = |alarm: &str, metrics: &str| {
        let mut files = rule.files.clone();
        let resources = format!(
            "Resources:\n  Own:\n    Type: AWS::CloudWatch::Alarm\n    Properties: {alarm}\n  Board:\n    Type: \
             AWS::CloudWatch::Dashboard\n    Properties:\n      DashboardBody: !Sub |\n        \
             {{\"widgets\": [{{\"properties\": {{\"metrics\": [{metrics}]}}}}]}}\n"
        );
        let text = files.get_mut(template).unwrap();
        *text = text.replacen("Resources:\n", &resources, 1);
        (rule.rule)(&Repository::new(files).unwrap())
    };
    let own = |name: &str| format!("{{ Namespace: !Ref AWS::StackName, MetricName: {name} }}");
    let search = |search: &str| format!(r#"[{{"expression": "SEARCH('{search}', 'Sum', 300)"}}]"#);
    let revenue = search(r#"{\"${AWS::StackName}\",currency} MetricName=\"revenue\""#);
    let each = r#"["AWS/Lambda", "Duration", "FunctionName", "${ProductsGet}", {"stat": "p99"}], ["...", "${OrdersPay}"]"#;
    let written_short = r#"["AWS/Lambda", "Errors", "FunctionName", "${MailSend}"], [".", "Throttles", ".", "."], ["...", {}]"#;
    let sound = format!("{revenue}, {each}, {written_short}");
    assert_eq!(watched(&own("oldest_unpaid"), &sound), [""; 0]);
    for (expected, alarm, metrics) in [
        ("Own watches AWS::StackName oldest_unpayed by []", own("oldest_unpayed"), sound.clone()),
        ("Own watches AWS::StackName revenue by []", own("revenue"), sound.clone()),
        ("Own watches AWS::StackName requests by []", own("requests"), sound.clone()),
        (
            "Own watches AWS/Lambda Faults by []",
            "{ Metrics: [{ MetricStat: { Metric: { Namespace: AWS/Lambda, MetricName: Faults } } }] }"
                .to_owned(),
            sound.clone(),
        ),
        (
            "Own searches without a MetricName",
            "{ Metrics: [{ Expression: \"SEARCH('{AWS/SQS,QueueName}', 'Sum')\" }] }".to_owned(),
            sound.clone(),
        ),
        (
            "Own asks by SELECT",
            "{ Metrics: [{ Expression: \"SELECT MAX(Errors)\" }] }".to_owned(),
            sound.clone(),
        ),
        (
            "Board watches AWS::StackName revenue by [\"coin\"]",
            own("replays"),
            revenue.replace("currency", "coin"),
        ),
        (
            "Board watches AWS::StackName income by [\"currency\"]",
            own("replays"),
            revenue.replace("revenue", "income"),
        ),
        (
            "Board watches Duration of the FunctionName OrdersBuy",
            own("replays"),
            each.replace("OrdersPay", "OrdersBuy"),
        ),
        (
            "Board watches Throttles of the FunctionName MailSent",
            own("replays"),
            written_short.replace("Send", "Sent"),
        ),
        ("the body of Board is no JSON", own("replays"), "[".to_owned()),
    ] {
        let findings = watched(&alarm, &metrics);
        assert!(findings.iter().any(|finding| finding.contains(expected)), "{expected:?}: {findings:?}");
    }
}

#[test]
fn contracts_agree_with_the_routes() {
    let contract = "functions/products-get/openapi.yaml";
    holds(rules::contracts)
        .finds("must have ApiKeyRequired", "template.yaml", "ApiKeyRequired: true", "ApiKeyRequired: false")
        .finds(
            "has the path parameters",
            "template.yaml",
            "Path: \"/products/{product_id}\" }",
            "Path: \"/products/{id}\" }",
        )
        .finds(
            "must have operationId products-get",
            contract,
            "operationId: products-get",
            "operationId: get",
        )
        .finds(
            "openapi-submit.yaml must have operationId oauth-authorize-submit",
            "functions/oauth-authorize/openapi-submit.yaml",
            "operationId: oauth-authorize-submit",
            "operationId: oauth-metadata",
        );
}

#[test]
fn contracts_leave_nothing_out() {
    let (get, create) = ("functions/products-get/openapi.yaml", "functions/products-create/openapi.yaml");
    let update = "functions/products-update/openapi.yaml";
    let common = "shared/openapi.yaml";
    holds(rules::contracts_are_complete)
        .finds("GET /products/{product_id} needs a summary", get, "summary:", "x-summary:")
        .finds(
            "GET /products/{product_id} needs an example of 200",
            get,
            "        example:",
            "        x-example:",
        )
        .finds(
            "POST /products needs an example of what it takes",
            create,
            "      examples:",
            "      x-examples:",
        )
        .finds(
            "POST /products needs an example of 409",
            create,
            "        example:\n          type",
            "        x-example:\n          type",
        )
        .finds("needs an example of product_id", common, "      example: prod_", "      x-example: prod_")
        .finds(
            "needs a description of limit",
            common,
            "description: Maximum number",
            "x-description: Maximum number",
        )
        .finds("GET /products/{product_id} needs the answer 404", get, "\"404\"", "\"410\"")
        .finds("GET /products/{product_id} needs the answer 304", get, "\"304\"", "\"300\"")
        .finds("GET /products/{product_id} needs the answer 503", get, "\"503\"", "\"502\"")
        .finds("POST /products needs the answer 401", create, "\"401\"", "\"407\"")
        .finds("POST /products needs the answer 415", create, "\"415\"", "\"416\"")
        .finds("PATCH /products/{product_id} needs the answer 428", update, "\"428\"", "\"427\"");
}

#[test]
fn contracts_say_what_the_code_asks_for() {
    let (create, update) =
        ("functions/products-create/openapi.yaml", "functions/products-update/openapi.yaml");
    holds(rules::contracts_match_code)
        .finds("main.rs asks for the scopes", create, "products:write", "products:read")
        .finds(
            "main.rs asks for the scopes",
            "functions/orders-get/openapi.yaml",
            "orders:own",
            "orders:read",
        )
        .finds(
            "must have the parameter Idempotency-Key",
            create,
            "parameters/IdempotencyKey",
            "parameters/Limit",
        )
        .finds("must have the parameter If-Match", update, "parameters/IfMatch", "parameters/IfNoneMatch")
        .finds("must have a requestBody", update, "requestBody:", "body:");
}

#[test]
fn references_between_contracts_lead_somewhere() {
    let contract = "functions/products-get/openapi.yaml";
    holds(rules::references)
        .finds("refers to #/components/schemas/Produkt", contract, "schemas/Product\"", "schemas/Produkt\"")
        .finds(
            "nothing refers to #/components/schemas/Wealth",
            "shared/openapi.yaml",
            "    Health:",
            "    Wealth:",
        );
}

#[test]
fn what_was_released_holds() {
    let (contract, shapes) = ("functions/products-get/openapi.yaml", "shared/openapi.yaml");
    let mut rule = holds(rules::released);
    rule.files.insert("docs/api/v1.json".to_owned(), rule.files["openapi.json"].clone());
    let mut unknown = rule.files.clone();
    unknown.insert("docs/api/v7.json".to_owned(), "{}".to_owned());
    rule = rule.says("docs/api/v7.json is of a version without a stage", unknown);
    let (sku, name) = (
        "        sku: { $ref: \"#/components/schemas/Sku\" }\n",
        "        name: { $ref: \"#/components/schemas/",
    );
    let beside = format!("{sku}{name}ProductName\" }}\n        category");
    let (route, required) =
        ("GET, Path: \"/products/{product_id}\" }", "required: [sku, name, category, price");
    for (expected, path, text, fault) in [
        (
            "v1 breaks: GET /products/{product_id} is gone",
            "template.yaml",
            route,
            "GET, Path: \"/goods/{product_id}\" }",
        ),
        ("v1 breaks: GET /products/{product_id}: answer 404 is gone", contract, "\"404\"", "\"410\""),
        ("{} is no longer enough to call it", contract, "security: []", "security: [{ accessToken: [] }]"),
        ("v1 breaks: GET /products: answer 200 /items/*/sku is gone", shapes, &*beside, &beside[sku.len()..]),
        ("POST /products: body /images is required now", shapes, required, &format!("{required}, images")),
        ("POST /products: body /name: maxLength was 200, is 100", shapes, "maxLength: 200", "maxLength: 100"),
        ("docs/api/v1.json is no JSON", "docs/api/v1.json", "{", ""),
    ] {
        rule = rule.finds(expected, path, text, fault);
    }
}

#[test]
fn a_release_keeps_the_contracts_and_refuses_to_break_the_last() {
    let copy = copy();
    let released = copy.path().join("docs/api/v1.json");
    if released.exists() {
        fs::remove_file(&released).unwrap();
    }

    assert_eq!(tidy::release(copy.path()).unwrap(), ["docs/api/v1.json"]);
    assert_eq!(fs::read(&released).unwrap(), fs::read(copy.path().join("openapi.json")).unwrap());
    assert!(tidy::release(copy.path()).unwrap().is_empty());

    let contract = copy.path().join("functions/products-get/openapi.yaml");
    let text = fs::read_to_string(&contract).unwrap();
    fs::write(&contract, text.replace("\"404\"", "\"410\"")).unwrap();
    let refused = tidy::release(copy.path()).unwrap_err().to_string();
    assert!(refused.contains("GET /products/{product_id}: answer 404 is gone"), "{refused}");
    assert_eq!(fs::read(&released).unwrap(), fs::read(copy.path().join("openapi.json")).unwrap());
}

#[test]
fn every_problem_code_is_documented() {
    let documentation = "docs/errors.md";
    holds(rules::problem_codes)
        .finds("must list sku_in_use", "shared/src/error.rs", "\"sku_taken\"", "\"sku_in_use\"")
        .finds("must list too_much", "shared/src/domain/validation.rs", "\"too_many\"", "\"too_much\"")
        .finds("must list bad 400", "template.yaml", "\"bad_request\"", "\"bad\"")
        .finds("must list sku_taken 409", documentation, "`sku_taken` | 409", "`sku_taken` | 400")
        .finds("nothing answers sku_gone", documentation, "`sku_taken`", "`sku_gone`");
}

#[test]
fn every_event_is_documented() {
    let (tables, schema) = ("docs/events/README.md", "docs/events/order.v1.json");
    holds(rules::events)
        .finds("must have order.gone if, and only if", schema, "\"order.erased\"", "\"order.gone\"")
        .finds("must have order.erased if, and only if", schema, "\"order.erased\"", "\"order.gone\"")
        .finds("must list order.gone, which", schema, "\"order.erased\"", "\"order.gone\"")
        .finds("lists order.gone, which no schema describes", tables, "`order.erased`", "`order.gone`")
        .finds("has order.paid, which", "docs/events/user.v1.json", "\"user.deleted\"", "\"order.paid\"");
}

#[test]
fn one_module_knows_each_service_and_the_domain_is_pure() {
    let (time, auth) = ("shared/src/domain/time.rs", "shared/src/auth/token.rs");
    holds(rules::layers)
        .finds("has now(), which does not belong in domain", time, "self.0.as_second()", "Self::now()")
        .finds(
            "has aws_sdk_dynamodb, which does not belong in auth",
            auth,
            "use ring::",
            "use aws_sdk_dynamodb::",
        )
        .finds(
            "has aws_sdk_sesv2, which does not belong in secrets",
            "shared/src/secrets.rs",
            "use aws_sdk_secretsmanager::",
            "use aws_sdk_sesv2::",
        );
}

#[test]
fn modules_use_only_what_stands_above_them() {
    let rule = holds(rules::order);
    let files = |changed: &str, text: &str| {
        let files = [
            (
                "x/src/lib.rs",
                "pub enum Above {}\nmod a;\nmod b;\npub use b::{Two, one::One};\npub enum Below {}",
            ),
            ("x/src/a.rs", ""),
            ("x/src/b/mod.rs", "mod one;\nuse crate::a;\npub struct Two;"),
            ("x/src/b/one.rs", "use crate::{Above, a::A as B};\npub struct One;"),
        ];
        let mut files: Files =
            files.map(|(path, text)| (path.to_owned(), text.to_owned())).into_iter().collect();
        files.insert(changed.to_owned(), text.to_owned());
        files
    };
    let found = |files| (rule.rule)(&Repository::new(files).unwrap());
    assert_eq!(
        found(files("x/src/a.rs", "use super::Above; #[cfg(test)] mod tests { use crate::b; }")),
        [""; 0]
    );
    for (text, expected) in [
        ("use crate::b::Two;", "x/src/a.rs uses crate::b, which stands below a in x/src/lib.rs"),
        ("use super::{Above, b as c};", "x/src/a.rs uses crate::b, which stands below a in x/src/lib.rs"),
        ("use crate::One;", "x/src/a.rs uses crate::b, which stands below a in x/src/lib.rs"),
        (
            "fn f() { super::Below::new() }",
            "x/src/a.rs uses crate::Below, which stands below a in x/src/lib.rs",
        ),
        ("fn f() -> crate::Two { g!(x) }", "x/src/a.rs uses crate::b, which stands below a in x/src/lib.rs"),
        ("fn f() { g!(x, crate::b::Two) }", "x/src/a.rs uses crate::b, which stands below a in x/src/lib.rs"),
    ] {
        assert_eq!(found(files("x/src/a.rs", text)), [expected], "{text}");
    }
    assert_eq!(
        found(files("x/src/b/one.rs", "use super::Two;")),
        ["x/src/b/one.rs uses crate::b::Two, which stands below one in x/src/b/mod.rs"]
    );
    assert_eq!(found(files("x/src/b/one.rs", "fn f() { crate::Below }")).len(), 1);
    assert!(found(files("x/src/a.rs", "fn fn"))[0].starts_with("x/src/a.rs is not valid Rust"));
}

#[test]
fn doc_comments_begin_with_a_verb_or_a_noun() {
    let rule = holds(rules::doc_comments);
    for (text, is_found) in [
        ("//! What it is\n", true),
        ("/// Returns\n/// what\n", false),
        ("    /// Whether it is\n    fn f();", true),
        ("/// Returns\n\n/// How\n", true),
        ("// What for\n/// Whatever\n", false),
    ] {
        let files = Files::from([("x/src/lib.rs".to_owned(), text.to_owned())]);
        let findings = (rule.rule)(&Repository::new(files).unwrap());
        assert_eq!(findings.len(), usize::from(is_found), "{text:?}: {findings:?}");
    }
}

#[test]
fn links_and_paths_in_documents_lead_somewhere() {
    let rule = holds(rules::links);
    let findings = |text: &str| {
        let documents =
            [("docs/a.md", text), ("docs/b.md", "# One `two`, three\n"), ("shared/src/x/y.rs", "")];
        let documents = documents.map(|(path, text)| (path.to_owned(), text.to_owned()));
        (rule.rule)(&Repository::new(Files::from(documents)).unwrap())
    };
    for sound in [
        "# Here\n[b](b.md), [b](b.md#one-two-three), [up](../docs/b.md), [here](#here), [web](https://shop.test/b.md)",
        "`shared/src/x/y.rs`, `shared/src/x/`, `x/y.rs`, `y.rs`, `shared/src/NAME/y.rs`, `local/.data`, `a/b`, `b.md#c`",
        "<a name=\"there\"></a>[there](#there), `/openapi.json`, `docs/api/v2.json`",
        "```\n`shared/src/z.rs`\n```\n\n    `shared/src/z.rs`\n",
    ] {
        assert_eq!(findings(sound), [""; 0], "{sound}");
    }
    for (text, expected) in [
        ("[b](c.md)", "docs/a.md links to c.md: there is no docs/c.md"),
        ("[b](b.md#two)", "docs/a.md links to b.md#two: there is no such heading"),
        ("[b](#two)", "docs/a.md links to #two: there is no such heading"),
        ("`shared/src/z.rs`", "docs/a.md names shared/src/z.rs, which is not in the repository"),
        ("| `shared/z/` |\n| --- |\n| b |", "docs/a.md names shared/z/, which is not in the repository"),
        ("`z.rs`", "docs/a.md names z.rs, which is not in the repository"),
    ] {
        assert_eq!(findings(text), [expected]);
    }
}

#[test]
fn nothing_is_left_for_later() {
    holds(rules::unfinished).finds(
        "finish it, or take it out",
        "template.yaml",
        "# ",
        concat!("# TO", "DO "),
    );
}

#[test]
fn every_example_is_valid() {
    let document: Value =
        serde_json::from_str(&fs::read_to_string(template::repository().join("openapi.json")).unwrap())
            .unwrap();
    let mut examples = 0;
    visit(&document, "", &mut |pointer, value| {
        let Some(schema) = value.get("schema") else { return };
        let many = value.get("examples").and_then(Value::as_object).into_iter().flatten();
        for example in
            value.get("example").into_iter().chain(many.filter_map(|(_, example)| example.get("value")))
        {
            // References are looked up from the root of what is validated.
            let mut schema = schema.clone();
            schema["components"] = document["components"].clone();
            let validator = jsonschema::draft202012::new(&schema).unwrap();
            let errors: Vec<String> = validator.iter_errors(example).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "the example at {pointer} is not what its schema says: {errors:?}");
            examples += 1;
        }
    });
    assert!(examples > 30, "only {examples} examples were found: does this test look at the right places?");
}

#[test]
fn every_example_of_an_event_is_valid() {
    let mut examples = 0;
    let files = tidy::read(&template::repository()).unwrap();
    let is_schema = |path: &str| path.starts_with("docs/events/") && path.ends_with(".json");
    for (path, text) in files.iter().filter(|(path, _)| is_schema(path)) {
        let schema: Value = serde_json::from_str(text).unwrap();
        jsonschema::draft202012::meta::validate(&schema).unwrap();
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        for example in schema["examples"].as_array().unwrap() {
            let errors: Vec<String> = validator.iter_errors(example).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "an example in {path} is not what its schema says: {errors:?}");
            examples += 1;
        }
    }
    assert!(examples > 3, "only {examples} examples were found: does this test look at the right places?");
}

fn visit(value: &Value, pointer: &str, seen: &mut impl FnMut(&str, &Value)) {
    seen(pointer, value);
    let fields = value.as_object().into_iter().flatten().map(|(name, field)| (name.clone(), field));
    let elements =
        value.as_array().into_iter().flatten().enumerate().map(|(at, element)| (at.to_string(), element));
    for (name, child) in fields.chain(elements) {
        visit(child, &format!("{pointer}/{name}"), seen);
    }
}

#[test]
fn writing_renews_what_is_stale_and_nothing_else() {
    let copy = copy();
    fs::write(copy.path().join("openapi.json"), "{}").unwrap();

    assert_eq!(tidy::write(copy.path()).unwrap(), ["openapi.json"]);
    assert!(tidy::write(copy.path()).unwrap().is_empty());
}

/// Returns the repository's files to change.
fn copy() -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for (path, text) in tidy::read(&template::repository()).unwrap() {
        let path = copy.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    copy
}

#[test]
fn what_holds_of_the_repository_holds_with_a_new_operation() {
    for (name, method, path, scope) in [
        ("samples-get", "GET", "/samples/{sample}", None),
        ("products-sample", "POST", "/products/{product_id}/sample", Some(Scope::ProductsWrite)),
        ("samples-delete", "DELETE", "/samples", Some(Scope::Account)),
    ] {
        let copy = copy();
        let operation = new::Operation { name, method, path, scope };

        let written = new::run(copy.path(), &operation).unwrap();

        for file in ["Cargo.toml", "openapi.yaml", "src/main.rs"] {
            assert!(written.contains(&format!("functions/{name}/{file}")), "{written:?}");
        }
        assert_eq!(tidy::findings(copy.path()).unwrap(), [""; 0], "{name}");
        let event = fs::read_to_string(copy.path().join("local/events").join(name).with_extension("json"));
        let event: Value = serde_json::from_str(&event.unwrap()).unwrap();
        assert_eq!((&event["resource"], &event["httpMethod"]), (&Value::from(path), &Value::from(method)));
        assert_eq!(event["headers"]["Authorization"].is_string(), scope.is_some());

        let again = new::run(copy.path(), &operation).unwrap_err().to_string();
        assert!(again.contains("exists: choose another name"), "{again}");
        let twin = new::Operation { name: "twins-get", ..operation };
        let twin = new::run(copy.path(), &twin).unwrap_err().to_string();
        assert!(twin.contains("has this method and path"), "{twin}");
    }
}

#[test]
fn a_new_operation_has_a_name_and_a_path() {
    let files = tidy::read(&template::repository()).unwrap();
    let refused = |name, path| {
        let operation = new::Operation { name, method: "GET", path, scope: None };
        new::files(&files, &operation).unwrap_err().to_string()
    };
    for name in ["categories", "Categories-get", "categories_get", "categories-", "-get", "../x-get"] {
        assert!(refused(name, "/categories").contains("is not a valid name"), "{name}");
    }
    for path in ["categories", "/a\"b", "/a b", ""] {
        assert!(refused("categories-get", path).contains("is not a valid path"), "{path}");
    }
}

#[test]
fn a_broken_contract_or_manifest_is_named() {
    for (path, kind) in
        [("functions/products-get/openapi.yaml", "YAML"), ("functions/products-get/Cargo.toml", "TOML")]
    {
        let files = Files::from([(path.to_owned(), "a: [".to_owned())]);

        let error = Repository::new(files).err().unwrap().to_string();

        assert!(error.starts_with(&format!("{path} is not valid {kind}")), "{error}");
    }
}
