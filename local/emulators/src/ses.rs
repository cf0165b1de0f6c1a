//! SES: accepts mails as version 2 of its API does, and keeps them.
//! <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html>

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use hyper::{Method, StatusCode, body::Bytes, http::request::Parts};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::{domain::time::Timestamp, telemetry};

use crate::{
    aws::{self, AwsError},
    error::EmulatorError,
    inbox::Inbox,
    server::{self, Answer, HangUp, Server},
};

/// Path of `SendEmail`.
const PATH: &str = "/v2/email/outbound-emails";
const MAX_RECIPIENTS: usize = 50;
/// Maximum length of an address before its `@` (RFC 5321, section 4.5.3.1).
const MAX_LOCAL_PART: usize = 64;
const MAX_ADDRESS: usize = 254;

/// An accepted mail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mail {
    /// The `MessageId` of the response.
    pub id: String,
    pub sent_at: Timestamp,
    /// An address, or a name and an address in angle brackets.
    pub from: String,
    pub to: Vec<String>,
    pub subject: String,
    pub text: Option<String>,
    pub html: Option<String>,
}

/// A fault to inject.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// 429 `TooManyRequestsException`.
    Throttled,
    /// 500 `InternalServiceErrorException`.
    Broken,
    /// 400 `BadRequestException`, as for an invalid address.
    Rejected,
    /// 400 `MessageRejected`, as for a sender that is not verified.
    Unverified,
    /// Accepts the mail and closes the connection.
    AnswerLost,
}

/// An SES that runs until it is dropped.
pub struct Mailbox {
    pub url: String,
    inbox: Arc<Inbox<Mail, Fault>>,
    _server: Server,
}

impl Mailbox {
    /// Starts one that keeps mails in memory.
    ///
    /// # Errors
    /// [`EmulatorError::Listen`].
    pub async fn in_memory() -> Result<Self, EmulatorError> {
        Self::start(None).await
    }

    /// Starts one that also appends each mail to a file.
    ///
    /// # Errors
    /// [`EmulatorError::Listen`].
    pub async fn on_file(path: &Path) -> Result<Self, EmulatorError> {
        Self::start(Some(path.to_owned())).await
    }

    async fn start(file: Option<PathBuf>) -> Result<Self, EmulatorError> {
        let inbox = Arc::new(Inbox::new(file, Mail::is_for));
        let receiving = Arc::clone(&inbox);
        let server = Server::start(0, move |parts, body| {
            let inbox = Arc::clone(&receiving);
            async move { answer(&inbox, &parts, &body) }
        });
        let server = server.await.map_err(|error| EmulatorError::Listen("SES", error))?;
        Ok(Self { url: server.url.clone(), inbox, _server: server })
    }

    /// Returns the mails since the start, oldest first.
    pub fn sent(&self) -> Vec<Mail> {
        self.inbox.all()
    }

    pub fn sent_to(&self, address: &str) -> Vec<Mail> {
        self.inbox.about(address)
    }

    /// Injects faults into the next mails to an address, one each.
    pub fn fail(&self, address: &str, faults: impl IntoIterator<Item = Fault>) {
        self.inbox.fail(address, faults);
    }
}

impl Mail {
    pub fn is_for(&self, address: &str) -> bool {
        self.to.iter().any(|to| bare(to).eq_ignore_ascii_case(address))
    }

    /// Formats the mail for a person, with its text or its HTML.
    pub fn readable(&self, html: bool) -> String {
        let Self { sent_at, from, to, subject, .. } = self;
        let (text, html) = (self.text.as_ref(), self.html.as_ref().filter(|_| html || self.text.is_none()));
        let body = html.or(text).map_or("", |body| body.trim_end());
        let to = to.join(", ");
        format!("Date:    {sent_at}\nFrom:    {from}\nTo:      {to}\nSubject: {subject}\n\n{body}\n")
    }
}

fn answer(inbox: &Inbox<Mail, Fault>, parts: &Parts, body: &Bytes) -> Result<Answer, HangUp> {
    let result = if parts.method == Method::POST && parts.uri.path() == PATH {
        send(inbox, body)?
    } else {
        let message = format!("the SES emulator does not know {} {}", parts.method, parts.uri.path());
        Err(AwsError { status: StatusCode::NOT_FOUND, code: "NotFoundException", message })
    };
    Ok(aws::rest_json(result))
}

/// Accepts a mail unless a fault is queued for it.
fn send(inbox: &Inbox<Mail, Fault>, body: &Bytes) -> Result<Result<Value, AwsError>, HangUp> {
    let mail = match serde_json::from_slice(body).map_err(|error| error.to_string()).and_then(mail) {
        Ok(mail) => mail,
        Err(reason) => return Ok(Err(AwsError::bad_request("BadRequestException", reason))),
    };
    let failed =
        |error: &dyn ToString| AwsError::internal("InternalServiceErrorException", error.to_string());
    let id = json!({"MessageId": mail.id});
    Ok(match inbox.fault(&mail) {
        None => inbox.accept(mail).map(|()| id).map_err(|error| failed(&error)),
        Some(Fault::AnswerLost) => {
            drop(inbox.accept(mail));
            return Err(HangUp);
        }
        Some(Fault::Throttled) => Err(AwsError {
            status: StatusCode::TOO_MANY_REQUESTS,
            code: "TooManyRequestsException",
            message: "Maximum sending rate exceeded.".to_owned(),
        }),
        Some(Fault::Broken) => Err(failed(&"Try again.")),
        Some(Fault::Rejected) => {
            let message = "Local address contains control or whitespace";
            Err(AwsError::bad_request("BadRequestException", message))
        }
        Some(Fault::Unverified) => {
            Err(AwsError::bad_request("MessageRejected", "Email address is not verified."))
        }
    })
}

/// The part of the request that the shop uses. Other fields are refused, not ignored.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct SendEmail {
    from_email_address: String,
    destination: Destination,
    content: Content,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Destination {
    #[serde(default)]
    to_addresses: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Content {
    simple: Simple,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Simple {
    subject: Part,
    body: Body,
    #[serde(default)]
    headers: Vec<Header>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Body {
    text: Option<Part>,
    html: Option<Part>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Part {
    data: String,
    charset: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Header {
    name: String,
    value: String,
}

/// Checks a request as SES does. Returns the mail, or the message of the refusal.
fn mail(request: SendEmail) -> Result<Mail, String> {
    let SendEmail { from_email_address: from, destination, content: Content { simple } } = request;
    let Simple { subject, body: Body { text, html }, headers } = simple;
    let to = destination.to_addresses;
    if to.is_empty() || to.len() > MAX_RECIPIENTS {
        return Err(format!("Recipient count must be between 1 and {MAX_RECIPIENTS}."));
    }
    if let Some(wrong) = to.iter().chain([&from]).find(|address| !is_address(address)) {
        return Err(format!("Illegal address: {wrong:?}"));
    }
    if text.is_none() && html.is_none() {
        return Err("The message has no body.".to_owned());
    }
    let all = [Some(&subject), text.as_ref(), html.as_ref()];
    for part in all.into_iter().flatten() {
        // The default charset is 7-bit ASCII.
        let charset = part.charset.as_deref().unwrap_or("US-ASCII");
        if !charset.eq_ignore_ascii_case("UTF-8") && !part.data.is_ascii() {
            return Err(format!("The content is not valid {charset}."));
        }
        if part.data.is_empty() {
            return Err("Subject and body must not be empty.".to_owned());
        }
    }
    let has_control = |text: &str| text.chars().any(char::is_control);
    if has_control(&subject.data)
        || headers.iter().any(|header| !is_name(&header.name) || has_control(&header.value))
    {
        return Err("Header fields must not have control characters.".to_owned());
    }
    let data = |part: Option<Part>| part.map(|part| part.data);
    let (id, sent_at, subject) = (server::uuid(), telemetry::now(), subject.data);
    Ok(Mail { id, sent_at, from, to, subject, text: data(text), html: data(html) })
}

/// Returns an address without the display name.
fn bare(address: &str) -> &str {
    let in_brackets = address.strip_suffix('>').and_then(|address| address.rsplit_once('<'));
    in_brackets.map_or(address, |(_, address)| address)
}

/// Checks an address as SES does: ASCII only, also in the display name (RFC 2047 encodes other letters).
fn is_address(address: &str) -> bool {
    let bare = bare(address);
    let parts = bare.rsplit_once('@');
    address.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
        && bare.len() <= MAX_ADDRESS
        && !bare.contains([' ', '<', '>', ','])
        && parts.is_some_and(|(local, domain)| {
            let labels = domain.split('.').all(|label| {
                let letters = label.bytes().all(|byte| byte == b'-' || byte.is_ascii_alphanumeric());
                (1..=63).contains(&label.len()) && letters
            });
            (1..=MAX_LOCAL_PART).contains(&local.len()) && labels && domain.contains('.')
        })
}

fn is_name(header: &str) -> bool {
    !header.is_empty() && header.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::read;

    fn request(to: &str) -> Value {
        let part = |data: &str| json!({"Data": data, "Charset": "UTF-8"});
        json!({
            "FromEmailAddress": "Shop <shop@example.com>",
            "Destination": {"ToAddresses": [to]},
            "Content": {"Simple": {
                "Headers": [{"Name": "Auto-Submitted", "Value": "auto-generated"}],
                "Subject": part("Grüße"),
                "Body": {"Text": part("Hello\n"), "Html": part("<p>Hello</p>")},
            }},
        })
    }

    async fn send(mailbox: &Mailbox, request: &Value) -> reqwest::Result<(u16, Option<String>, Value)> {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.post(format!("{}{PATH}", mailbox.url)).json(request).send().await?;
        let kind = answer.headers().get("x-amzn-errortype").map(|kind| kind.to_str().unwrap().to_owned());
        Ok((answer.status().as_u16(), kind, answer.json().await?))
    }

    #[tokio::test]
    async fn a_mail_arrives_and_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mail.jsonl");
        let mailbox = Mailbox::on_file(&path).await.unwrap();
        let (status, _, answer) = send(&mailbox, &request("new@example.com")).await.unwrap();
        assert_eq!(status, 200);
        let (mails, end) = read::<Mail>(&path, 0).unwrap();
        assert_eq!(mails, mailbox.sent());
        assert_eq!(answer["MessageId"], mails[0].id);
        let readable = mails[0].readable(false);
        assert!(readable.contains("To:      new@example.com\nSubject: Grüße\n\nHello\n"), "{readable}");
        assert!(mails[0].readable(true).ends_with("<p>Hello</p>\n"));

        assert_eq!(read::<Mail>(&path, end).unwrap().0, []);
        send(&mailbox, &request("Next <Next@Example.com>")).await.unwrap();
        assert_eq!(read::<Mail>(&path, end).unwrap().0, mailbox.sent_to("next@example.com"));
    }

    #[tokio::test]
    async fn requests_that_ses_refuses_are_refused() {
        let mailbox = Mailbox::in_memory().await.unwrap();
        let text = |data: &str| json!({"Data": data, "Charset": "UTF-8"});
        for (place, value) in [
            ("/FromEmailAddress", json!("Shop")),
            ("/FromEmailAddress", json!("Läden <shop@example.com>")),
            ("/FromEmailAddress", Value::Null),
            ("/Destination/ToAddresses", json!([])),
            ("/Destination/ToAddresses/0", json!("new@example")),
            ("/Destination/ToAddresses/0", json!("a b@example.com")),
            ("/Destination/ToAddresses/0", json!("a@example.com\nBcc: b@example.com")),
            ("/Destination/ToAddresses/0", json!(format!("{}@example.com", "a".repeat(65)))),
            ("/Content/Simple/Subject", text("two\nlines")),
            ("/Content/Simple/Subject", text("")),
            ("/Content/Simple/Subject", json!({"Data": "Grüße"})),
            ("/Content/Simple/Headers", json!([{"Name": "X-A", "Value": "two\nlines"}])),
            ("/Content/Simple/Headers", json!([{"Name": "X-A: b", "Value": "c"}])),
            ("/Content/Simple/Body", json!({})),
            ("/Content/Simple/Body/Text", text("")),
            ("/Content/Simple/Body", json!({"text": text("Hello")})),
        ] {
            let mut request = request("new@example.com");
            *request.pointer_mut(place).unwrap() = value.clone();
            let (status, kind, _) = send(&mailbox, &request).await.unwrap();
            assert_eq!((status, kind.as_deref()), (400, Some("BadRequestException")), "{place} {value}");
        }
        assert_eq!(mailbox.sent(), []);
    }

    #[tokio::test]
    async fn faults_hit_the_next_mails_to_their_address() {
        let mailbox = Mailbox::in_memory().await.unwrap();
        mailbox.fail(
            "bad@example.com",
            [Fault::Throttled, Fault::Broken, Fault::Rejected, Fault::Unverified, Fault::AnswerLost],
        );
        let bad = request("bad@example.com");
        for (status, kind) in [
            (429, "TooManyRequestsException"),
            (500, "InternalServiceErrorException"),
            (400, "BadRequestException"),
            (400, "MessageRejected"),
        ] {
            let answer = send(&mailbox, &bad).await.unwrap();
            assert_eq!((answer.0, answer.1.as_deref()), (status, Some(kind)));
            assert_eq!(send(&mailbox, &request("good@example.com")).await.unwrap().0, 200);
        }
        assert_eq!(mailbox.sent_to("bad@example.com"), []);
        send(&mailbox, &bad).await.unwrap_err();
        assert_eq!(send(&mailbox, &bad).await.unwrap().0, 200);
        assert_eq!(mailbox.sent_to("bad@example.com").len(), 2);
    }
}
