//! `POST /orders/{order_id}/capture`: captures all or part of an authorized payment.

use shared::{
    auth::OrderAccess,
    domain::payment::{AttemptStatus, NewCapture, Payment},
    orders::Checkout,
    prelude::*,
    store::idempotency::Idempotent,
};

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<(Keys, Checkout), ConfigError> {
    Ok((store.keys().await?, Checkout::open(store.audited()?.orders()?).await?))
}

async fn handle((keys, checkout): &(Keys, Checkout), request: Request) -> Result<Response, Error> {
    let staff = OrderAccess::Any(request.staff(keys, Scope::PaymentsWrite).await?);
    let (id, key) = (request.path_id("order_id")?, request.idempotency_key()?);
    let new = request.json_if_any(NewCapture::read)?;

    let once = key.bind(staff.authority(), &(id, &new))?;
    let payment = checkout.capture(&staff, id, &new, &once).await?;

    Ok(respond(&payment)?.replayed_if(payment.replayed))
}

fn respond(payment: &Idempotent<Payment>) -> Result<Response, Error> {
    let problem = |error| Ok(Response::problem(&error, &payment.request_id));
    match (payment.value.status, payment.value.capturing) {
        (AttemptStatus::Captured, _) => Response::ok(&payment.value),
        (AttemptStatus::Authorized, None) => problem(Error::CaptureRefused),
        (AttemptStatus::Voided | AttemptStatus::Failed, _) => problem(Error::AuthorizationExpired),
        _ => Response::in_progress(&payment.value),
    }
}
