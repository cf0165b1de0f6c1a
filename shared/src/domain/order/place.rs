//! Placing an order.

use std::time::Duration;

use serde::Serialize;

use super::{
    FulfilmentStatus, OrderStatus, PaymentStatus,
    entity::Order,
    line::{self, Line},
    timeline::{TimelineEvent, TimelineEventType},
};
use crate::domain::{
    change::ChangeContext,
    id::Id,
    inventory::{ItemQuantity, StockChanges},
    money::Money,
    order_id::OrderId,
    product::{Product, ProductStatus},
    user::Address,
    validation::{FieldError, Object, ValidationErrors, Violation},
};

/// An unpaid order returns its stock after this time.
pub(super) const EXPIRES_AFTER: Duration = Duration::from_secs(15 * 60);

/// Request to place an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewOrder {
    items: Vec<ItemQuantity>,
    shipping_address: Address,
    expected_total: Option<Money>,
}

impl NewOrder {
    const MAX_ITEMS: usize = 50;

    pub fn read(body: &mut Object) -> Option<Self> {
        let items =
            body.field("items").list_within(1, Self::MAX_ITEMS, |item| item.object(ItemQuantity::read));
        let shipping_address = body.field("shipping_address").object(Address::read);
        let expected_total = body.field("expected_total").optional(|field| field.object(Money::read_total));
        Some(Self { items: items?, shipping_address: shipping_address?, expected_total: expected_total? })
    }

    /// Returns the requested products, each once.
    pub fn products(&self) -> Vec<Id<Product>> {
        let mut products = Vec::new();
        for item in &self.items {
            if !products.contains(&item.product_id) {
                products.push(item.product_id);
            }
        }
        products
    }

    /// Returns the requested pieces of a product.
    pub fn quantity(&self, product: Id<Product>) -> i64 {
        self.items.iter().filter(|item| item.product_id == product).map(|item| item.quantity).sum()
    }

    /// Makes the order at the prices of `catalogue`, and the stock reservations that go with it.
    pub fn place(
        self,
        id: OrderId,
        catalogue: &[Product],
        context: &ChangeContext,
    ) -> Result<(Order, StockChanges), PlaceOrderError> {
        let on_sale = |id| catalogue.iter().find(|p| p.id == id && p.status == ProductStatus::Active);
        let missing = self.items.iter().enumerate().filter(|(_, item)| on_sale(item.product_id).is_none());
        let missing: Vec<_> = missing
            .map(|(index, _)| line::unknown_product("items", index, &["the products on sale"]))
            .collect();
        ValidationErrors::check(missing)?;
        let (mut lines, mut stocks) = (Vec::new(), StockChanges::default());
        let mut sum: Option<Money> = None;
        for product in self.products().into_iter().filter_map(on_sale) {
            let quantity = self.quantity(product.id);
            let price = product.details.price;
            let invalid = |violation| {
                let index = self.items.iter().position(|item| item.product_id == product.id).unwrap_or(0);
                ValidationErrors::from(FieldError::new(format!("/items/{index}/product_id"), violation))
            };
            if sum.is_some_and(|sum| sum.currency() != price.currency()) {
                return Err(invalid(Violation::MixedCurrencies).into());
            }
            let total = price.checked_mul(quantity).ok_or_else(|| invalid(Violation::TooLarge(i64::MAX)))?;
            sum = Some(match sum {
                Some(sum) => sum.checked_add(total).ok_or_else(|| invalid(Violation::TooLarge(i64::MAX)))?,
                None => total,
            });
            stocks.reserve(product.id, quantity);
            lines.push(Line {
                product_id: product.id,
                sku: product.sku.clone(),
                name: product.details.name.clone(),
                unit_price: price,
                quantity,
                total,
                fulfilled: 0,
                restocked: 0,
                released: 0,
            });
        }
        let total =
            sum.ok_or_else(|| ValidationErrors::from(FieldError::new("/items", Violation::TooFew(1))))?;
        if self.expected_total.is_some_and(|expected| expected != total) {
            return Err(PlaceOrderError::PriceChanged(total));
        }
        let order = Order {
            id,
            customer_id: id.customer(),
            status: OrderStatus::Open,
            payment_status: PaymentStatus::Unpaid,
            fulfilment_status: FulfilmentStatus::Unfulfilled,
            lines,
            total,
            shipping_address: self.shipping_address,
            expires_at: Some(context.at + EXPIRES_AFTER),
            cancelling: false,
            disputed: false,
            payments: Vec::new(),
            refunds: Vec::new(),
            fulfilments: Vec::new(),
            timeline: vec![TimelineEvent {
                amount: Some(total),
                ..TimelineEvent::new(TimelineEventType::Created, context)
            }],
            created_at: context.at,
            updated_at: context.at,
        };
        Ok((order, stocks))
    }
}

/// Reason for which an order is not placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlaceOrderError {
    /// A product is not on sale, or the products can't be ordered together.
    Invalid(ValidationErrors),
    /// The order costs this, which is not what the customer expects.
    PriceChanged(Money),
}

impl From<ValidationErrors> for PlaceOrderError {
    fn from(errors: ValidationErrors) -> Self {
        Self::Invalid(errors)
    }
}
