"""A purchase by a client that a generator has made of openapi.json: purchase.py URL PASSWORDS.

`shop` is that client. What it reads are its own types, problems among them.
"""

import json
import sys
import uuid
from pathlib import Path

from shop import AuthenticatedClient, Client
from shop.api.orders import orders_create, orders_get
from shop.api.payments import orders_pay
from shop.api.products import products_get, products_list
from shop.api.sessions import sessions_create
from shop.models import (
    Address,
    CardDeclined,
    Credentials,
    NewOrder,
    NewPayment,
    Order,
    OrderPaymentStatus,
    OutOfStock,
    Payment,
    PaymentStatus,
    Pieces,
    Product,
    ProductPage,
    Problem,
    Sum,
    Tokens,
    ValidationProblem,
)

EMAIL = "customer@shop.example"


def expect(kind, answer):
    """The answer, which must be of that type."""
    assert isinstance(answer, kind), f"{kind.__name__} was expected, but there is {answer}"
    return answer


def key():
    return str(uuid.uuid4())


def main(url, passwords):
    anybody = Client(base_url=url, raise_on_unexpected_status=True)
    page = expect(ProductPage, products_list.sync(client=anybody, in_stock=True, q="stoneware mug", limit=5))
    product = expect(Product, products_get.sync(page.items[0].id, client=anybody))
    print(f"product: {product.name}, {product.price.amount} {product.price.currency}, {product.availability}")

    password = json.loads(Path(passwords).read_text())[EMAIL]
    wrong = sessions_create.sync(client=anybody, body=Credentials(email=EMAIL, password=password[::-1]))
    assert expect(Problem, wrong).code == "invalid_credentials", wrong
    tokens = expect(Tokens, sessions_create.sync(client=anybody, body=Credentials(email=EMAIL, password=password)))
    customer = AuthenticatedClient(base_url=url, token=tokens.access_token, raise_on_unexpected_status=True)

    address = Address(name="Ada Lind", line1="Lindenstraße 7", city="Berlin", postal_code="10969", country="DE")
    total = Sum(amount=2 * product.price.amount, currency=product.price.currency)

    def order(quantity, **more):
        items = [Pieces(product_id=product.id, quantity=quantity)]
        body = NewOrder(items=items, shipping_address=address, **more)
        return orders_create.sync(client=customer, body=body, idempotency_key=key())

    # What is refused has a type of its own, with what one needs to go on.
    short = expect(OutOfStock, order(10_000))
    assert [(line.product_id, line.requested) for line in short.lines] == [(product.id, 10_000)], short
    invalid = expect(ValidationProblem, order(0))
    assert [(error.pointer, error.code.value) for error in invalid.errors] == [("/items/0/quantity", "too_small")], invalid
    print(f"refused: {short.code}, {invalid.code}")

    placed = expect(Order, order(2, expected_total=total))
    assert placed.payment_status is OrderPaymentStatus.UNPAID and placed.total == total, placed

    def pay(method, attempt):
        body = NewPayment(payment_method=method)
        return orders_pay.sync_detailed(placed.id, client=customer, body=body, idempotency_key=attempt)

    declined = expect(CardDeclined, pay("pm_card_visa_chargeDeclined", key()).parsed)
    assert declined.payment.status is PaymentStatus.FAILED, declined
    attempt = key()
    payment = expect(Payment, pay("pm_card_visa", attempt).parsed)
    assert payment.status is PaymentStatus.CAPTURED and payment.captured == total, payment
    again = pay("pm_card_visa", attempt)
    assert again.parsed == payment and again.headers["idempotent-replayed"] == "true", again

    paid = orders_get.sync_detailed(placed.id, client=customer)
    read = expect(Order, paid.parsed)
    assert read.payment_status is OrderPaymentStatus.PAID, read
    assert [entry.status for entry in read.payments] == [PaymentStatus.FAILED, PaymentStatus.CAPTURED], read
    latest = orders_get.sync_detailed(placed.id, client=customer, if_none_match=paid.headers["etag"])
    assert latest.status_code == 304, latest
    print(f"order: {read.id}, {read.payment_status}, {read.total.amount} {read.total.currency}")


main(*sys.argv[1:])
