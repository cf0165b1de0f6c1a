"""What Schemathesis can't know of the shop."""

import hashlib
import itertools

import schemathesis
from hypothesis import strategies as st

# Drawn from a few of the codes that there are; that others are refused, the shop's own tests show.
schemathesis.openapi.format("iso-3166-1-alpha-2", st.sampled_from(["CH", "DE", "FR", "JP", "US"]))
schemathesis.openapi.format("iso-4217", st.sampled_from(["EUR", "JPY", "KWD", "USD"]))
# None that is weak: what makes a password so is no matter of its form.
schemathesis.openapi.format(
    "password",
    st.integers(min_value=0).map(lambda number: hashlib.sha256(str(number).encode()).hexdigest()[:40]),
)

# On sale in every fresh shop, and many of each.
PRODUCTS = ["prod_01jwnk7es0exzandq7ggmj9zab", "prod_01k5vq0tj0w8zycxkjct7ga55s", "prod_01jw6n1at0ejtjn0f56m81zva6"]
numbers = itertools.count(1)


@schemathesis.hook
def before_call(context, case, kwargs):
    """Makes a request that fits the contract one that fits the shop, too; one that does not fit stays as it is."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    query, body = case.query or {}, case.body
    # A key is new for each thing that is meant to be done.
    if "Idempotency-Key" in (case.headers or {}):
        case.headers["Idempotency-Key"] = f"conformance-{next(numbers)}"
    # A cursor comes from the list alone.
    query.pop("cursor", None)
    # There are words in what is searched for, and a range begins before it ends.
    if isinstance(query.get("q"), str) and not any(character.isalnum() for character in query["q"]):
        query["q"] = "mug"
    if "min_price" in query and "max_price" in query:
        query["min_price"], query["max_price"] = sorted([query["min_price"], query["max_price"]], key=int)
    operation = case.operation.definition.raw.get("operationId")
    if operation == "orders-create" and isinstance(body, dict):
        body.pop("expected_total", None)
        for product, item in zip(itertools.cycle(PRODUCTS), body["items"]):
            item.update(product_id=product, quantity=1)
    if operation == "orders-pay" and isinstance(body, dict):
        body["payment_method"] = "pm_card_visa"


@schemathesis.check
def unknown_method(context, response, case):
    """A method that a path does not have is answered as an unknown path is."""
    data = getattr(case.meta and case.meta.phase, "data", None)
    if getattr(data, "scenario", None) != "unspecified_http_method":
        return
    method = response.request.method
    # Browsers ask with OPTIONS before they send what may change something; the gateway answers that.
    if method == "OPTIONS":
        return
    assert response.status_code == 404, f"{method} is answered with {response.status_code} in place of 404"
    if method != "HEAD":
        assert response.json()["code"] == "not_found"
