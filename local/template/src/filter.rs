//! Event filters of Lambda:
//! <https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html>.

use serde_json::Value;

/// A filter pattern of values, `prefix`, `anything-but` and `exists`.
#[derive(Clone, Debug)]
pub struct Filter(Value);

impl Filter {
    /// Parses a pattern.
    ///
    /// # Errors
    /// A message if the pattern is invalid or uses other operators.
    pub fn parse(pattern: &str) -> Result<Self, String> {
        let pattern =
            serde_json::from_str(pattern).map_err(|error| format!("a filter is no JSON: {error}"))?;
        check(&pattern)?;
        Ok(Self(pattern))
    }

    /// Returns whether the pattern matches a record.
    pub fn matches(&self, record: &Value) -> bool {
        matches(&self.0, Some(record))
    }
}

fn check(pattern: &Value) -> Result<(), String> {
    match pattern {
        Value::Object(fields) => fields.values().try_for_each(check),
        Value::Array(rules) => rules.iter().filter_map(Value::as_object).try_for_each(|rule| {
            let known = |name: &String| ["prefix", "anything-but", "exists"].contains(&name.as_str());
            match rule.keys().find(|name| !known(name)) {
                Some(name) => Err(format!("a filter's {name:?} is not known to cargo shop")),
                None => Ok(()),
            }
        }),
        _ => Err(format!("a filter has {pattern} where an object or a list must be")),
    }
}

fn matches(pattern: &Value, value: Option<&Value>) -> bool {
    match pattern {
        Value::Object(fields) => {
            fields.iter().all(|(name, pattern)| matches(pattern, value.and_then(|value| value.get(name))))
        }
        Value::Array(rules) => rules.iter().any(|rule| allows(rule, value)),
        _ => false,
    }
}

fn allows(rule: &Value, value: Option<&Value>) -> bool {
    let Some(rule) = rule.as_object() else {
        return value == Some(rule);
    };
    rule.iter().all(|(name, wanted)| match name.as_str() {
        "exists" => wanted == value.is_some(),
        "prefix" => {
            let text = value.and_then(Value::as_str).zip(wanted.as_str());
            text.is_some_and(|(text, prefix)| text.starts_with(prefix))
        }
        _ => match wanted {
            Value::Array(unwanted) => value.is_some_and(|value| !unwanted.contains(value)),
            unwanted => value.is_some_and(|value| value != unwanted),
        },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn patterns_match_as_lambda_does() {
        let record = json!({"eventName": "INSERT", "dynamodb": {"Keys": {"sk": {"S": "MOVE#1"}}}});
        for (pattern, expected) in [
            (json!({"eventName": ["INSERT"]}), true),
            (json!({"eventName": ["MODIFY", "INSERT"]}), true),
            (json!({"eventName": ["MODIFY"]}), false),
            (json!({"eventName": ["INSERT"], "dynamodb": {"Keys": {"sk": {"S": ["ENTRY"]}}}}), false),
            (json!({"dynamodb": {"Keys": {"sk": {"S": [{"prefix": "MOVE#"}]}}}}), true),
            (json!({"dynamodb": {"Keys": {"sk": {"S": [{"prefix": "ENTRY"}]}}}}), false),
            (json!({"dynamodb": {"NewImage": [{"exists": false}]}}), true),
            (json!({"dynamodb": {"NewImage": {"on_hand": {"N": [{"exists": true}]}}}}), false),
            (json!({"eventName": [{"anything-but": ["REMOVE"]}]}), true),
            (json!({"eventName": [{"anything-but": "INSERT"}]}), false),
        ] {
            let filter = Filter::parse(&pattern.to_string()).expect("a pattern that is known");
            assert_eq!(filter.matches(&record), expected, "{pattern}");
        }
    }

    #[test]
    fn an_unknown_rule_is_refused_rather_than_ignored() {
        for pattern in ["{", r#"{"eventName": "INSERT"}"#, r#"{"dynamodb": {"n": [{"numeric": [">", 1]}]}}"#]
        {
            assert!(Filter::parse(pattern).is_err(), "{pattern}");
        }
    }
}
