//! Payments, refunds, and the payment provider's updates about them.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray, VariantNames};

use super::{
    id::{Entity, Id},
    inventory::ItemQuantity,
    money::Money,
    time::Timestamp,
    validation::{self, Object, Violation},
};

/// A payment attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    pub id: Id<Payment>,
    pub status: AttemptStatus,
    pub capture: Capture,
    pub amount: Money,
    pub captured: Money,
    pub refunded: Money,
    /// The provider's code for why the customer's bank declined the payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decline_code: Option<String>,
    /// Action that the customer has to take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_action: Option<NextAction>,
    /// Id of the provider's PaymentIntent.
    pub provider_id: String,
    /// Amount of a capture that the provider has not confirmed yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capturing: Option<Money>,
    pub created_at: Timestamp,
}

impl Entity for Payment {
    const PREFIX: &'static str = "pay";
}

/// State of a payment attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, VariantArray)]
#[serde(rename_all = "snake_case")]
pub enum AttemptStatus {
    /// The provider has not reported an outcome yet.
    Processing,
    /// The customer must complete an action first, such as 3-D Secure.
    RequiresAction,
    /// The bank has reserved the money.
    Authorized,
    /// The money has been collected.
    Captured,
    /// The bank declined.
    Failed,
    /// Cancelled, or not captured before the authorization lapsed.
    Voided,
}

impl AttemptStatus {
    /// Returns whether the transition is allowed.
    pub fn may_become(self, next: Self) -> bool {
        use AttemptStatus::{Authorized, Captured, Failed, Processing, RequiresAction, Voided};
        match self {
            Processing => next != Processing,
            RequiresAction => next != RequiresAction,
            Authorized => matches!(next, Captured | Voided),
            // The provider's latest answer wins over any earlier one.
            Failed => next == Captured,
            Captured | Voided => false,
        }
    }

    /// Returns whether the payment reserves money or may still do so.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Processing | Self::RequiresAction | Self::Authorized)
    }
}

/// When a payment is captured.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr, VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum Capture {
    /// On confirmation.
    Automatic,
    /// On request by staff.
    Manual,
}

/// Action by which the customer authenticates to their bank (3-D Secure).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum NextAction {
    RedirectToUrl { url: String },
}

impl Payment {
    /// Returns the captured amount that is not refunded yet, in minor units.
    pub(super) fn refundable(&self) -> i64 {
        self.captured.amount() - self.refunded.amount()
    }
}

/// Request to pay an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewPayment {
    /// The provider's token for a card, never its number.
    pub payment_method: String,
    pub capture: Capture,
    /// Page to which the customer's bank redirects.
    pub return_url: Option<String>,
}

impl NewPayment {
    pub fn read(body: &mut Object) -> Option<Self> {
        let payment_method = body.field("payment_method").text(payment_method);
        let capture = body.field("capture").or(Capture::Automatic, |field| field.text(validation::one_of));
        let return_url = body.field("return_url").optional(|field| field.text(address));
        Some(Self { payment_method: payment_method?, capture: capture?, return_url: return_url? })
    }
}

fn payment_method(text: &str) -> Result<String, Violation> {
    const FORM: Violation = Violation::Format("a payment method id, such as pm_card_visa");
    let token = text.strip_prefix("pm_").unwrap_or("");
    if text.len() > 255 {
        return Err(Violation::TooLong(255));
    }
    let fits = !token.is_empty() && token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if fits { Ok(text.to_owned()) } else { Err(FORM) }
}

fn address(text: &str) -> Result<String, Violation> {
    if text.len() > 2048 {
        return Err(Violation::TooLong(2048));
    }
    let web = url::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    web.map(|_| text.to_owned()).ok_or(Violation::Format("an http or https URL"))
}

/// Request to capture an authorized payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewCapture {
    /// Minor units of the order's currency; everything authorized if absent.
    pub amount: Option<i64>,
}

impl NewCapture {
    pub fn read(body: &mut Object) -> Option<Self> {
        Some(Self { amount: amount(body)? })
    }
}

fn amount(body: &mut Object) -> Option<Option<i64>> {
    body.field("amount").optional(|field| {
        field.integer(|amount| if amount < 1 { Err(Violation::TooSmall(1)) } else { Ok(amount) })
    })
}

/// Request to refund a payment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NewRefund {
    /// Minor units of the order's currency; everything left if absent.
    pub amount: Option<i64>,
    /// Note for staff.
    pub reason: Option<String>,
    /// Returned pieces to put back on sale.
    pub restock: Vec<ItemQuantity>,
    /// Pieces that need no longer be shipped.
    pub release: Vec<ItemQuantity>,
}

impl NewRefund {
    pub fn read(body: &mut Object) -> Option<Self> {
        let amount = amount(body);
        let reason =
            body.field("reason").optional(|field| field.text(|text| validation::prose(text, 1, 500)));
        let restock = body.field("restock").or(Vec::new(), ItemQuantity::read_list);
        let release = body.field("release").or(Vec::new(), ItemQuantity::read_list);
        Some(Self { amount: amount?, reason: reason?, restock: restock?, release: release? })
    }
}

/// A refund, with what happens to the goods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    pub id: Id<Refund>,
    pub payment_id: Id<Payment>,
    pub status: RefundStatus,
    pub amount: Money,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub restock: Vec<ItemQuantity>,
    pub release: Vec<ItemQuantity>,
    /// The provider's id, once it has accepted the refund.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<String>,
    pub created_at: Timestamp,
}

impl Entity for Refund {
    const PREFIX: &'static str = "ref";
}

impl Refund {
    /// Returns whether the provider may not have received the refund.
    pub fn is_in_doubt(&self) -> bool {
        self.status == RefundStatus::Pending && self.provider_id.is_none()
    }
}

/// State of a refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundStatus {
    Pending,
    Succeeded,
    /// The provider refused the refund, or the customer's bank returned it.
    Failed,
}

/// The provider's current answer about a payment. It supersedes all earlier ones, in whatever order they arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// Id of the PaymentIntent.
    pub id: String,
    pub state: IntentState,
}

/// State of a payment at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IntentState {
    /// No one has confirmed it.
    Unconfirmed,
    Processing,
    RequiresAction(Option<NextAction>),
    /// Declined, with the decline code.
    Declined(String),
    Authorized,
    /// In minor units.
    Captured(i64),
    /// Cancelled, or lapsed.
    Cancelled,
}

/// The provider's current answer about a refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundUpdate {
    /// The shop's id, if the shop made the refund.
    pub refund_id: Option<Id<Refund>>,
    /// Id of the provider's PaymentIntent.
    pub provider_id: String,
    pub status: RefundStatus,
}

impl RefundUpdate {
    pub fn is_of(&self, refund: &Refund) -> bool {
        self.refund_id == Some(refund.id) || refund.provider_id.as_ref() == Some(&self.provider_id)
    }
}

/// The provider's current answer about a dispute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisputeUpdate {
    /// The customer's bank claims the money back.
    Opened,
    /// The shop keeps the money.
    Won,
    /// The bank has withdrawn the money.
    Lost,
}
