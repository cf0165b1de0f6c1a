//! `POST /orders/{order_id}/refunds`: refunds all or part of a payment.

use shared::{
    auth::OrderAccess,
    domain::payment::{NewRefund, Refund, RefundStatus},
    orders::Checkout,
    prelude::*,
    store::idempotency::Idempotent,
};

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<(Keys, Checkout), ConfigError> {
    Ok((store.keys().await?, Checkout::open(store.audited()?.orders_and_stock()?).await?))
}

async fn handle((keys, checkout): &(Keys, Checkout), request: Request) -> Result<Response, Error> {
    let staff = OrderAccess::Any(request.staff(keys, Scope::PaymentsWrite).await?);
    let (id, key) = (request.path_id("order_id")?, request.idempotency_key()?);
    let new = request.json_if_any(NewRefund::read)?;

    let once = key.bind(staff.authority(), &(id, &new))?;
    let refund = checkout.refund(&staff, id, &new, request.new_id()?, &once).await?;

    Ok(respond(&refund)?.replayed_if(refund.replayed))
}

fn respond(refund: &Idempotent<Refund>) -> Result<Response, Error> {
    match refund.value.status {
        RefundStatus::Failed => Ok(Response::problem(&Error::RefundRefused, &refund.request_id)),
        _ if refund.value.is_in_doubt() => Response::in_progress(&refund.value),
        RefundStatus::Pending | RefundStatus::Succeeded => Response::created(&refund.value),
    }
}
