//! The page of 3-D Secure.

use hyper::{
    Response, StatusCode,
    header::{CONTENT_TYPE, HeaderValue, LOCATION},
};

use super::objects::{Intent, Status};
use crate::server::Answer;

/// Returns the page of an intent, with two buttons while it waits.
pub(super) fn page(intent: &Intent) -> Answer {
    let Intent { id, amount, currency, .. } = intent;
    let currency = currency.to_uppercase();
    let content = if intent.status == Status::RequiresAction {
        format!(
            r#"<p>Is it you who pays {amount} (minor units) {currency}?</p>
<form method="post" action="/authenticate/{id}/approve"><button>Yes, it is me</button></form>
<form method="post" action="/authenticate/{id}/fail"><button>No</button></form>"#
        )
    } else {
        "<p>There is nothing to decide any more. You can close this window.</p>".to_owned()
    };
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Pretend bank</title>\n\
         <h1>Pretend bank</h1>\n{content}\n</html>\n"
    );
    let mut answer = Answer::new(html.into());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    answer
}

/// Redirects to the intent's `return_url`, or shows the page again if it has none.
pub(super) fn way_back(intent: &Intent) -> Answer {
    let Some(way) = intent.way_back().and_then(|way| HeaderValue::try_from(way).ok()) else {
        return page(intent);
    };
    let mut answer = Response::new(Default::default());
    *answer.status_mut() = StatusCode::SEE_OTHER;
    answer.headers_mut().insert(LOCATION, way);
    answer
}
