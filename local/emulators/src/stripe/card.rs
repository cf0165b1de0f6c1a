//! The payment methods: Stripe's own for tests, <https://docs.stripe.com/testing>, and further ones for what Stripe can't
//! be asked to do.

/// What becomes of a charge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Card {
    /// It succeeds.
    Good,
    /// It is declined: with this decline code.
    Declined(&'static str),
    /// Its owner must prove to be the owner first.
    AuthenticationRequired,
    /// It succeeds; a refund succeeds, and fails later.
    RefundFails,
    /// It succeeds; a refund is pending, and succeeds later.
    RefundPends,
    /// It succeeds, and is disputed later.
    Disputed,
    /// Stripe answers before it knows, and does not come to know by itself.
    Processing,
    /// Nothing is charged, and nothing answered.
    NeverAnswers,
    /// It succeeds, but the connection is cut.
    AnswerLost,
    /// It succeeds; the answer takes long.
    Slow,
    /// Stripe fails. Nothing is charged.
    Error,
    /// The first confirmation of an intent meets the rate limit; the next goes through.
    RateLimited,
}

impl Card {
    /// The card behind the id of a payment method.
    pub fn of(payment_method: &str) -> Option<Self> {
        Some(match payment_method {
            "pm_card_visa" => Self::Good,
            "pm_card_visa_chargeDeclined" | "pm_card_chargeCustomerFail" => Self::Declined("generic_decline"),
            "pm_card_visa_chargeDeclinedInsufficientFunds" => Self::Declined("insufficient_funds"),
            "pm_card_authenticationRequired" => Self::AuthenticationRequired,
            "pm_card_refundFail" => Self::RefundFails,
            "pm_card_pendingRefund" => Self::RefundPends,
            "pm_card_createDispute" => Self::Disputed,
            "pm_processing" => Self::Processing,
            "pm_never_answers" => Self::NeverAnswers,
            "pm_charged_answer_lost" => Self::AnswerLost,
            "pm_slow" => Self::Slow,
            "pm_error_500" => Self::Error,
            "pm_rate_limited" => Self::RateLimited,
            _ => return None,
        })
    }
}
