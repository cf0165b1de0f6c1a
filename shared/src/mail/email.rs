//! The text of the mails.

use maud::{DOCTYPE, html};

use super::notification::OrderNotification;
use crate::domain::{
    inventory::ItemQuantity,
    money::Money,
    order::{Fulfilment, Line, Order},
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

    pub fn text(&self, storefront: &str) -> EmailText {
        let link = |path: &str, token: &str| format!("{storefront}/{path}?token={token}");
        match self {
            Self::Verification { token } => EmailText {
                subject: "Confirm your e-mail address",
                paragraphs: vec![
                    "somebody, we hope you, wants to open an account with this e-mail address.".to_owned(),
                    "To confirm it, follow the link and enter the password that you chose. The link is good for 24 hours."
                        .to_owned(),
                ],
                link: Some(("Confirm my address", link("verify-email", token))),
                token: Some(token.clone()),
                closing: "If it was not you, do nothing: without this mail and the password no account is opened.",
                ..EmailText::default()
            },
            Self::AlreadyRegistered => EmailText {
                subject: "You already have an account",
                paragraphs: vec![
                    "somebody, perhaps you, wanted to open an account with this e-mail address. You have one already."
                        .to_owned(),
                    "You can log in with your password. If you have forgotten it, ask for a new one.".to_owned(),
                ],
                link: Some(("Log in", storefront.to_owned())),
                closing: "If it was not you, do nothing: your account is as it was.",
                ..EmailText::default()
            },
            Self::ResetPassword { token } => EmailText {
                subject: "Choose a new password",
                paragraphs: vec![
                    "somebody, we hope you, has asked for a new password for your account.".to_owned(),
                    "To choose one, follow the link. It is good once, for 30 minutes, and ends all your sessions."
                        .to_owned(),
                ],
                link: Some(("Choose a new password", link("reset-password", token))),
                token: Some(token.clone()),
                closing: "If it was not you, do nothing: your password is as it was.",
                ..EmailText::default()
            },
            Self::PasswordChanged => EmailText {
                subject: "Your password was changed",
                paragraphs: vec![
                    "the password of your account was changed, and your other sessions were ended.".to_owned(),
                ],
                link: Some(("Choose a new password", format!("{storefront}/forgot-password"))),
                closing: "If it was not you, choose a new password at once: follow the link and ask for one.",
                ..EmailText::default()
            },
            Self::SessionsEnded => EmailText {
                subject: "Your sessions were ended",
                paragraphs: vec![
                    "you were logged out: at your own wish, because your account has changed, or because one of your \
                     sessions looked as if it were used by somebody else."
                        .to_owned(),
                    "Log in again to go on.".to_owned(),
                ],
                link: Some(("Log in", storefront.to_owned())),
                closing: "If you don't know why, choose a new password.",
                ..EmailText::default()
            },
            Self::Order(order, news) => {
                let (subject, paragraph, list) = of_order(order, *news);
                EmailText {
                    subject,
                    paragraphs: vec![paragraph],
                    list,
                    link: Some(("Your order", format!("{storefront}/orders/{}", order.id))),
                        closing: "Thank you for your order.",
                    ..EmailText::default()
                }
            }
        }
    }
}

/// Returns subject, paragraph and product list of a mail about an order.
fn of_order(order: &Order, news: OrderNotification) -> (&'static str, String, Vec<String>) {
    let piece = |quantity: i64, line: &Line| format!("{quantity} \u{d7} {}", line.name);
    let all = || order.lines.iter().map(|line| piece(line.quantity, line)).collect();
    let shipped_item = |item: &ItemQuantity| {
        let line = order.lines.iter().find(|line| line.product_id == item.product_id)?;
        Some(piece(item.quantity, line))
    };
    match news {
        OrderNotification::Confirmed => {
            let say = format!("your order is confirmed, and paid with {}. We ship it soon.", order.total);
            ("Your order is confirmed", say, all())
        }
        OrderNotification::Shipped(id) => {
            let parcel = order.fulfilments.iter().find(|fulfilment| fulfilment.id == id);
            let list = parcel.into_iter().flat_map(|parcel| &parcel.lines).filter_map(shipped_item).collect();
            ("Your order is on its way", shipped(parcel), list)
        }
        OrderNotification::Refunded(amount) => {
            ("Your money is on its way back", refunded(amount), Vec::new())
        }
        OrderNotification::Cancelled => {
            let say = "your order is cancelled. What you have paid for it goes back to you.".to_owned();
            ("Your order is cancelled", say, all())
        }
    }
}

fn shipped(parcel: Option<&Fulfilment>) -> String {
    let on_its_way = "we have shipped what stands below";
    match parcel.and_then(|parcel| parcel.tracking.as_ref()) {
        Some(tracking) => {
            format!("{on_its_way}. {} has it, as number {}.", tracking.carrier, tracking.number)
        }
        None => format!("{on_its_way}."),
    }
}

fn refunded(amount: Money) -> String {
    format!("we have given back {amount}. It may take your bank some days to show it.")
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
            lines.extend(["The code in it:".to_owned(), token.clone(), String::new()]);
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
                    @if let Some(token) = &self.token { p { "The code in it: " code { (token) } } }
                    p { (self.closing) }
                }
            }
        };
        page.into_string()
    }
}
