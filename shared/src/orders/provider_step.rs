//! One step with the payment provider, and what the order learns from it.

use crate::{
    domain::{
        change::{ChangeContext, Initiator},
        id::Id,
        inventory::StockChanges,
        order::{ABANDONED_AFTER, Order, OrderError, ProviderStep, TimelineEvent, TimelineEventType},
        payment::{AttemptStatus, Intent, IntentState, Payment, Refund, RefundUpdate},
    },
    error,
    payments::{Provider, ProviderError},
    telemetry::{self, Metric},
};

/// Answer of the provider.
#[derive(Clone)]
pub(super) enum ProviderUpdate {
    Payment(Intent),
    Refund(RefundUpdate),
    RefundRefused(Id<Refund>),
    CaptureRefused(Id<Payment>),
    /// Nothing new, or the answer is lost.
    None,
}

/// Asks the provider for a step.
pub(super) async fn ask(
    provider: &Provider,
    step: &ProviderStep,
    context: &ChangeContext,
) -> Result<ProviderUpdate, ProviderError> {
    match step {
        ProviderStep::Refund(refund, payment) => {
            // The provider forgets idempotency keys after a day, so a late retry looks for the refund first.
            if context.initiator == Initiator::Schedule
                && let Some(update) = find_refund(provider, refund, payment).await?
            {
                return Ok(ProviderUpdate::Refund(update));
            }
            match provider.refund(refund, payment).await {
                Ok(update) => Ok(ProviderUpdate::Refund(update)),
                Err(ProviderError::Refused { .. }) => Ok(ProviderUpdate::RefundRefused(refund.id)),
                Err(error) => Err(error),
            }
        }
        ProviderStep::ResolveRefund(refund, payment) => {
            let update = find_refund(provider, refund, payment).await?;
            Ok(update.map_or(ProviderUpdate::None, ProviderUpdate::Refund))
        }
        ProviderStep::Capture(payment, amount) => match provider.capture(payment, *amount).await {
            Ok(intent) => Ok(ProviderUpdate::Payment(intent)),
            Err(ProviderError::Refused { .. }) => {
                let (intent, _) = provider.read(&payment.provider_id).await?;
                let authorized = intent.state == IntentState::Authorized;
                Ok(if authorized {
                    ProviderUpdate::CaptureRefused(payment.id)
                } else {
                    ProviderUpdate::Payment(intent)
                })
            }
            Err(error) => Err(error),
        },
        ProviderStep::Cancel(payment) => cancel(provider, payment).await.map(ProviderUpdate::Payment),
        ProviderStep::ResolvePayment(payment) => {
            let (intent, _) = provider.read(&payment.provider_id).await?;
            let abandoned = intent.state == IntentState::Unconfirmed
                && context.at.since(payment.created_at) >= ABANDONED_AFTER;
            Ok(ProviderUpdate::Payment(if abandoned { cancel(provider, payment).await? } else { intent }))
        }
    }
}

/// Cancels a payment and returns its state afterwards: it may have been charged before.
pub(super) async fn cancel(provider: &Provider, payment: &Payment) -> Result<Intent, ProviderError> {
    match provider.cancel(payment).await {
        Err(ProviderError::Refused { .. }) => Ok(provider.read(&payment.provider_id).await?.0),
        other => other,
    }
}

async fn find_refund(
    provider: &Provider,
    refund: &Refund,
    payment: &Payment,
) -> Result<Option<RefundUpdate>, ProviderError> {
    Ok(provider.refunds(payment).await?.into_iter().find(|update| update.is_of(refund)))
}

impl ProviderUpdate {
    /// Applies the answer to the order.
    pub fn apply(&self, order: &mut Order, context: &ChangeContext) -> Result<StockChanges, OrderError> {
        match self {
            Self::Payment(intent) => order.apply_payment_update(intent, context),
            Self::Refund(update) => order.apply_refund_update(update, context),
            Self::RefundRefused(id) => {
                order.refuse_refund(*id, context);
                Ok(StockChanges::default())
            }
            Self::CaptureRefused(id) => {
                order.refuse_capture(*id, context);
                Ok(StockChanges::default())
            }
            Self::None => Ok(StockChanges::default()),
        }
    }
}

/// Logs a lost answer of the provider. The order stays in doubt, and reconciliation resolves it.
pub(super) fn log_in_doubt(error: &ProviderError) {
    telemetry::warn("the outcome of a payment is in doubt", &error::chain(error));
}

/// Counts outcomes that the provider had not reported by a response or a webhook.
pub(super) fn count_mismatches(before: &Order, after: &Order) {
    // The shop itself cancels payments that were not authorized.
    let was_authorized = |event: &TimelineEvent| {
        let payment = event.payment_id.and_then(|id| before.payment(id));
        payment.is_some_and(|payment| payment.status == AttemptStatus::Authorized)
    };
    for event in after.events_since(before) {
        let unreported = match event.r#type {
            TimelineEventType::Authorized
            | TimelineEventType::Paid
            | TimelineEventType::PaymentFailed
            | TimelineEventType::RefundFailed => true,
            TimelineEventType::PaymentVoided => was_authorized(event),
            _ => false,
        };
        if unreported {
            telemetry::count(Metric::ReconciliationMismatches);
        }
    }
}
