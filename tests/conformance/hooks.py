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

numbers = itertools.count(1)


@schemathesis.hook
def before_call(context, case, kwargs):
    """A key is new for each thing that is meant to be done; the same one for two things is refused."""
    meta = case.meta
    if meta is not None and meta.generation.mode.is_positive and "Idempotency-Key" in (case.headers or {}):
        case.headers["Idempotency-Key"] = f"conformance-{next(numbers)}"


@schemathesis.hook
def filter_case(context, case):
    """What a list is asked for: words have a letter or a digit, and a range begins before it ends."""
    if case.operation.path != "/products":
        return True
    query = case.query or {}
    words = query.get("q")
    if isinstance(words, str) and not any(character.isalnum() for character in words):
        return False
    low, high = query.get("min_price"), query.get("max_price")
    return not (isinstance(low, int) and isinstance(high, int) and low > high)


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
