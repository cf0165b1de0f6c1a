//! The mails: what they say, and SES, which sends them.
//!
//! A mail that goes to an address whose owner has proven nothing holds no word that somebody else has chosen: else the
//! shop would send anybody's message to anybody.

mod letter;

use aws_sdk_sesv2::{
    Client,
    error::ProvideErrorMetadata,
    types::{Body, Content, Destination, EmailContent, Message, MessageHeader},
};
use letter::Letter;

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

    /// Sends the mails that a change in the table of users or of orders calls for, those that were not sent before.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where a repetition may help.
    pub async fn deliver(&self, change: Change) -> Result<(), Error> {
        for occasion in Occasion::of(change)? {
            self.write(occasion).await?;
        }
        Ok(())
    }

    async fn write(&self, occasion: Occasion) -> Result<(), Error> {
        let now = telemetry::now();
        let (to, id, letter) = match occasion {
            Occasion::Registered(email, id) => {
                let letter = if self.mails.has_account(&email).await? {
                    Letter::AlreadyRegistered
                } else {
                    let token = MailToken { id, email: email.clone() };
                    Letter::VerifyEmail { token: token.write(&*self.keys.get().await?, now)? }
                };
                (email, id.to_string(), letter)
            }
            Occasion::ResetRequested(email, id) => {
                if !self.mails.has_account(&email).await? {
                    return Ok(());
                }
                let token = MailToken { id, email: email.clone() };
                let letter = Letter::ResetPassword { token: token.write(&*self.keys.get().await?, now)? };
                (email, id.to_string(), letter)
            }
            Occasion::PasswordChanged(email, epoch) => (email, epoch.to_string(), Letter::PasswordChanged),
            Occasion::SessionsEnded(email, epoch) => (email, epoch.to_string(), Letter::SessionsEnded),
            Occasion::TokenReused(user, session) => match self.mails.address_of(user).await? {
                Some(email) => (email, session.to_string(), Letter::SessionsEnded),
                None => return Ok(()),
            },
            Occasion::Order { order, news, sequence } => {
                match self.mails.address_of(order.customer_id).await? {
                    Some(email) => (email, format!("{}#{sequence}", order.id), Letter::Order(order, news)),
                    None => return Ok(()),
                }
            }
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
    async fn send(&self, to: &Email, letter: &Letter) -> Result<bool, Error> {
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
