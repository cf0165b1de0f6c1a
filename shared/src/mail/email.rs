//! The text of the mails.

use maud::{DOCTYPE, html};

use super::notification::OrderNotification;
use crate::domain::{
    inventory::ItemQuantity,
    order::{Line, Order},
};

/// A mail to a customer.
#[derive(Clone, Debug)]
pub enum Email {
    Verification {
        token: String,
    },
    /// Someone registered an address that has an account.
    AlreadyRegistered,
    ResetPassword {
        token: String,
    },
    PasswordChanged,
    /// All sessions were ended, or one whose token was used twice.
    SessionsEnded,
    Order(Box<Order>, OrderNotification),
}

/// Content of a mail, from which the plain-text and HTML versions are written.
#[derive(Default)]
pub struct EmailText {
    pub subject: &'static str,
    paragraphs: Vec<String>,
    /// Products, one per line.
    list: Vec<String>,
    /// Label and address.
    link: Option<(&'static str, String)>,
    /// The token alone, for clients without the web shop.
    token: Option<String>,
    closing: &'static str,
}

impl Email {
    /// Returns the kind under which sent mails are recorded.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Verification { .. } | Self::AlreadyRegistered => "registration",
            Self::ResetPassword { .. } => "reset",
            Self::PasswordChanged => "password",
            Self::SessionsEnded => "sessions",
            Self::Order(..) => "order",
        }
    }

    /// Returns whether anyone who knows the address can have this mail sent.
    pub fn needs_no_account(&self) -> bool {
        match self {
            Self::Verification { .. } | Self::AlreadyRegistered | Self::ResetPassword { .. } => true,
            Self::PasswordChanged | Self::SessionsEnded | Self::Order(..) => false,
        }
    }

    /// Returns the content, in the name of `shop` and with links to `storefront`.
    pub fn text(&self, shop: &str, storefront: &str) -> EmailText {
        let link = |path: &str, token: &str| format!("{storefront}/{path}?token={token}");
        match self {
            Self::Verification { token } => EmailText {
                subject: "Confirm your e-mail address",
                paragraphs: vec![
                    format!("Someone, hopefully you, signed up for {shop} with this e-mail address."),
                    "To open your account, follow the link and enter the password you chose. The link expires in 24 hours."
                        .to_owned(),
                ],
                link: Some(("Confirm my e-mail address", link("verify-email", token))),
                token: Some(token.clone()),
                closing: "If this wasn't you, ignore this mail. No account is opened without your confirmation.",
                ..EmailText::default()
            },
            Self::AlreadyRegistered => EmailText {
                subject: "You already have an account",
                paragraphs: vec![
                    format!(
                        "Someone, perhaps you, tried to sign up for {shop} with this e-mail address, but you already \
                         have an account."
                    ),
                    "Log in with your password. If you have forgotten it, you can reset it on the log-in page."
                        .to_owned(),
                ],
                link: Some(("Log in", storefront.to_owned())),
                closing: "If this wasn't you, ignore this mail. Your account has not changed.",
                ..EmailText::default()
            },
            Self::ResetPassword { token } => EmailText {
                subject: "Reset your password",
                paragraphs: vec![
                    format!("Someone, hopefully you, asked to reset the password of your {shop} account."),
                    "Follow the link to choose a new one. The link works once and expires in 30 minutes. A new password \
                     logs you out on all your devices."
                        .to_owned(),
                ],
                link: Some(("Choose a new password", link("reset-password", token))),
                token: Some(token.clone()),
                closing: "If this wasn't you, ignore this mail. Your password has not changed.",
                ..EmailText::default()
            },
            Self::PasswordChanged => EmailText {
                subject: "Your password was changed",
                paragraphs: vec![format!(
                    "The password of your {shop} account was changed, and all other sessions were logged out."
                )],
                link: Some(("Reset my password", format!("{storefront}/forgot-password"))),
                closing: "If this wasn't you, reset your password now.",
                ..EmailText::default()
            },
            Self::SessionsEnded => EmailText {
                subject: "You were logged out",
                paragraphs: vec![
                    format!("We logged you out of your {shop} account."),
                    "This happens when you log out on all devices, when your account's role or status changes, or when \
                     someone else may have used one of your sessions."
                        .to_owned(),
                ],
                link: Some(("Log in", storefront.to_owned())),
                closing: "If you don't know why this happened, reset your password.",
                ..EmailText::default()
            },
            Self::Order(order, news) => {
                let (subject, paragraph, list) = of_order(shop, order, *news);
                EmailText {
                    subject,
                    paragraphs: vec![paragraph],
                    list,
                    link: Some(("View your order", format!("{storefront}/orders/{}", order.id))),
                    closing: "If you have questions about your order, please contact us.",
                    ..EmailText::default()
                }
            }
        }
    }
}

/// Returns subject, paragraph and product list of a mail about an order.
fn of_order(shop: &str, order: &Order, news: OrderNotification) -> (&'static str, String, Vec<String>) {
    let item = |quantity: i64, line: &Line| format!("{quantity} \u{d7} {}", line.name);
    let all = || order.lines.iter().map(|line| item(line.quantity, line)).collect();
    let shipped_item = |shipped: &ItemQuantity| {
        let line = order.lines.iter().find(|line| line.product_id == shipped.product_id)?;
        Some(item(shipped.quantity, line))
    };
    match news {
        OrderNotification::Confirmed => {
            let text = format!(
                "Thank you for your order from {shop}. Your payment of {} went through, and we will let you know when your \
                 order ships.",
                order.total
            );
            ("Your order is confirmed", text, all())
        }
        OrderNotification::Shipped(id) => {
            let parcel = order.fulfilments.iter().find(|fulfilment| fulfilment.id == id);
            let list = parcel.into_iter().flat_map(|parcel| &parcel.lines).filter_map(shipped_item).collect();
            let text = match parcel.and_then(|parcel| parcel.tracking.as_ref()) {
                Some(tracking) => format!(
                    "These items from your {shop} order have shipped with {}. The tracking number is {}.",
                    tracking.carrier, tracking.number
                ),
                None => format!("These items from your {shop} order have shipped."),
            };
            ("Your order is on its way", text, list)
        }
        OrderNotification::Refunded(amount) => {
            let text = format!(
                "We refunded {amount} of your {shop} order to your original payment method. Your bank may take a few days to \
                 show it."
            );
            ("Your refund is on its way", text, Vec::new())
        }
        OrderNotification::Cancelled => {
            let text = format!(
                "Your {shop} order was cancelled. If you have paid for it, your money is on its way back to your original \
                 payment method."
            );
            ("Your order was cancelled", text, all())
        }
    }
}

impl EmailText {
    pub fn plain(&self) -> String {
        let mut lines = vec!["Hello,".to_owned(), String::new()];
        for paragraph in &self.paragraphs {
            lines.extend([paragraph.clone(), String::new()]);
        }
        if !self.list.is_empty() {
            lines.extend(self.list.iter().cloned().chain([String::new()]));
        }
        if let Some((label, link)) = &self.link {
            lines.extend([format!("{label}:"), link.clone(), String::new()]);
        }
        if let Some(token) = &self.token {
            lines.extend(["Or enter this code:".to_owned(), token.clone(), String::new()]);
        }
        lines.extend([self.closing.to_owned(), String::new()]);
        lines.join("\n")
    }

    pub fn html(&self) -> String {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head { meta charset="utf-8"; title { (self.subject) } }
                body style="font-family: sans-serif; line-height: 1.5; max-width: 36em; margin: 2em auto; padding: 0 1em" {
                    p { "Hello," }
                    @for paragraph in &self.paragraphs { p { (paragraph) } }
                    @if !self.list.is_empty() { ul { @for entry in &self.list { li { (entry) } } } }
                    @if let Some((label, link)) = &self.link { p { a href=(link) { (label) } } }
                    @if let Some(token) = &self.token { p { "Or enter this code: " code { (token) } } }
                    p { (self.closing) }
                }
            }
        };
        page.into_string()
    }
}
