//! `POST /orders/{order_id}/refunds`: money goes back, and what was ordered becomes free or comes back.

use std::process::ExitCode;

use shared::{
    auth::{OrderAccess, Scope},
    checkout::Checkout,
    domain::payment::{NewRefund, Refund, RefundStatus},
    error::Error,
    http::{self, Answer, Request},
    store::{Store, keys::Keys},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let open =
        async |store: Store| Ok((store.keys().await?, Checkout::open(store.orders_and_stock()?).await?));
    http::serve(env!("CARGO_PKG_NAME"), open, refund).await
}

async fn refund((keys, checkout): &(Keys, Checkout), request: Request) -> Result<Answer, Error> {
    let staff = OrderAccess::Any(request.staff(keys, Scope::PaymentsWrite).await?);
    let (id, key) = (request.path_id("order_id")?, request.idempotency_key()?);
    let new = request.json_if_any(NewRefund::read)?;

    let attempt = key.attempt(staff.actor(), &(id, &new))?;
    let answered = checkout
        .refund(&staff, id, &new, request.new_id()?, &attempt, |refund| {
            Ok(answer(&request, refund)?.recorded())
        })
        .await?;

    Answer::of_attempt(answered)
}

/// What the staff hears of it.
fn answer(request: &Request, refund: &Refund) -> Result<Answer, Error> {
    match refund.status {
        RefundStatus::Failed => Ok(Answer::problem(&Error::RefundRefused, request)),
        _ if refund.is_in_doubt() => Answer::under_way(refund),
        RefundStatus::Pending | RefundStatus::Succeeded => Answer::created(refund),
    }
}
