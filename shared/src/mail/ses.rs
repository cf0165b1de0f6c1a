//! The SES client.

use aws_sdk_sesv2::{
    Client,
    error::ProvideErrorMetadata,
    types::{Body, Content, Destination, EmailContent, Message, MessageHeader},
};

use super::email::Email;
use crate::{
    aws,
    config::{self, ConfigError},
    domain::user::EmailAddress,
    error::Error,
};

/// Error code of a permanent failure: the address itself is invalid. `MessageRejected` may be temporary, since SES also
/// uses it for a sender that is not verified yet.
const PERMANENT: &str = "BadRequestException";

/// Result of sending a mail.
pub enum Delivery {
    Accepted,
    /// SES will never accept this mail.
    Rejected,
}

pub struct Ses {
    client: Client,
    from: String,
    storefront: String,
}

impl Ses {
    /// Prepares the connection. The first call opens it.
    ///
    /// # Errors
    /// A variable is missing or unusable.
    pub fn connect() -> Result<Self, ConfigError> {
        let storefront = config::required("STOREFRONT_URL")?.trim_end_matches('/').to_owned();
        let client = Client::new(&aws::configuration("SESV2")?);
        Ok(Self { client, from: config::required("MAIL_FROM")?, storefront })
    }

    /// Sends a mail.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if a retry may help.
    pub(super) async fn send(&self, to: &EmailAddress, email: &Email) -> Result<Delivery, Error> {
        let text = email.text(shop_name(&self.from), &self.storefront);
        let content =
            |data: String| Content::builder().charset("UTF-8").data(data).build().map_err(Error::internal);
        let body = Body::builder().text(content(text.plain())?).html(content(text.html())?).build();
        // Keeps out-of-office replies away (RFC 3834).
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
            Ok(_) => Ok(Delivery::Accepted),
            Err(failed) if failed.code() == Some(PERMANENT) => Ok(Delivery::Rejected),
            Err(failed) => Err(aws::classify(failed)),
        }
    }
}

/// Returns the shop's name: the display name of the sender, or without one its domain.
fn shop_name(from: &str) -> &str {
    match from.split_once('<') {
        Some((name, _)) if !name.trim().is_empty() => name.trim().trim_matches('"'),
        _ => from.rsplit('@').next().unwrap_or(from).trim_end_matches('>'),
    }
}
