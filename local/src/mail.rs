//! SES on one machine: it takes mails as version 2 of its API does, and keeps them to be read.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hyper::{
    Method, Response, StatusCode,
    body::Bytes,
    header::{CONTENT_TYPE, HeaderValue},
    http::request::Parts,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::{domain::time::Timestamp, telemetry};

use crate::{
    jsonl::{self, JsonlError},
    server::{self, Answer, HangUp, Server},
};

/// Where `SendEmail` stands.
const PATH: &str = "/v2/email/outbound-emails";
/// How many addresses one mail may have.
const MAX_RECIPIENTS: usize = 50;
/// What an address may have before its `@`, and altogether (RFC 5321, section 4.5.3.1).
const MAX_LOCAL_PART: usize = 64;
const MAX_ADDRESS: usize = 254;

/// A mail that has arrived.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mail {
    /// What its sender was told.
    pub id: String,
    /// When it arrived.
    pub sent_at: Timestamp,
    /// Its sender: an address, or a name and an address in angle brackets.
    pub from: String,
    /// Whom it is for.
    pub to: Vec<String>,
    /// Its subject.
    pub subject: String,
    /// What a reader without HTML sees.
    pub text: Option<String>,
    /// What a reader with HTML sees.
    pub html: Option<String>,
}

/// What happens to a mail that does not simply arrive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// SES takes no more for the moment: 429 `TooManyRequestsException`.
    Throttled,
    /// SES is in trouble: 500 `InternalServiceErrorException`.
    Broken,
    /// SES finds the address to be none: 400 `BadRequestException`.
    Rejected,
    /// SES does not send for somebody who has not verified the sender yet: 400 `MessageRejected`.
    Unverified,
    /// It arrives, but its sender is not told.
    AnswerLost,
}

/// Why mails can't be received. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// There is no port to listen on.
    #[error("SES finds no port to listen on: {0}")]
    Listen(#[from] io::Error),
}

/// An SES that runs until this is dropped.
pub struct Mailbox {
    /// Where it answers.
    pub url: String,
    post: Arc<Post>,
    _server: Server,
}

impl Mailbox {
    /// Starts one that forgets.
    ///
    /// # Errors
    /// Where there is no port to listen on.
    pub async fn in_memory() -> Result<Self, MailError> {
        Self::start(None).await
    }

    /// Starts one that keeps the mails in a file too, a line of JSON for each, which nobody else may read.
    ///
    /// # Errors
    /// Where there is no port to listen on.
    pub async fn on_file(path: &Path) -> Result<Self, MailError> {
        Self::start(Some(path.to_owned())).await
    }

    async fn start(file: Option<PathBuf>) -> Result<Self, MailError> {
        let post = Arc::new(Post { file, sent: Mutex::default(), faults: Mutex::default() });
        let answering = Arc::clone(&post);
        let server = Server::start(move |parts, body| answering.answer(parts, &body)).await?;
        Ok(Self { url: server.url.clone(), post, _server: server })
    }

    /// The mails that have arrived since the start, the newest last.
    pub fn sent(&self) -> Vec<Mail> {
        lock(&self.post.sent).clone()
    }

    /// Those for one address.
    pub fn sent_to(&self, address: &str) -> Vec<Mail> {
        lock(&self.post.sent).iter().filter(|mail| mail.is_for(address)).cloned().collect()
    }

    /// Lets this happen to the next mails for an address, one after the other; those after them arrive.
    pub fn fail(&self, address: &str, faults: impl IntoIterator<Item = Fault>) {
        lock(&self.post.faults).entry(address.to_owned()).or_default().extend(faults);
    }
}

impl Mail {
    /// Whether that address is among those that it is for.
    pub fn is_for(&self, address: &str) -> bool {
        self.to.iter().any(|to| bare(to).eq_ignore_ascii_case(address))
    }

    /// As a person reads it; with the HTML part in the place of the text, where that is wanted or there is no other.
    pub fn readable(&self, html: bool) -> String {
        let Self { sent_at, from, to, subject, .. } = self;
        let (text, html) = (self.text.as_ref(), self.html.as_ref().filter(|_| html || self.text.is_none()));
        let body = html.or(text).map_or("", |body| body.trim_end());
        let to = to.join(", ");
        format!("Date:    {sent_at}\nFrom:    {from}\nTo:      {to}\nSubject: {subject}\n\n{body}\n")
    }
}

/// What is behind the address.
struct Post {
    file: Option<PathBuf>,
    sent: Mutex<Vec<Mail>>,
    /// What is to happen to the next mails for an address.
    faults: Mutex<BTreeMap<String, VecDeque<Fault>>>,
}

/// A refusal: its status, SES's name for it, and what is said.
type AwsError = (StatusCode, &'static str, String);

impl Post {
    fn answer(&self, parts: &Parts, body: &Bytes) -> Result<Answer, HangUp> {
        let taken = if parts.method == Method::POST && parts.uri.path() == PATH {
            self.take(body)?
        } else {
            let (method, path) = (&parts.method, parts.uri.path());
            let message = format!("cargo shop knows no {method} {path} of SES");
            Err((StatusCode::NOT_FOUND, "NotFoundException", message))
        };
        let (status, kind, body) = match taken {
            Ok(id) => (StatusCode::OK, None, json!({"MessageId": id})),
            Err((status, kind, message)) => (status, Some(kind), json!({"message": message})),
        };
        let mut answer = Response::new(body.to_string().into());
        *answer.status_mut() = status;
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(kind) = kind {
            answer.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(kind));
        }
        Ok(answer)
    }

    /// Takes a mail, and gives its id.
    fn take(&self, body: &Bytes) -> Result<Result<String, AwsError>, HangUp> {
        let mail = match serde_json::from_slice(body).map_err(|error| error.to_string()).and_then(mail) {
            Ok(mail) => mail,
            Err(reason) => return Ok(Err((StatusCode::BAD_REQUEST, "BadRequestException", reason))),
        };
        let refusal = match self.fault(&mail) {
            None => return Ok(self.keep(mail)),
            Some(Fault::AnswerLost) => {
                // Whether it could be kept, nobody is told either.
                drop(self.keep(mail));
                return Err(HangUp);
            }
            Some(Fault::Throttled) => {
                (StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException", "Maximum sending rate exceeded.")
            }
            Some(Fault::Broken) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "InternalServiceErrorException", "Try again.")
            }
            Some(Fault::Rejected) => (
                StatusCode::BAD_REQUEST,
                "BadRequestException",
                "Local address contains control or whitespace",
            ),
            Some(Fault::Unverified) => {
                (StatusCode::BAD_REQUEST, "MessageRejected", "Email address is not verified.")
            }
        };
        let (status, kind, message) = refusal;
        Ok(Err((status, kind, message.to_owned())))
    }

    fn fault(&self, mail: &Mail) -> Option<Fault> {
        let mut faults = lock(&self.faults);
        let mut due = faults.iter_mut().filter(|(address, _)| mail.is_for(address));
        due.find_map(|(_, faults)| faults.pop_front())
    }

    fn keep(&self, mail: Mail) -> Result<String, AwsError> {
        let mut sent = lock(&self.sent);
        if let Some(path) = &self.file {
            let failed = |error: JsonlError| {
                (StatusCode::INTERNAL_SERVER_ERROR, "InternalServiceErrorException", error.to_string())
            };
            jsonl::append(path, &mail).map_err(failed)?;
        }
        let id = mail.id.clone();
        sent.push(mail);
        Ok(id)
    }
}

/// The request of `SendEmail`, as far as the shop uses it; what is unknown here is refused rather than ignored.
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

/// The mail that is asked for; or why SES would not send it.
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
        // Without a charset, SES takes a part for 7-bit ASCII.
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

/// The address itself, without the name of whose it is.
fn bare(address: &str) -> &str {
    let in_brackets = address.strip_suffix('>').and_then(|address| address.rsplit_once('<'));
    in_brackets.map_or(address, |(_, address)| address)
}

/// Whether SES takes it: it wants ASCII, and in a name too, where other letters must be encoded (RFC 2047).
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::Value;

    use super::*;
    use crate::jsonl::read;

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
        let folder = crate::process::target_folder().join("tmp").join(format!("mail-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("mail.jsonl");
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
        fs::remove_dir_all(&folder).unwrap();
    }

    #[tokio::test]
    async fn what_ses_would_not_send_is_refused() {
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
    async fn mails_fail_as_they_are_told_to() {
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
