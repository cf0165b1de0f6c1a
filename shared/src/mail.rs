//! The mails: what they say, and SES, which sends them.
//!
//! A mail that goes to an address whose owner has proven nothing holds no word that somebody else has chosen: else the
//! shop would send anybody's message to anybody.

use aws_sdk_sesv2::{
    Client,
    error::ProvideErrorMetadata,
    types::{Body, Content, Destination, EmailContent, Message, MessageHeader},
};
use maud::{DOCTYPE, html};

use crate::{
    auth::MailToken,
    aws,
    config::{self, ConfigError},
    domain::user::Email,
    error::Error,
    secrets,
    store::{
        Change,
        mails::{Mails, Occasion},
    },
    telemetry::{self, Level},
};

/// The refusal that no repetition changes: of the address itself. `MessageRejected` is none, since SES says so too where
/// the sender is not verified yet.
const FINAL: &str = "BadRequestException";

/// What a mail says.
#[derive(Clone, Debug)]
pub enum Letter {
    /// An address was registered: prove that it is yours.
    VerifyEmail {
        /// What proves it.
        token: String,
    },
    /// An address was registered that has an account.
    AlreadyRegistered,
    /// A new password was asked for.
    ResetPassword {
        /// What allows it.
        token: String,
    },
    /// The password was changed.
    PasswordChanged,
    /// All sessions were ended, or one of which a token was used twice.
    SessionsEnded,
}

/// What a letter is made of, in plain words: both of its forms are written from this.
struct Text {
    subject: &'static str,
    paragraphs: Vec<String>,
    /// What to press on, and where it leads.
    link: Option<(&'static str, String)>,
    /// The token by itself, for clients without the web shop.
    token: Option<String>,
    closing: &'static str,
}

/// Delivers what is due.
pub struct Post {
    mails: Mails,
    sender: Sender,
    keys: secrets::Keys,
}

/// So many mails of a kind an address gets in an hour, whoever asks for them.
const PER_HOUR: usize = 5;

impl Post {
    /// What it takes: the marks of what was sent, who sends, and the keys of the tokens in mails.
    pub fn new(mails: Mails, sender: Sender, keys: secrets::Keys) -> Self {
        Self { mails, sender, keys }
    }

    /// Sends the mail that a change in the table of users calls for, if it does and it was not sent before.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where a repetition may help.
    pub async fn deliver(&self, change: Change) -> Result<(), Error> {
        let now = telemetry::now();
        let (to, id, letter) = match Occasion::of(change)? {
            None => return Ok(()),
            Some(Occasion::Registered(email, id)) => {
                let letter = if self.mails.has_account(&email).await? {
                    Letter::AlreadyRegistered
                } else {
                    let token = MailToken { id, email: email.clone() };
                    Letter::VerifyEmail { token: token.write(&*self.keys.get().await?, now)? }
                };
                (email, id.to_string(), letter)
            }
            Some(Occasion::ResetRequested(email, id)) => {
                if !self.mails.has_account(&email).await? {
                    return Ok(());
                }
                let token = MailToken { id, email: email.clone() };
                let letter = Letter::ResetPassword { token: token.write(&*self.keys.get().await?, now)? };
                (email, id.to_string(), letter)
            }
            Some(Occasion::PasswordChanged(email, epoch)) => {
                (email, epoch.to_string(), Letter::PasswordChanged)
            }
            Some(Occasion::SessionsEnded(email, epoch)) => (email, epoch.to_string(), Letter::SessionsEnded),
            Some(Occasion::TokenReused(user, session)) => match self.mails.address_of(user).await? {
                Some(email) => (email, session.to_string(), Letter::SessionsEnded),
                None => return Ok(()),
            },
        };
        let (kind, sent) = (letter.kind(), self.mails.sent(&to).await?);
        if sent.holds(kind, &id) {
            return Ok(());
        }
        if letter.anybody_may_ask() && sent.in_the_last_hour(kind, now) >= PER_HOUR {
            telemetry::event(
                Level::Warn,
                "a mail was not sent",
                "its address has had enough of the kind in this hour",
            );
            return Ok(());
        }
        if !self.sender.send(&to, &letter).await? {
            telemetry::event(
                Level::Warn,
                "a mail was not sent",
                "its address or its content was refused for good",
            );
        }
        self.mails.mark(&to, kind, &id, now).await
    }
}

/// The post office.
pub struct Sender {
    client: Client,
    from: String,
    storefront: String,
}

impl Sender {
    /// Prepares the connection; the first call opens it.
    ///
    /// # Errors
    /// Where `MAIL_FROM`, `STOREFRONT_URL` or a variable of AWS is missing.
    pub fn connect() -> Result<Self, ConfigError> {
        let storefront = config::required("STOREFRONT_URL")?.trim_end_matches('/').to_owned();
        let client = Client::new(&aws::configuration("SESV2")?);
        Ok(Self { client, from: config::required("MAIL_FROM")?, storefront })
    }

    /// Sends a letter. Tells whether it was taken; one that is refused for good need not be sent again.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where a repetition may help.
    pub async fn send(&self, to: &Email, letter: &Letter) -> Result<bool, Error> {
        let text = letter.text(&self.storefront);
        let content =
            |data: String| Content::builder().charset("UTF-8").data(data).build().map_err(Error::internal);
        let body = Body::builder().text(content(text.plain())?).html(content(text.html())?).build();
        // So that nobody's holiday notice answers it (RFC 3834).
        let automatic = MessageHeader::builder().name("Auto-Submitted").value("auto-generated").build();
        let message = Message::builder()
            .subject(content(text.subject.to_owned())?)
            .body(body)
            .headers(automatic.map_err(Error::internal)?)
            .build();
        let call = self
            .client
            .send_email()
            .from_email_address(&self.from)
            .destination(Destination::builder().to_addresses(to.as_str()).build())
            .content(EmailContent::builder().simple(message).build());
        match call.send().await {
            Ok(_) => Ok(true),
            Err(refused) if refused.code() == Some(FINAL) => Ok(false),
            Err(failed) => Err(aws::judge(failed)),
        }
    }
}

impl Letter {
    /// What the mark that it was sent calls it.
    fn kind(&self) -> &'static str {
        match self {
            Self::VerifyEmail { .. } | Self::AlreadyRegistered => "registration",
            Self::ResetPassword { .. } => "reset",
            Self::PasswordChanged => "password",
            Self::SessionsEnded => "sessions",
        }
    }

    /// Whether it takes no more than an address to have it sent there.
    fn anybody_may_ask(&self) -> bool {
        match self {
            Self::VerifyEmail { .. } | Self::AlreadyRegistered | Self::ResetPassword { .. } => true,
            Self::PasswordChanged | Self::SessionsEnded => false,
        }
    }

    fn text(&self, storefront: &str) -> Text {
        let link = |path: &str, token: &str| format!("{storefront}/{path}?token={token}");
        match self {
            Self::VerifyEmail { token } => Text {
                subject: "Confirm your e-mail address",
                paragraphs: vec![
                    "somebody, we hope you, wants to open an account with this e-mail address.".to_owned(),
                    "To confirm it, follow the link and enter the password that you chose. The link is good for 24 hours."
                        .to_owned(),
                ],
                link: Some(("Confirm my address", link("verify-email", token))),
                token: Some(token.clone()),
                closing: "If it was not you, do nothing: without this mail and the password no account is opened.",
            },
            Self::AlreadyRegistered => Text {
                subject: "You already have an account",
                paragraphs: vec![
                    "somebody, perhaps you, wanted to open an account with this e-mail address. You have one already."
                        .to_owned(),
                    "You can log in with your password. If you have forgotten it, ask for a new one.".to_owned(),
                ],
                link: Some(("Log in", storefront.to_owned())),
                token: None,
                closing: "If it was not you, do nothing: your account is as it was.",
            },
            Self::ResetPassword { token } => Text {
                subject: "Choose a new password",
                paragraphs: vec![
                    "somebody, we hope you, has asked for a new password for your account.".to_owned(),
                    "To choose one, follow the link. It is good once, for 30 minutes, and ends all your sessions."
                        .to_owned(),
                ],
                link: Some(("Choose a new password", link("reset-password", token))),
                token: Some(token.clone()),
                closing: "If it was not you, do nothing: your password is as it was.",
            },
            Self::PasswordChanged => Text {
                subject: "Your password was changed",
                paragraphs: vec![
                    "the password of your account was changed, and your other sessions were ended.".to_owned(),
                ],
                link: Some(("Choose a new password", format!("{storefront}/forgot-password"))),
                token: None,
                closing: "If it was not you, choose a new password at once: follow the link and ask for one.",
            },
            Self::SessionsEnded => Text {
                subject: "Your sessions were ended",
                paragraphs: vec![
                    "you were logged out: at your own wish, because your account has changed, or because one of your \
                     sessions looked as if it were used by somebody else."
                        .to_owned(),
                    "Log in again to go on.".to_owned(),
                ],
                link: Some(("Log in", storefront.to_owned())),
                token: None,
                closing: "If you don't know why, choose a new password.",
            },
        }
    }
}

impl Text {
    fn plain(&self) -> String {
        let mut lines = vec!["Hello,".to_owned(), String::new()];
        for paragraph in &self.paragraphs {
            lines.extend([paragraph.clone(), String::new()]);
        }
        if let Some((label, link)) = &self.link {
            lines.extend([format!("{label}:"), link.clone(), String::new()]);
        }
        if let Some(token) = &self.token {
            lines.extend(["The code in it:".to_owned(), token.clone(), String::new()]);
        }
        lines.extend([self.closing.to_owned(), String::new()]);
        lines.join("\n")
    }

    fn html(&self) -> String {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head { meta charset="utf-8"; title { (self.subject) } }
                body style="font-family: sans-serif; line-height: 1.5; max-width: 36em; margin: 2em auto; padding: 0 1em" {
                    p { "Hello," }
                    @for paragraph in &self.paragraphs { p { (paragraph) } }
                    @if let Some((label, link)) = &self.link { p { a href=(link) { (label) } } }
                    @if let Some(token) = &self.token { p { "The code in it: " code { (token) } } }
                    p { (self.closing) }
                }
            }
        };
        page.into_string()
    }
}
