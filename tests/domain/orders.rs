//! State transitions and arithmetic of orders.

use proptest::prelude::*;
use serde_json::{Value, json};
use shared::domain::{
    change::{ChangeContext, Initiator},
    id::Id,
    inventory::{ItemQuantity, StockChanges},
    money::Money,
    order::{
        FulfilmentStatus, Line, NewFulfilment, NewOrder, Order, OrderError, OrderStatus, PaymentStatus,
        PlaceOrderError,
    },
    order_id::OrderId,
    payment::{
        AttemptStatus, Capture, Intent, IntentState, NewPayment, NewRefund, RefundStatus, RefundUpdate,
    },
    product::{NewProduct, Product, ProductStatus},
    time::Timestamp,
    validation::{self, FieldError, Violation},
};
use strum::VariantArray;

/// Allowed transitions, written by hand as a second source.
pub(crate) fn order_may_become(status: OrderStatus) -> &'static [OrderStatus] {
    match status {
        OrderStatus::Open => &[OrderStatus::Completed, OrderStatus::Cancelled, OrderStatus::Expired],
        OrderStatus::Completed | OrderStatus::Cancelled | OrderStatus::Expired => &[],
    }
}

pub(crate) fn payment_may_become(status: PaymentStatus) -> &'static [PaymentStatus] {
    use PaymentStatus::{Authorized, Paid, PartiallyRefunded, Processing, Refunded, Unpaid, Voided};
    match status {
        Unpaid => &[Processing, Paid],
        Processing => &[Unpaid, Authorized, Paid],
        Authorized => &[Paid, Voided],
        Paid => &[PartiallyRefunded, Refunded],
        PartiallyRefunded => &[Refunded, Paid],
        Refunded => &[PartiallyRefunded, Paid],
        Voided => &[Processing, Paid],
    }
}

pub(crate) fn fulfilment_may_become(status: FulfilmentStatus) -> &'static [FulfilmentStatus] {
    use FulfilmentStatus::{Fulfilled, PartiallyFulfilled, Unfulfilled};
    match status {
        Unfulfilled => &[PartiallyFulfilled, Fulfilled],
        PartiallyFulfilled => &[Fulfilled],
        Fulfilled => &[],
    }
}

pub(crate) fn status_may_become(status: AttemptStatus) -> &'static [AttemptStatus] {
    use AttemptStatus::{Authorized, Captured, Failed, Processing, RequiresAction, Voided};
    match status {
        Processing => &[RequiresAction, Authorized, Captured, Failed, Voided],
        RequiresAction => &[Processing, Authorized, Captured, Failed, Voided],
        Authorized => &[Captured, Voided],
        Failed => &[Captured],
        Captured | Voided => &[],
    }
}

#[test]
fn i10_the_tables_of_transitions_are_these_and_no_others() {
    fn compare<T: Copy + PartialEq + std::fmt::Debug + 'static>(
        all: &[T],
        may_become: impl Fn(T, T) -> bool,
        table: impl Fn(T) -> &'static [T],
    ) {
        for (from, to) in all.iter().flat_map(|from| all.iter().map(move |to| (*from, *to))) {
            assert_eq!(may_become(from, to), table(from).contains(&to), "{from:?} to {to:?}");
        }
    }
    compare(OrderStatus::VARIANTS, OrderStatus::may_become, order_may_become);
    compare(PaymentStatus::VARIANTS, PaymentStatus::may_become, payment_may_become);
    compare(FulfilmentStatus::VARIANTS, FulfilmentStatus::may_become, fulfilment_may_become);
    compare(AttemptStatus::VARIANTS, AttemptStatus::may_become, status_may_become);
}

#[test]
fn i10_a_closed_order_refuses_everything_that_would_open_it() {
    let (mut order, _) =
        place(vec![json!({"product_id": id::<Product>(0), "quantity": 2})], &[product(0, 100, "EUR")])
            .unwrap();
    order.begin_cancellation(&context()).unwrap();
    assert_eq!(order.status, OrderStatus::Cancelled);
    let closed = order.clone();
    assert_eq!(order.check_payable(context().at), Err(OrderError::NotPayable));
    assert_eq!(order.begin_cancellation(&context()), Err(OrderError::NotCancellable));
    assert_eq!(order.expire(&context()), Err(OrderError::NotExpired));
    assert_eq!(order.begin_refund(id(9), refund(&[], &[]), &context()), Err(OrderError::NotRefundable));
    assert_eq!(order.fulfil(id(9), fulfilment(&[]), &context()), Err(OrderError::NotFulfillable));
    assert_eq!(order, closed);
}

#[test]
fn a_refund_that_fails_late_ends_a_cancellation_which_can_be_begun_again() {
    let mut order = paid(&[2]);
    let part = NewRefund { amount: Some(50), ..refund(&[], &[]) };
    order.begin_refund(id(9), part, &context()).unwrap();
    accept(&mut order);
    order.begin_cancellation(&context()).unwrap();
    let failed = RefundUpdate {
        refund_id: Some(id(9)),
        provider_id: order.refunds[0].provider_id.clone().unwrap(),
        status: RefundStatus::Failed,
    };
    order.apply_refund_update(&failed, &context()).unwrap();
    accept(&mut order);
    assert_eq!((order.status, order.payment_status), (OrderStatus::Open, PaymentStatus::PartiallyRefunded));

    // Its refund is a new one: the provider takes the same id for the same refund.
    order.begin_cancellation(&context()).unwrap();
    assert_ne!(order.refunds[1].id, order.refunds[2].id);
    accept(&mut order);
    assert_eq!((order.status, order.payment_status), (OrderStatus::Cancelled, PaymentStatus::Refunded));
    assert_eq!(order.payments[0].refunded, order.total);
}

#[test]
fn what_was_shipped_on_an_authorization_that_lapsed_can_be_paid_once_more_or_expires() {
    let (mut order, _) =
        place(vec![json!({"product_id": id::<Product>(0), "quantity": 2})], &[product(0, 100, "EUR")])
            .unwrap();
    let new = NewPayment { payment_method: "pm_1".to_owned(), capture: Capture::Manual, return_url: None };
    order.begin_payment(id(3), "pi_1".to_owned(), &new, &context()).unwrap();
    for state in [IntentState::Authorized, IntentState::Cancelled] {
        order.apply_payment_update(&Intent { id: "pi_1".to_owned(), state }, &context()).unwrap();
        if order.payment_status == PaymentStatus::Authorized {
            order
                .fulfil(id(9), fulfilment(&[ItemQuantity { product_id: id(0), quantity: 1 }]), &context())
                .unwrap();
        }
    }
    order.check_payable(context().at).unwrap();
    let late = ChangeContext { at: order.expires_at.unwrap(), ..context() };
    let stocks = order.expire(&late).unwrap();
    assert_eq!(order.status, OrderStatus::Expired);
    assert_eq!(
        stocks.iter().map(|change| (change.reserved, change.available)).collect::<Vec<_>>(),
        [(-1, 1)]
    );
}

proptest! {
    #[test]
    fn i12_an_order_costs_exactly_what_its_lines_cost_or_is_refused(
        prices in prop::collection::vec(any_price(), 1..6),
        items in prop::collection::vec((0_usize..6, 1_i64..=10_000), 1..=50),
    ) {
        let catalogue: Vec<_> = prices.iter().zip(0..).map(|(price, n)| product(n, *price, "EUR")).collect();
        let items: Vec<_> = items.into_iter().map(|(n, quantity)| (n % prices.len(), quantity)).collect();
        let exact: i128 = items.iter().map(|(n, quantity)| i128::from(prices[*n]) * i128::from(*quantity)).sum();
        let body = items.iter().map(|(n, quantity)| json!({"product_id": catalogue[*n].id, "quantity": quantity}));
        match (place(body.collect(), &catalogue), i64::try_from(exact)) {
            (Ok((order, stocks)), Ok(exact)) => {
                prop_assert_eq!(order.total.amount(), exact);
                prop_assert_eq!(order.lines.iter().map(|line| line.total.amount()).sum::<i64>(), exact);
                // Each product is one line, where it was first named, and one change of its stock.
                let mut merged: Vec<(usize, i64)> = Vec::new();
                for (n, quantity) in items {
                    match merged.iter_mut().find(|(known, _)| *known == n) {
                        Some((_, sum)) => *sum += quantity,
                        None => merged.push((n, quantity)),
                    }
                }
                prop_assert_eq!(order.lines.len(), merged.len());
                for ((line, change), (n, quantity)) in order.lines.iter().zip(stocks.iter()).zip(merged) {
                    prop_assert_eq!((line.product_id, line.quantity, line.open()), (catalogue[n].id, quantity, quantity));
                    prop_assert_eq!((line.unit_price, line.total.amount()), (catalogue[n].details.price, prices[n] * quantity));
                    prop_assert_eq!(change.product_id, line.product_id);
                    prop_assert_eq!((change.on_hand, change.reserved, change.available), (0, quantity, -quantity));
                }
            }
            (Err(PlaceOrderError::Invalid(errors)), Err(_)) => {
                prop_assert_eq!(errors.into_iter().map(|invalid| invalid.violation).collect::<Vec<_>>(), [Violation::TooLarge(i64::MAX)]);
            }
            (placed, _) => prop_assert!(false, "{exact}: {placed:?}"),
        }
    }

    #[test]
    fn i12_the_price_is_the_server_s(price in 1..=Money::MAX_PRICE, quantity in 1_i64..=10_000, expected in 0..=i64::MAX) {
        let catalogue = [product(0, price, "EUR")];
        let body = |expected: i64, currency: &str| json!({
            "items": [{"product_id": id::<Product>(0), "quantity": quantity}],
            "shipping_address": address(),
            "expected_total": {"amount": expected, "currency": currency},
        });
        let place = |body: Value| {
            validation::read(body, NewOrder::read).unwrap().place(OrderId::new(id(1), id(2)), &catalogue, &context())
        };
        let total = price * quantity;
        prop_assert_eq!(place(body(total, "EUR")).unwrap().0.total.amount(), total);
        let misfit = PlaceOrderError::PriceChanged(Money::new(total, catalogue[0].details.price.currency()));
        prop_assert_eq!(place(body(total, "USD")).unwrap_err(), misfit.clone());
        prop_assume!(expected != total);
        prop_assert_eq!(place(body(expected, "EUR")).unwrap_err(), misfit);
    }

    #[test]
    fn what_is_not_on_sale_or_of_another_currency_is_named_by_its_place(
        items in prop::collection::vec(0_u128..5, 1..12),
        archived in 0_u128..5,
        foreign in 0_u128..5,
    ) {
        let mut catalogue: Vec<_> =
            (0..4).map(|n| product(n, 100, if n == foreign { "USD" } else { "EUR" })).collect();
        catalogue.iter_mut().filter(|p| p.id == id(archived)).for_each(|p| p.status = ProductStatus::Archived);
        let body = items.iter().map(|n| json!({"product_id": id::<Product>(*n), "quantity": 1})).collect();
        let missing: Vec<_> = (0..items.len()).filter(|place| items[*place] == 4 || items[*place] == archived).collect();
        let mixed = items.iter().position(|n| (*n == foreign) != (items[0] == foreign));
        let errors = match place(body, &catalogue) {
            Ok(_) => Vec::new(),
            Err(PlaceOrderError::Invalid(errors)) => errors.to_vec(),
            Err(misfit) => panic!("{misfit:?}"),
        };
        let places: Vec<_> = errors.iter().map(|invalid| (invalid.pointer.clone(), invalid.violation.code())).collect();
        let named = |place: usize, code| (format!("/items/{place}/product_id"), code);
        let expected: Vec<_> = if missing.is_empty() {
            mixed.map(|place| named(place, "mixed_currencies")).into_iter().collect()
        } else {
            missing.into_iter().map(|place| named(place, "unknown_value")).collect()
        };
        prop_assert_eq!(places, expected);
    }

    #[test]
    fn no_more_is_shipped_than_is_left_and_no_more_comes_back_than_was_shipped(
        quantities in prop::collection::vec(1_i64..6, 1..4),
        rounds in prop::collection::vec((any::<bool>(), any_picks()), 1..6),
    ) {
        let mut order = paid(&quantities);
        let mut on_hand: i64 = quantities.iter().sum();
        for (is_shipment, picks) in rounds {
            let before = order.clone();
            let known = |line: &Line| if is_shipment { line.open() } else { line.fulfilled - line.restocked };
            let fits = picks.iter().all(|pick| {
                let wanted: i64 = picks.iter().filter(|p| p.product_id == pick.product_id).map(|p| p.quantity).sum();
                let line = before.lines.iter().find(|line| line.product_id == pick.product_id);
                line.is_some_and(|line| wanted <= known(line))
            });
            let done = if is_shipment {
                order.fulfil(id(50), fulfilment(&picks), &context()).map(|stocks| (stocks, -1))
            } else {
                let new = NewRefund { amount: Some(1), ..refund(&picks, &[]) };
                let refund_id = id(100 + order.refunds.len() as u128);
                order.begin_refund(refund_id, new, &context()).map(|()| {
                    let accepted = accept(&mut order);
                    (accepted, 1)
                })
            };
            match done {
                Ok((stocks, sign)) => {
                    prop_assert!(fits, "{picks:?} of {:?}", before.lines);
                    let moved: i64 = picks.iter().map(|pick| pick.quantity).sum();
                    prop_assert_eq!(stocks.iter().map(|change| change.on_hand).sum::<i64>(), sign * moved);
                    on_hand += sign * moved;
                }
                Err(OrderError::Invalid(errors)) => {
                    prop_assert!(!fits);
                    let list = if is_shipment { "/lines/" } else { "/restock/" };
                    let by_place = |invalid: &FieldError| invalid.pointer.starts_with(list);
                    prop_assert!(errors.iter().all(by_place), "{errors:?}");
                    prop_assert_eq!(&order, &before);
                }
                // All of it is shipped, or all the money is back.
                Err(OrderError::NotFulfillable) => prop_assert!(before.lines.iter().all(|line| line.open() == 0)),
                Err(refusal) => prop_assert!(before.payments[0].captured == before.payments[0].refunded, "{refusal:?}"),
            }
            let gone: i64 = order.lines.iter().map(|line| line.fulfilled - line.restocked).sum();
            prop_assert_eq!(on_hand, quantities.iter().sum::<i64>() - gone);
        }
    }
}

/// Prices of any size, also beyond what clients can set.
fn any_price() -> impl Strategy<Value = i64> {
    prop_oneof![1..=10_000_i64, 1..=Money::MAX_PRICE, 1..=i64::MAX, Just(i64::MAX)]
}

/// Quantities of products that the order may not have.
fn any_picks() -> impl Strategy<Value = Vec<ItemQuantity>> {
    let pick = (0_u128..4, 1_i64..4).prop_map(|(n, quantity)| ItemQuantity { product_id: id(n), quantity });
    prop::collection::vec(pick, 1..4)
}

fn id<T: shared::domain::id::Entity>(n: u128) -> Id<T> {
    Id::new(Timestamp::from_millis(1_700_000_000_000), n)
}

fn context() -> ChangeContext {
    let at = Timestamp::from_millis(1_700_000_000_000);
    ChangeContext {
        initiator: Initiator::Schedule,
        client_id: None,
        operation: "test",
        at,
        request_id: String::new(),
        trace_id: None,
    }
}

fn address() -> Value {
    json!({"name": "Ada Lind", "line1": "Lindenstraße 7", "city": "Berlin", "postal_code": "10969", "country": "DE"})
}

/// Returns the product id of a number.
fn product(n: u128, price: i64, currency: &str) -> Product {
    let new = json!({
        "sku": format!("SKU-{n}"),
        "name": "A thing",
        "category": "things",
        "price": {"amount": 1, "currency": currency},
    });
    let mut product = validation::read(new, NewProduct::read).unwrap().product(id(n), context().at);
    product.details.price = Money::new(price, product.details.price.currency());
    product
}

fn place(items: Vec<Value>, catalogue: &[Product]) -> Result<(Order, StockChanges), PlaceOrderError> {
    let new = json!({"items": items, "shipping_address": address()});
    let new = validation::read(new, NewOrder::read).unwrap();
    new.place(OrderId::new(id(1), id(2)), catalogue, &context())
}

/// Returns a paid order of quantities of the first products.
fn paid(quantities: &[i64]) -> Order {
    let catalogue: Vec<_> = (0..).take(quantities.len()).map(|n| product(n, 100, "EUR")).collect();
    let items = catalogue.iter().zip(quantities);
    let items = items.map(|(product, quantity)| json!({"product_id": product.id, "quantity": quantity}));
    let (mut order, _) = place(items.collect(), &catalogue).unwrap();
    let new = NewPayment { payment_method: "pm_1".to_owned(), capture: Capture::Automatic, return_url: None };
    order.begin_payment(id(3), "pi_1".to_owned(), &new, &context()).unwrap();
    let state = IntentState::Captured(order.total.amount());
    order.apply_payment_update(&Intent { id: "pi_1".to_owned(), state }, &context()).unwrap();
    order
}

fn refund(restock: &[ItemQuantity], release: &[ItemQuantity]) -> NewRefund {
    NewRefund { amount: None, reason: None, restock: restock.to_vec(), release: release.to_vec() }
}

fn fulfilment(picks: &[ItemQuantity]) -> NewFulfilment {
    let body = if picks.is_empty() { json!({}) } else { json!({"lines": picks}) };
    validation::read(body, NewFulfilment::read).unwrap()
}

/// Completes the refund that was started.
fn accept(order: &mut Order) -> StockChanges {
    let refund = order.refunds.last().unwrap();
    let (refund_id, provider_id) = (Some(refund.id), format!("re_{}", refund.id));
    order
        .apply_refund_update(
            &RefundUpdate { refund_id, provider_id, status: RefundStatus::Succeeded },
            &context(),
        )
        .unwrap()
}
