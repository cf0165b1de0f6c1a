//! `POST /orders/{order_id}/capture`: takes the money that is reserved, or a part of it.

use std::process::ExitCode;

use shared::{
    auth::{OrderAccess, Scope},
    checkout::Checkout,
    domain::payment::{NewCapture, Payment, Status},
    error::Error,
    http::{self, Answer, Request},
    store::{Store, keys::Keys},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let open = async |store: Store| Ok((store.keys().await?, Checkout::open(store.orders()?).await?));
    http::serve(env!("CARGO_PKG_NAME"), open, capture).await
}

async fn capture((keys, checkout): &(Keys, Checkout), request: Request) -> Result<Answer, Error> {
    let staff = OrderAccess::Any(request.staff(keys, Scope::PaymentsWrite).await?);
    let (id, key) = (request.path_id("order_id")?, request.idempotency_key()?);
    let new = request.json_if_any(NewCapture::read)?;

    let attempt = key.attempt(staff.actor(), &(id, &new))?;
    let answered = checkout
        .capture(&staff, id, &new, &attempt, |payment| Ok(answer(&request, payment)?.recorded()))
        .await?;

    Answer::of_attempt(answered)
}

/// What the staff hears of it.
fn answer(request: &Request, payment: &Payment) -> Result<Answer, Error> {
    match (payment.status, payment.capturing) {
        (Status::Captured, _) => Answer::ok(payment),
        (Status::Authorized, None) => Ok(Answer::problem(&Error::CaptureRefused, request)),
        (Status::Voided | Status::Failed, _) => Ok(Answer::problem(&Error::AuthorizationExpired, request)),
        _ => Answer::under_way(payment),
    }
}
