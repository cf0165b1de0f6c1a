use std::{collections::BTreeSet, fs};

use base64::{Engine, prelude::BASE64_STANDARD};
use template::Template;

use crate::shop::{CONTRACT, ISSUER, Shop};

use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

const PATHS: [&str; 2] = ["/openapi.json", "/docs"];

#[tokio::test]
async fn the_description_is_openapi_json_with_the_server_that_answers() {
    let shop = Shop::shared().await;
    let answer = shop.get("/openapi.json").send().await.expect(200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert!(!answer.text.contains('\n'), "it is as long as it was written");

    let written = fs::read_to_string(template::repository().join("openapi.json")).unwrap();
    let mut expected: Value = serde_json::from_str(&written).unwrap();
    expected["servers"] = json!([{"url": ISSUER}]);
    assert_eq!(answer.json, expected);
}

#[tokio::test]
async fn the_description_has_every_route_of_the_template_and_no_other() {
    let shop = Shop::shared().await;
    let description = shop.get("/openapi.json").send().await.expect(200);
    let paths = description["paths"].as_object().unwrap().iter();
    let described = paths.flat_map(|(path, item)| {
        item.as_object().unwrap().keys().map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    let v1 = Template::read(&template::repository()).unwrap().apis("*").unwrap().remove(0);
    let routes = v1.routes.iter().map(|route| format!("{} {}", route.method, route.path));
    assert_eq!(described.collect::<BTreeSet<_>>(), routes.collect());
    assert_eq!(CONTRACT.operations().len(), v1.routes.len());
}

#[tokio::test]
async fn who_has_the_latest_documents_is_told_so() {
    let shop = Shop::shared().await;
    for path in PATHS {
        let first = shop.get(path).send().await.expect(200);
        assert_eq!(first.header("cache-control"), "public, max-age=300", "{path}");
        let known = shop.get(path).if_none_match(first.etag()).send().await.expect(304);
        assert_eq!((known.text.as_str(), known.etag()), ("", first.etag()), "{path}");
        // A cache puts the headers of the 304 in place of those that it has.
        let policy = "content-security-policy";
        assert_eq!(known.header(policy), first.header(policy), "{path}");
        let again = shop.get(path).if_none_match("\"another\"").send().await.expect(200);
        assert_eq!((&again.text, again.etag()), (&first.text, first.etag()), "{path}");
        let with_token = shop.get(path).customer().send().await.expect(200);
        assert_eq!(with_token.header("cache-control"), "private, no-store", "{path}");
    }
    let [description, page] = PATHS.map(|path| shop.get(path));
    assert_ne!(description.send().await.etag(), page.send().await.etag());
}

#[tokio::test]
async fn the_documents_need_no_store() {
    let shop = Shop::with(&[("docs-openapi", 1), ("docs-page", 1)]).await;
    let _outage = shop.any_call().refuse();
    for path in PATHS {
        let watched = shop.any_call().observe();
        shop.get(path).send().await.expect(200);
        assert!(watched.observed().is_empty(), "{path}");
    }
}

#[tokio::test]
async fn the_page_runs_what_it_holds_itself_and_nothing_else() {
    let shop = Shop::shared().await;
    let page = shop.get("/docs").send().await.expect(200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let (style, script) = (inside(&page.text, "style"), inside(&page.text, "script"));
    let expected = [
        "default-src 'none'".to_owned(),
        format!("script-src 'sha256-{}'", sha256(script)),
        format!("style-src 'sha256-{}'", sha256(style)),
        "connect-src 'self'".to_owned(),
        "img-src data:".to_owned(),
        "form-action 'none'".to_owned(),
        "base-uri 'none'".to_owned(),
        "frame-ancestors 'none'".to_owned(),
    ];
    assert_eq!(page.header("content-security-policy"), expected.join("; "));
    assert!(script.len() > 10_000 && style.len() > 5_000, "they are put in");

    // What the policy would refuse, a browser would only complain of.
    for refused in [" style=\"", " onclick=\"", " src=", "javascript:"] {
        assert!(!page.text.contains(refused), "the page has {refused}");
    }
    assert!(!style.contains("url(") && !style.contains("@import"), "the style loads something");
    // Text from the shop is never read as HTML.
    for parsed in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "DOMParser"] {
        assert!(!script.contains(parsed), "the page has {parsed}");
    }
    // Nor is a token kept where it outlives the page.
    for kept in ["localStorage", "sessionStorage", "indexedDB", "document.cookie"] {
        assert!(!script.contains(kept), "the page has {kept}");
    }
}

#[tokio::test]
async fn the_page_is_small_and_names_no_other_host() {
    let shop = Shop::shared().await;
    let page = shop.get("/docs").send().await.expect(200).text;
    assert!(page.len() < 60 * 1024, "{} bytes", page.len());
    assert!(!page.contains("://") && !page.contains("=\"//"), "the page names another host");
}

/// Returns the content of the only element with a name.
fn inside<'a>(page: &'a str, element: &str) -> &'a str {
    let parts: Vec<&str> = page.split(&format!("<{element}>")).collect();
    let [_, rest] = parts[..] else { panic!("there are {} of <{element}>", parts.len() - 1) };
    rest.split_once(&format!("</{element}>")).unwrap().0
}

fn sha256(text: &str) -> String {
    BASE64_STANDARD.encode(digest(&SHA256, text.as_bytes()))
}
