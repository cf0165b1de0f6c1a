//! Events of API Gateway's proxy integration for REST APIs (payload 1.0):
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html>.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};
use shared::domain::time::Timestamp;

/// Values by name. API Gateway passes both the last value of each name and all of them.
pub type Values = BTreeMap<String, Vec<String>>;

/// A request to a route.
pub struct RestEvent<'e> {
    /// The request id.
    pub id: &'e str,
    pub time: Timestamp,
    /// IP address of the client.
    pub source: &'e str,
    pub stage: &'e str,
    pub method: &'e str,
    /// The path of the route, with parameters in braces.
    pub resource: &'e str,
    /// The path below the stage.
    pub path: &'e str,
    /// Decoded path parameters.
    pub parameters: Map<String, Value>,
    /// Decoded query parameters.
    pub query: &'e Values,
    pub headers: &'e Values,
    pub body: &'e [u8],
}

impl RestEvent<'_> {
    pub fn json(self) -> Value {
        let Self { id, time, source, stage, method, resource, path, parameters, query, headers, body } = self;
        let (body, is_base64) = match str::from_utf8(body) {
            Ok("") => (None, false),
            Ok(text) => (Some(text.to_owned()), false),
            Err(_) => (Some(BASE64_STANDARD.encode(body)), true),
        };
        let user_agent = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("user-agent"));
        json!({
            "resource": resource,
            "path": path,
            "httpMethod": method,
            "headers": last_of_each(headers),
            "multiValueHeaders": headers,
            "queryStringParameters": (!query.is_empty()).then(|| last_of_each(query)),
            "multiValueQueryStringParameters": (!query.is_empty()).then_some(query),
            "pathParameters": (!parameters.is_empty()).then_some(parameters),
            "stageVariables": null,
            "requestContext": {
                "accountId": "000000000000",
                "apiId": "local",
                "deploymentId": "local",
                "domainName": "localhost",
                "domainPrefix": "localhost",
                "extendedRequestId": "JYOqWFxPFiAFT0Q=",
                "httpMethod": method,
                "identity": {
                    "accessKey": null,
                    "accountId": null,
                    "caller": null,
                    "cognitoAuthenticationProvider": null,
                    "cognitoAuthenticationType": null,
                    "cognitoIdentityId": null,
                    "cognitoIdentityPoolId": null,
                    "principalOrgId": null,
                    "sourceIp": source,
                    "user": null,
                    "userAgent": user_agent.and_then(|(_, values)| values.last()),
                    "userArn": null,
                },
                "path": format!("/{stage}{path}"),
                "protocol": "HTTP/1.1",
                "requestId": id,
                "requestTime": request_time(time),
                "requestTimeEpoch": time.as_millis(),
                "resourceId": "local",
                "resourcePath": resource,
                "stage": stage,
            },
            "body": body,
            "isBase64Encoded": is_base64,
        })
    }
}

fn last_of_each(values: &Values) -> BTreeMap<&String, Option<&String>> {
    values.iter().map(|(name, values)| (name, values.last())).collect()
}

/// Formats a time like `31/Jan/2026:12:34:56 +0000`.
fn request_time(time: Timestamp) -> Option<String> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let time = time.to_string();
    let (date, clock) = time.split_once('T')?;
    let mut date = date.split('-');
    let (year, month, day) = (date.next()?, date.next()?.parse::<usize>().ok()?, date.next()?);
    Some(format!("{day}/{}/{year}:{} +0000", MONTHS.get(month.checked_sub(1)?)?, clock.get(..8)?))
}
