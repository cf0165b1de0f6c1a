//! Payments and refunds, and what the provider says of them.

use serde::{Deserialize, Serialize};

use super::{
    id::{Entity, Id},
    input::{self, Fault, Object},
    money::Money,
    order::Pick,
    time::Timestamp,
};

/// One attempt to pay an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// Its identifier.
    pub id: Id<Payment>,
    /// What came of it.
    pub status: Status,
    /// Whether the money is taken at once.
    pub capture: Capture,
    /// What is to be paid.
    pub amount: Money,
    /// What the shop has taken.
    pub captured: Money,
    /// What of that went back.
    pub refunded: Money,
    /// Why the customer's bank declined it, in the provider's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decline_code: Option<String>,
    /// What the customer has to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_action: Option<NextAction>,
    /// The provider's id for it.
    pub provider_id: String,
    /// What the provider was asked to capture, as long as it has not said that it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capturing: Option<Money>,
    /// When it was begun.
    pub created_at: Timestamp,
}

impl Entity for Payment {
    const PREFIX: &'static str = "pay";
}

/// What came of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The provider has not said yet.
    Processing,
    /// The customer has to do something first.
    RequiresAction,
    /// The money is reserved.
    Authorized,
    /// The money is the shop's.
    Captured,
    /// It was declined.
    Failed,
    /// It was called off, or not captured in time.
    Voided,
}

impl Status {
    /// All that there are.
    pub const ALL: [Self; 6] = [
        Self::Processing,
        Self::RequiresAction,
        Self::Authorized,
        Self::Captured,
        Self::Failed,
        Self::Voided,
    ];

    /// Whether it may go on to another.
    pub fn may_become(self, next: Self) -> bool {
        use Status::{Authorized, Captured, Failed, Processing, RequiresAction, Voided};
        match self {
            Processing => next != Processing,
            RequiresAction => next != RequiresAction,
            Authorized => matches!(next, Captured | Voided),
            // The provider's word is the last, whatever was heard before.
            Failed => next == Captured,
            Captured | Voided => false,
        }
    }

    /// Whether money is reserved by it, or may be.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Processing | Self::RequiresAction | Self::Authorized)
    }
}

/// When the money of a payment is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capture {
    /// At once.
    Automatic,
    /// When the staff says so.
    Manual,
}

impl Capture {
    /// As the API and the provider write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Automatic => "automatic",
            Self::Manual => "manual",
        }
    }
}

/// What a customer has to do for a payment: go there, and prove to their bank who they are (3-D Secure).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum NextAction {
    /// Open a page.
    RedirectToUrl {
        /// Its address.
        url: String,
    },
}

impl Payment {
    /// What of it could still go back, but for what is on its way.
    pub(super) fn left(&self) -> i64 {
        self.captured.amount() - self.refunded.amount()
    }
}

/// How a customer wants to pay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewPayment {
    /// The provider's token of a card, never its number.
    pub payment_method: String,
    /// When the money is taken.
    pub capture: Capture,
    /// Where the customer's bank sends them back to.
    pub return_url: Option<String>,
}

impl NewPayment {
    /// Reads it from a client's object.
    pub fn read(body: &mut Object) -> Option<Self> {
        let payment_method = body.field("payment_method").text(payment_method);
        let capture = body.field("capture").or(Capture::Automatic, |field| {
            field.text(|text| match text {
                "automatic" => Ok(Capture::Automatic),
                "manual" => Ok(Capture::Manual),
                _ => Err(Fault::UnknownValue("automatic, manual")),
            })
        });
        let return_url = body.field("return_url").optional(|field| field.text(address));
        Some(Self { payment_method: payment_method?, capture: capture?, return_url: return_url? })
    }
}

fn payment_method(text: &str) -> Result<String, Fault> {
    const FORM: Fault = Fault::Format("a token of the payment provider, as in pm_card_visa");
    let token = text.strip_prefix("pm_").unwrap_or_default();
    if text.len() > 255 {
        return Err(Fault::TooLong(255));
    }
    let fits = !token.is_empty() && token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if fits { Ok(text.to_owned()) } else { Err(FORM) }
}

fn address(text: &str) -> Result<String, Fault> {
    if text.len() > 2048 {
        return Err(Fault::TooLong(2048));
    }
    let web = url::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    web.map(|_| text.to_owned()).ok_or(Fault::Format("a web address"))
}

/// How much of what is reserved is to be taken; all of it, if nothing is said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewCapture {
    /// In minor units of the order's currency.
    pub amount: Option<i64>,
}

impl NewCapture {
    /// Reads it from a client's object.
    pub fn read(body: &mut Object) -> Option<Self> {
        Some(Self { amount: amount(body)? })
    }
}

fn amount(body: &mut Object) -> Option<Option<i64>> {
    body.field("amount").optional(|field| {
        field.integer(|amount| if amount < 1 { Err(Fault::TooSmall(1)) } else { Ok(amount) })
    })
}

/// What is to go back to the customer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NewRefund {
    /// In minor units of the order's currency; all that is left, if nothing is said.
    pub amount: Option<i64>,
    /// Why, for the staff.
    pub reason: Option<String>,
    /// What came back, and is on sale again.
    pub restock: Vec<Pick>,
    /// What need not be shipped any more.
    pub release: Vec<Pick>,
}

impl NewRefund {
    /// Reads it from a client's object.
    pub fn read(body: &mut Object) -> Option<Self> {
        let amount = amount(body);
        let reason = body.field("reason").optional(|field| field.text(|text| input::prose(text, 1, 500)));
        let restock = body.field("restock").or(Vec::new(), Pick::read_list);
        let release = body.field("release").or(Vec::new(), Pick::read_list);
        Some(Self { amount: amount?, reason: reason?, restock: restock?, release: release? })
    }
}

/// Money that goes back, and what becomes of the goods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// Its identifier.
    pub id: Id<Refund>,
    /// The payment that it is taken from.
    pub payment_id: Id<Payment>,
    /// How far it is.
    pub status: RefundStatus,
    /// How much goes back.
    pub amount: Money,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What came back, and is on sale again.
    pub restock: Vec<Pick>,
    /// What is not shipped any more.
    pub release: Vec<Pick>,
    /// The provider's id for it, once it has accepted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<String>,
    /// When it was begun.
    pub created_at: Timestamp,
}

impl Entity for Refund {
    const PREFIX: &'static str = "ref";
}

impl Refund {
    /// Whether it is not known if the provider has heard of it.
    pub fn is_in_doubt(&self) -> bool {
        self.status == RefundStatus::Pending && self.provider_id.is_none()
    }
}

/// How far a refund is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundStatus {
    /// On its way, or not yet accepted.
    Pending,
    /// The money has gone back.
    Succeeded,
    /// The provider has refused it, or could not bring it to the customer.
    Failed,
}

/// What the provider says of a payment, now. Whatever else was heard of it, and in whatever order, this is what counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// The provider's id for the payment.
    pub id: String,
    /// How it stands.
    pub state: IntentState,
}

/// How a payment stands with the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IntentState {
    /// Nobody has tried to charge it.
    Unconfirmed,
    /// The bank thinks about it.
    Processing,
    /// The customer has to do something.
    RequiresAction(Option<NextAction>),
    /// Declined, with the reason.
    Declined(String),
    /// The money is reserved.
    Authorized,
    /// So many minor units were taken.
    Captured(i64),
    /// Called off, or lapsed.
    Cancelled,
}

/// What the provider says of a refund, now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundNews {
    /// The shop's id for it, if the shop has made it.
    pub refund_id: Option<Id<Refund>>,
    /// The provider's id for it.
    pub provider_id: String,
    /// How far it is.
    pub status: RefundStatus,
}

impl RefundNews {
    /// Whether it is said of that refund.
    pub fn is_of(&self, refund: &Refund) -> bool {
        self.refund_id == Some(refund.id) || refund.provider_id.as_ref() == Some(&self.provider_id)
    }
}

/// What the provider says of a dispute, now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisputeNews {
    /// The customer's bank wants the money back.
    Opened,
    /// The shop keeps it.
    Won,
    /// The bank has taken it.
    Lost,
}
