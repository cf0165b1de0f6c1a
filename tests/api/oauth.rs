//! OAuth 2.0 from the side of an app: by the RFCs, and with the client library `oauth2`.

use std::collections::BTreeMap;

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use futures_util::future::join_all;
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, HttpRequest, HttpResponse,
    PkceCodeChallenge, RedirectUrl, RefreshToken, RequestTokenError, RevocationUrl, Scope,
    StandardRevocableToken, TokenResponse, TokenUrl,
    basic::{BasicClient, BasicErrorResponse, BasicErrorResponseType},
};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::shop::{
    ADMIN, Answer, ISSUER, Person, Request, STOREFRONT, Shop, USERS, changed, eventually, form_of,
    page::{Page, attribute, path_of},
    people::{Session, claims_of, header_of},
    unique,
};

/// An app that uses the authorization code flow.
pub struct App {
    pub id: String,
    pub redirect_uri: String,
    pub scope: &'static str,
}

/// The web shop.
pub static STOREFRONT_CLIENT: std::sync::LazyLock<App> = std::sync::LazyLock::new(|| App {
    id: "storefront".to_owned(),
    redirect_uri: format!("{STOREFRONT}/oauth/callback"),
    scope: "profile:read orders:own",
});

/// The PKCE verifier, and its challenge.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

impl App {
    /// Returns the parameters of the authorization request.
    fn parameters(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("response_type", "code".to_owned()),
            ("client_id", self.id.clone()),
            ("redirect_uri", self.redirect_uri.clone()),
            ("scope", self.scope.to_owned()),
            ("state", "state of \"the\" app & more <>".to_owned()),
            ("code_challenge", CHALLENGE.to_owned()),
            ("code_challenge_method", "S256".to_owned()),
        ])
    }

    /// The authorization URL, with one parameter changed or removed.
    pub fn path(&self, change: Option<(&'static str, Option<&str>)>) -> String {
        let mut parameters = self.parameters();
        if let Some((name, value)) = change {
            match value {
                Some(value) => parameters.insert(name, value.to_owned()),
                None => parameters.remove(name),
            };
        }
        path_of(&parameters.iter().map(|(name, value)| (*name, &**value)).collect::<Vec<_>>())
    }

    /// Makes a request to exchange a code.
    pub fn exchange(&self, shop: &Shop, code: &str) -> Request {
        self.exchange_with(shop, code, &[])
    }

    fn exchange_with(&self, shop: &Shop, code: &str, changes: &[(&'static str, &str)]) -> Request {
        let mut fields = BTreeMap::from([
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &*self.redirect_uri),
            ("client_id", &*self.id),
            ("code_verifier", VERIFIER),
        ]);
        fields.extend(changes.iter().copied());
        fields.retain(|_, value| *value != "-");
        shop.token_request(&fields.into_iter().collect::<Vec<_>>())
    }
}

/// Opens the sign-in page.
pub async fn page(shop: &Shop, app: &App) -> Page {
    let path = app.path(None);
    Page::of(&path, &shop.get(&path).send().await.expect(200))
}

/// Returns the target of a redirect: the address before the query, and the parameters.
#[track_caller]
fn sent_to(answer: &Answer) -> (String, BTreeMap<String, String>) {
    assert_eq!(answer.status, 303, "{answer:?}");
    let (address, query) = answer.header("location").split_once('?').unwrap();
    (address.to_owned(), form_of(query.as_bytes()))
}

/// Signs a person in and returns the authorization code.
pub async fn code_for(shop: &Shop, app: &App, person: &Person) -> String {
    let page = page(shop, app).await;
    let answer = page.submit(shop, &person.email, &person.password, true).from(&person.address).send().await;
    let (address, parameters) = sent_to(&answer);
    assert_eq!(Some(&*address), app.redirect_uri.split('?').next());
    assert_eq!(parameters["state"], app.parameters()["state"]);
    parameters["code"].clone()
}

/// Registers a third-party app as admin.
async fn registered_app(shop: &Shop) -> App {
    let redirect_uri = "https://parcels.test/callback?from=shop".to_owned();
    let new = json!({"name": "Parcel Watch", "scope": "profile:read orders:own", "redirect_uris": [
        "https://parcels.test/other", redirect_uri,
    ]});
    let client = create_client(shop, &new).send().await.expect(201);
    App { id: client["client_id"].as_str().unwrap().to_owned(), redirect_uri, scope: "profile:read" }
}

fn create_client(shop: &Shop, new: &Value) -> Request {
    shop.post("/oauth/clients").scoped(ADMIN).key(&unique("key")).json(new)
}

/// Registers a confidential client. Returns it with its secret.
pub async fn machine(shop: &Shop, scope: &str) -> (String, String) {
    let client = create_client(shop, &json!({"name": "Warehouse", "scope": scope})).send().await.expect(201);
    let text = |name: &str| client[name].as_str().unwrap().to_owned();
    (text("client_id"), text("client_secret"))
}

fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{id}:{secret}")))
}

#[track_caller]
fn assert_error(answer: &Answer, status: u16, error: &str) {
    assert_eq!((answer.status, answer["error"].as_str()), (status, Some(error)), "{answer:?}");
    assert!(answer.header("content-type").starts_with("application/json"), "{answer:?}");
    assert_eq!(answer.header("cache-control"), "private, no-store");
}

// ------------------------------------------------------------------------------------------- a stock client library

/// Sends the library's requests to this shop under its public address.
fn browser(shop: &Shop) -> impl AsyncFn(HttpRequest) -> Result<HttpResponse, std::io::Error> {
    let shop = shop.clone();
    async move |request: HttpRequest| {
        let path = request.uri().path().strip_prefix("/v1").unwrap().to_owned();
        assert_eq!(request.method(), "POST");
        let mut sent = shop.post(&path);
        for (name, value) in request.headers() {
            sent = sent.header(name.as_str(), value.to_str().unwrap());
        }
        let media_type = request.headers()["content-type"].to_str().unwrap().to_owned();
        let answer = sent.body(&media_type, request.body().clone()).send().await;
        let mut response = HttpResponse::new(answer.text.clone().into_bytes());
        *response.status_mut() = oauth2::http::StatusCode::from_u16(answer.status).unwrap();
        for (name, value) in &answer.headers {
            response.headers_mut().insert(
                oauth2::http::HeaderName::from_bytes(name.as_str().as_bytes()).unwrap(),
                oauth2::http::HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        Ok(response)
    }
}

/// The authorization server's metadata.
async fn metadata(shop: &Shop) -> Value {
    shop.get("/.well-known/oauth-authorization-server").send().await.expect(200).json.clone()
}

#[tokio::test]
async fn a_stock_client_completes_the_code_grant_refreshes_and_revokes() {
    let shop = Shop::shared().await;
    let (person, metadata) = (shop.register_person().await, metadata(&shop).await);
    for app in
        [registered_app(&shop).await, App { id: "storefront".to_owned(), ..clone_of(&STOREFRONT_CLIENT) }]
    {
        let url = |name: &str| metadata[name].as_str().unwrap().to_owned();
        let secure = url("revocation_endpoint").replacen("http:", "https:", 1);
        let client = BasicClient::new(ClientId::new(app.id.clone()))
            .set_auth_uri(AuthUrl::new(url("authorization_endpoint")).unwrap())
            .set_token_uri(TokenUrl::new(url("token_endpoint")).unwrap())
            .set_revocation_url(RevocationUrl::new(secure).unwrap())
            .set_redirect_uri(RedirectUrl::new(app.redirect_uri.clone()).unwrap());
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let request = client.authorize_url(CsrfToken::new_random).set_pkce_challenge(challenge);
        let (address, state) = request.add_scope(Scope::new("profile:read".to_owned())).url();

        // The person signs in, in a browser.
        let path = address.as_str().strip_prefix(ISSUER).unwrap();
        let page = Page::of(path, &shop.get(path).send().await.expect(200));
        let submitted =
            page.submit(&shop, &person.email, &person.password, true).from(&person.address).send().await;
        let (_, parameters) = sent_to(&submitted);
        assert_eq!(parameters["state"], *state.secret());

        let http = browser(&shop);
        let http = |request| http(request);
        let code = AuthorizationCode::new(parameters["code"].clone());
        let tokens =
            client.exchange_code(code).set_pkce_verifier(verifier).request_async(&http).await.unwrap();
        let scopes: Vec<&str> = tokens.scopes().unwrap().iter().map(|scope| scope.as_str()).collect();
        assert_eq!(scopes, ["profile:read"]);
        let profile = shop.get("/users/me").bearer(tokens.access_token().secret()).send().await.expect(200);
        assert_eq!(profile["email"], person.email);

        let refreshed = client
            .exchange_refresh_token(tokens.refresh_token().unwrap())
            .request_async(&http)
            .await
            .unwrap();
        assert_ne!(refreshed.refresh_token().unwrap().secret(), tokens.refresh_token().unwrap().secret());
        shop.get("/users/me").bearer(refreshed.access_token().secret()).send().await.expect(200);
        let revocable = StandardRevocableToken::RefreshToken(refreshed.refresh_token().unwrap().clone());
        client.revoke_token(revocable).unwrap().request_async(&http).await.unwrap();
        let late =
            client.exchange_refresh_token(refreshed.refresh_token().unwrap()).request_async(&http).await;
        assert_eq!(error_of(late.unwrap_err()), BasicErrorResponseType::InvalidGrant);
    }
}

/// Returns the error that the library has read.
fn error_of<E: std::error::Error>(
    refused: RequestTokenError<E, BasicErrorResponse>,
) -> BasicErrorResponseType {
    match refused {
        RequestTokenError::ServerResponse(response) => response.error().clone(),
        other => panic!("not refused, but {other:?}"),
    }
}

fn clone_of(app: &App) -> App {
    App { id: app.id.clone(), redirect_uri: app.redirect_uri.clone(), scope: app.scope }
}

#[tokio::test]
async fn a_stock_client_gets_tokens_in_its_own_name_by_basic_and_by_body() {
    let shop = Shop::shared().await;
    let (id, secret) = machine(&shop, "inventory:read inventory:write").await;
    let product = shop.create_stocked("machine", 3).await;
    let http = browser(&shop);
    let http = |request| http(request);
    for auth in [AuthType::BasicAuth, AuthType::RequestBody] {
        let client = BasicClient::new(ClientId::new(id.clone()))
            .set_client_secret(ClientSecret::new(secret.clone()))
            .set_auth_type(auth)
            .set_token_uri(TokenUrl::new(format!("{ISSUER}/oauth/token")).unwrap());
        let all = client.exchange_client_credentials().request_async(&http).await.unwrap();
        assert_eq!(all.scopes().unwrap().len(), 2);
        assert!(all.refresh_token().is_none());
        let request = client.exchange_client_credentials().add_scope(Scope::new("inventory:read".to_owned()));
        let narrowed = request.request_async(&http).await.unwrap();
        let path = format!("/products/{}/inventory", product.id());
        shop.get(&path).bearer(narrowed.access_token().secret()).send().await.expect(200);
        let adjust = |token: &str| shop.adjust(product.id(), 1).bearer(token);
        adjust(narrowed.access_token().secret()).send().await.expect_problem(403, "insufficient_scope");
        let adjusted = adjust(all.access_token().secret()).send().await.expect(201);
        assert_eq!(adjusted["actor"], id);
    }
    let wrong = BasicClient::new(ClientId::new(id))
        .set_client_secret(ClientSecret::new("wrong".to_owned()))
        .set_token_uri(TokenUrl::new(format!("{ISSUER}/oauth/token")).unwrap());
    let refused = wrong.exchange_client_credentials().request_async(&http).await;
    assert_eq!(error_of(refused.unwrap_err()), BasicErrorResponseType::InvalidClient);
}

// ---------------------------------------------------------------------------------------------------- the sign-in page

#[tokio::test]
async fn the_sign_in_page_is_small_accessible_and_strict() {
    let shop = Shop::shared().await;
    let app = registered_app(&shop).await;
    let path = app.path(None);
    let answer = shop.get(&path).send().await.expect(200);
    assert!(answer.text.len() < 16_384);
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(answer.header("cache-control"), "private, no-store");
    let policy = answer.header("content-security-policy");
    let directives: BTreeMap<&str, &str> =
        policy.split(';').map(|one| one.trim().split_once(' ').unwrap_or((one.trim(), ""))).collect();
    assert_eq!((directives["default-src"], directives["frame-ancestors"]), ("'none'", "'none'"), "{policy}");
    assert_eq!(directives["form-action"], "'self' https://parcels.test", "{policy}");
    assert!(!policy.contains("unsafe") && !directives.contains_key("script-src"), "{policy}");
    let page = Page::of(&path, &answer);
    assert!(page.html.starts_with("<!DOCTYPE html>"));
    assert!(page.tags("script").is_empty() && page.tags("link").is_empty() && page.tags("img").is_empty());
    assert_eq!(attribute(&page.tags("html")[0], "lang").as_deref(), Some("en"));
    assert_eq!((page.tags("title").len(), page.tags("h1").len(), page.tags("main").len()), (1, 1, 1));
    // Every field has its label, and helps who fills it in.
    let labels: Vec<_> = page.tags("label").iter().filter_map(|label| attribute(label, "for")).collect();
    let visible =
        page.tags("input").into_iter().filter(|tag| attribute(tag, "type").as_deref() != Some("hidden"));
    for input in visible {
        let id = attribute(&input, "id").unwrap_or_else(|| panic!("{input:?} has no id"));
        assert!(labels.contains(&id), "{input:?} has no label");
        let expected =
            if attribute(&input, "type").unwrap() == "password" { "current-password" } else { "username" };
        assert_eq!(attribute(&input, "autocomplete").as_deref(), Some(expected));
    }
    assert!(page.html.contains("Parcel Watch") && page.html.contains("parcels.test"), "{}", page.html);
    // Whatever an app calls itself is text.
    let evil = json!({
        "name": "<script>alert(1)</script>\"'&", "scope": "profile:read", "redirect_uris": ["https://evil.test/"],
    });
    let client = create_client(&shop, &evil).send().await.expect(201);
    let evil = App {
        id: client["client_id"].as_str().unwrap().to_owned(),
        redirect_uri: "https://evil.test/".to_owned(),
        scope: "profile:read",
    };
    let path = evil.path(Some(("state", Some("\"><script>alert(2)</script>"))));
    let page = Page::of(&path, &shop.get(&path).send().await.expect(200));
    assert!(page.tags("script").is_empty(), "{}", page.html);
}

#[tokio::test]
async fn the_form_is_taken_from_the_shops_own_page_only() {
    let shop = Shop::shared().await;
    let person = shop.register_person().await;
    let form = page(&shop, &STOREFRONT_CLIENT).await;
    let submit = || form.submit(&shop, &person.email, &person.password, true).from(&person.address);
    for site in ["cross-site", "same-site"] {
        let refused = submit().header("Sec-Fetch-Site", site).send().await.expect(400);
        assert!(refused.text.contains("another site"), "{refused:?}");
    }
    for site in ["same-origin", "none"] {
        submit().header("Sec-Fetch-Site", site).send().await.expect(303);
    }
    let shown = shop.get(&STOREFRONT_CLIENT.path(None)).send().await.expect(200);
    for page in [shown, shop.get("/docs").send().await.expect(200)] {
        assert_eq!(page.header("cross-origin-opener-policy"), "same-origin");
        assert_eq!(page.header("cross-origin-resource-policy"), "same-origin");
    }
}

#[tokio::test]
async fn a_person_lets_an_app_in_or_does_not() {
    let shop = Shop::shared().await;
    let (app, person) = (registered_app(&shop).await, shop.register_person().await);
    let page = page(&shop, &app).await;
    let denied = page.submit(&shop, "", "", false).from(&person.address).send().await;
    let address = denied.header("location");
    assert!(address.starts_with("https://parcels.test/callback?from=shop&"), "{address}");
    let (_, parameters) = sent_to(&denied);
    assert_eq!(parameters["error"], "access_denied");
    assert_eq!((&parameters["state"], &*parameters["iss"]), (&app.parameters()["state"], ISSUER));
    assert!(!parameters.contains_key("code"));

    let let_in = page.submit(&shop, &person.email, &person.password, true).from(&person.address).send().await;
    let (_, parameters) = sent_to(&let_in);
    assert_eq!((&parameters["state"], &*parameters["iss"]), (&app.parameters()["state"], ISSUER));
    assert_eq!(let_in.header("cache-control"), "private, no-store");
    let tokens = app.exchange(&shop, &parameters["code"]).send().await.expect(200);
    assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("Bearer"), &json!(900)));
    assert_eq!(tokens["scope"], "profile:read");
    let claims = claims_of(tokens["access_token"].as_str().unwrap());
    assert_eq!((&claims["client_id"], &claims["scope"]), (&json!(app.id), &json!("profile:read")));
    // It can read the profile, and touches nothing.
    let token = tokens["access_token"].as_str().unwrap();
    assert_eq!(shop.get("/users/me").bearer(token).send().await.expect(200)["email"], person.email);
    for request in [
        shop.patch("/users/me").if_match("*").json(&json!({"name": "Taken over"})),
        shop.put("/users/me/password").json(&json!({"current_password": "x", "new_password": "y"})),
        shop.post("/users/me/delete").json(&json!({"password": person.password})),
        shop.delete("/sessions"),
        shop.get("/users"),
    ] {
        request.bearer(token).send().await.expect_problem(403, "insufficient_scope");
    }
}

#[tokio::test]
async fn a_wrong_password_shows_the_page_again_without_it() {
    let shop = Shop::shared().await;
    let person = shop.register_person().await;
    let first = page(&shop, &STOREFRONT_CLIENT).await;
    let submitted = first.submit(&shop, &person.email, "CANARY-not-the-password", true).from(&person.address);
    let again = submitted.send().await.expect(200);
    assert!(!again.text.contains("CANARY-not-the-password"), "{again:?}");
    // As it was filled in, and it says what is wrong; nothing of the request is lost.
    let again = Page::of(&STOREFRONT_CLIENT.path(None), &again);
    assert!(again.html.contains("role=\"alert\"") && again.html.contains(&person.email), "{}", again.html);
    let hidden = |page: &Page| {
        let hidden =
            page.tags("input").into_iter().filter(|tag| attribute(tag, "type").as_deref() == Some("hidden"));
        hidden.collect::<Vec<_>>()
    };
    assert_eq!(hidden(&again), hidden(&first));
    let unknown =
        first.submit(&shop, &Person::new().email, "CANARY-not-the-password", true).from(&person.address);
    let unknown = unknown.send().await.expect(200);
    let shown = |page: &str| page.replace(&person.email, "").len();
    assert!(unknown.text.contains("role=\"alert\""));
    assert!(shown(&again.html) > 0);
    let submitted =
        again.submit(&shop, &person.email, &person.password, true).from(&person.address).send().await;
    assert!(sent_to(&submitted).1.contains_key("code"));
}

#[tokio::test]
async fn who_is_not_known_is_sent_nowhere() {
    let shop = Shop::shared().await;
    let app = registered_app(&shop).await;
    let uri = &app.redirect_uri;
    let unknown: Vec<(&'static str, Option<String>)> = vec![
        ("client_id", None),
        ("client_id", Some("".to_owned())),
        ("client_id", Some("cli_01jd9a4t7w0y2b5d8f1h3k6m9p".to_owned())),
        ("client_id", Some("Storefront".to_owned())),
        ("client_id", Some("usr_01jd9a4t7w0y2b5d8f1h3k6m9p".to_owned())),
        ("redirect_uri", None),
        ("redirect_uri", Some("".to_owned())),
        ("redirect_uri", Some("https://evil.test/callback".to_owned())),
        ("redirect_uri", Some(format!("{uri}&x=1"))),
        ("redirect_uri", Some(format!("{uri}#x"))),
        ("redirect_uri", Some(format!("{uri}/"))),
        ("redirect_uri", Some(uri.replace("https", "http"))),
        ("redirect_uri", Some(uri.replace("parcels", "PARCELS"))),
        ("redirect_uri", Some(uri.replace("/callback", "/callback/../callback"))),
        ("redirect_uri", Some(uri.replace("parcels.test", "parcels.test@evil.test"))),
        ("redirect_uri", Some(uri.replace("parcels.test", "parcels.test.evil.test"))),
        ("redirect_uri", Some(uri.split('?').next().unwrap().to_owned())),
        ("redirect_uri", Some(STOREFRONT_CLIENT.redirect_uri.clone())),
        ("redirect_uri", Some("javascript:alert(1)".to_owned())),
        ("redirect_uri", Some("//parcels.test/callback".to_owned())),
    ];
    for (name, value) in unknown {
        let path = app.path(Some((name, value.as_deref())));
        let answer = shop.get(&path).send().await;
        assert_eq!(answer.status, 400, "{name}={value:?} {answer:?}");
        assert!(
            answer.find_header("location").is_none()
                && answer.header("content-type").starts_with("text/html")
        );
        // Nor by a forged form.
        let mut fields = app.parameters();
        match &value {
            Some(value) => fields.insert(name, value.clone()),
            None => fields.remove(name),
        };
        let mut fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, &**value)).collect();
        fields.extend([
            ("email", "jane@canary.test"),
            ("password", "CANARY password"),
            ("decision", "allow"),
        ]);
        let submitted = shop.post("/oauth/authorize").form(&fields).send().await;
        assert_eq!(submitted.status, 400, "{name}={value:?} {submitted:?}");
        assert!(submitted.find_header("location").is_none());
    }
    // A parameter that comes twice is none.
    for name in ["client_id", "redirect_uri"] {
        let twice = format!("{}&{name}=x", app.path(None));
        let answer = shop.get(&twice).send().await.expect(400);
        assert!(answer.find_header("location").is_none());
    }
}

#[tokio::test]
async fn what_is_wrong_with_its_request_is_told_to_the_app() {
    let shop = Shop::shared().await;
    let app = registered_app(&shop).await;
    let wrong: Vec<(&'static str, Option<&str>, &str)> = vec![
        ("response_type", None, "invalid_request"),
        ("response_type", Some("token"), "unsupported_response_type"),
        ("response_type", Some("code token"), "unsupported_response_type"),
        ("code_challenge", None, "invalid_request"),
        ("code_challenge", Some(""), "invalid_request"),
        ("code_challenge", Some("short"), "invalid_request"),
        ("code_challenge", Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-c="), "invalid_request"),
        ("code_challenge", Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cMA"), "invalid_request"),
        ("code_challenge_method", None, "invalid_request"),
        ("code_challenge_method", Some("plain"), "invalid_request"),
        ("code_challenge_method", Some("s256"), "invalid_request"),
        ("scope", Some("account"), "invalid_scope"),
        ("scope", Some("profile:read account"), "invalid_scope"),
        ("scope", Some("users:read"), "invalid_scope"),
        ("scope", Some("profile:write"), "invalid_scope"),
        ("scope", Some("profile:read  orders:own"), "invalid_scope"),
    ];
    for (name, value, error) in wrong {
        let answer = shop.get(&app.path(Some((name, value)))).send().await;
        let (address, parameters) = sent_to(&answer);
        assert_eq!(address, "https://parcels.test/callback");
        assert_eq!(parameters["error"], error, "{name}={value:?} {answer:?}");
        assert_eq!((&parameters["state"], &*parameters["iss"]), (&app.parameters()["state"], ISSUER));
        assert!(!parameters.contains_key("code") && parameters["from"] == "shop");
    }
    // The shop's own front has no more than others when it comes this way.
    let front = shop.get(&STOREFRONT_CLIENT.path(Some(("scope", Some("account"))))).send().await;
    assert_eq!(sent_to(&front).1["error"], "invalid_scope");
    // Unknown parameters are ignored; without a scope, all are granted.
    let more = format!("{}&prompt=login&nonce=1", app.path(Some(("scope", None))));
    shop.get(&more).send().await.expect(200);
    let without_state = shop.get(&app.path(Some(("state", None)))).send().await.expect(200);
    let page = Page::of(&app.path(Some(("state", None))), &without_state);
    let denied = page.submit(&shop, "", "", false).send().await;
    assert!(!sent_to(&denied).1.contains_key("state"));
}

#[tokio::test]
async fn an_absent_scope_is_all_that_the_app_was_registered_for() {
    let shop = Shop::shared().await;
    let (app, person) = (registered_app(&shop).await, shop.register_person().await);
    let path = app.path(Some(("scope", None)));
    let page = Page::of(&path, &shop.get(&path).send().await.expect(200));
    let submitted =
        page.submit(&shop, &person.email, &person.password, true).from(&person.address).send().await;
    let tokens = app.exchange(&shop, &sent_to(&submitted).1["code"]).send().await.expect(200);
    let mut scopes: Vec<&str> = tokens["scope"].as_str().unwrap().split(' ').collect();
    scopes.sort_unstable();
    assert_eq!(scopes, ["orders:own", "profile:read"]);
    // Less of it at a refresh, never more.
    let refresh = |token: &Value, scope: &str| {
        let fields = [
            ("grant_type", "refresh_token"),
            ("refresh_token", token.as_str().unwrap()),
            ("client_id", &*app.id),
            ("scope", scope),
        ];
        shop.token_request(&fields)
    };
    assert_error(&refresh(&tokens["refresh_token"], "account").send().await, 400, "invalid_scope");
    assert_error(
        &refresh(&tokens["refresh_token"], "profile:read account").send().await,
        400,
        "invalid_scope",
    );
    let less = refresh(&tokens["refresh_token"], "profile:read").send().await.expect(200);
    assert_eq!(less["scope"], "profile:read");
    let all = refresh(&less["refresh_token"], "orders:own profile:read").send().await.expect(200);
    assert_eq!(all["scope"].as_str().unwrap().len(), "orders:own profile:read".len());
}

// --------------------------------------------------------------------------------------------------- codes

#[tokio::test]
async fn a_code_is_good_once_for_a_minute_for_whom_it_was_made() {
    let shop = Shop::shared().await;
    let (app, other, person) =
        (registered_app(&shop).await, registered_app(&shop).await, shop.register_person().await);
    let code = code_for(&shop, &app, &person).await;
    let kept = json!(shop.items(USERS)).to_string();
    assert!(!kept.contains(&code), "kept as it is");
    let wrong = [
        ("code_verifier", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXl", "invalid_grant"),
        ("code_verifier", CHALLENGE, "invalid_grant"),
        ("code_verifier", "-", "invalid_request"),
        ("code_verifier", &"a".repeat(42), "invalid_request"),
        ("code_verifier", &"a".repeat(129), "invalid_request"),
        ("code_verifier", &"é".repeat(50), "invalid_request"),
        ("redirect_uri", "https://parcels.test/other", "invalid_grant"),
        ("redirect_uri", "-", "invalid_request"),
        ("client_id", &other.id, "invalid_grant"),
        ("client_id", "storefront", "invalid_grant"),
        ("code", "x", "invalid_grant"),
        ("code", "-", "invalid_request"),
    ];
    for (parameter, value, error) in wrong {
        assert_error(&app.exchange_with(&shop, &code, &[(parameter, value)]).send().await, 400, error);
    }
    let tokens = app.exchange(&shop, &code).send().await.expect(200);
    let refresh = |token: &Value| {
        let fields = [
            ("grant_type", "refresh_token"),
            ("refresh_token", token.as_str().unwrap()),
            ("client_id", &*app.id),
        ];
        shop.token_request(&fields)
    };
    let next = refresh(&tokens["refresh_token"]).send().await.expect(200);
    // Shown again by someone who lacks what the client has, it ends nothing.
    for (parameter, value, error) in wrong.into_iter().filter(|(parameter, ..)| *parameter != "code") {
        assert_error(&app.exchange_with(&shop, &code, &[(parameter, value)]).send().await, 400, error);
    }
    let next = refresh(&next["refresh_token"]).send().await.expect(200);
    // Used again by its client, it ends what it has become.
    assert_error(&app.exchange(&shop, &code).send().await, 400, "invalid_grant");
    assert_error(&refresh(&next["refresh_token"]).send().await, 400, "invalid_grant");

    let code = code_for(&shop, &app, &person).await;
    let hash = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, code.as_bytes()));
    let mut item = shop.item(USERS, &format!("CODE#{hash}"), "CODE");
    let ends: i64 = item["expires_at"]["N"].as_str().unwrap().parse().unwrap();
    let left = ends - shared::telemetry::now().as_seconds();
    assert!((50..=60).contains(&left), "{left}");
    item["expires_at"] = json!({"N": (ends - 61).to_string()});
    shop.write(USERS, item);
    assert_error(&app.exchange(&shop, &code).send().await, 400, "invalid_grant");
}

#[tokio::test]
async fn of_those_who_use_one_code_at_once_none_keeps_anything() {
    let shop = Shop::with(&[
        ("oauth-token", 8),
        ("oauth-authorize", 1),
        ("sessions-create", 1),
        ("users-register", 1),
        ("users-verify-email", 1),
        ("mail-send", 1),
    ])
    .await;
    let person = shop.register_person().await;
    let code = code_for(&shop, &STOREFRONT_CLIENT, &person).await;
    let start = shop.calls("TransactWriteItems").by("oauth-token").hold();
    let racers = join_all((0..8).map(|_| STOREFRONT_CLIENT.exchange(&shop, &code).send()));
    let (answers, ()) = tokio::join!(racers, async {
        start.reached(8).await;
        start.release();
    });
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!((won.len(), lost.len()), (1, 7), "{answers:#?}");
    lost.iter().for_each(|answer| assert_error(answer, 400, "invalid_grant"));
    assert_error(&shop.refresh(won[0]["refresh_token"].as_str().unwrap()).send().await, 400, "invalid_grant");
}

#[tokio::test]
async fn a_code_comes_to_nothing_once_the_sessions_were_ended() {
    let shop = Shop::shared().await;
    let person = shop.register_person().await;
    let session = shop.session(&person).await;
    let code = code_for(&shop, &STOREFRONT_CLIENT, &person).await;
    shop.delete("/sessions").bearer(&session.access_token).send().await.expect(204);
    assert_error(&STOREFRONT_CLIENT.exchange(&shop, &code).send().await, 400, "invalid_grant");
}

// ------------------------------------------------------------------------------------------ the token endpoint

#[tokio::test]
async fn errors_of_the_token_endpoint_have_the_names_of_the_rfc() {
    let shop = Shop::shared().await;
    let (id, secret) = machine(&shop, "inventory:read").await;
    let app = registered_app(&shop).await;
    let session = shop.session(&shop.register_person().await).await;
    let refresh = &*session.refresh_token;
    let credentials: [(&str, &str); 2] = [("client_id", &id), ("client_secret", &secret)];
    type Fields<'a> = Vec<(&'a str, &'a str)>;
    let with = |fields: &[(&'static str, &'static str)]| -> Fields { [&credentials[..], fields].concat() };
    let machine_grant = ("grant_type", "client_credentials");
    let cases: Vec<(Fields, u16, &str)> = vec![
        (vec![], 400, "invalid_request"),
        (vec![("grant_type", "")], 400, "invalid_request"),
        (
            vec![("grant_type", "password"), ("username", "a"), ("password", "b")],
            400,
            "unsupported_grant_type",
        ),
        (vec![("grant_type", "implicit")], 400, "unsupported_grant_type"),
        (vec![("grant_type", "Refresh_Token"), ("refresh_token", refresh)], 400, "unsupported_grant_type"),
        (vec![machine_grant, machine_grant, credentials[0], credentials[1]], 400, "invalid_request"),
        (vec![machine_grant], 401, "invalid_client"),
        (vec![machine_grant, ("client_id", &id)], 401, "invalid_client"),
        (vec![machine_grant, ("client_id", &id), ("client_secret", "")], 401, "invalid_client"),
        (vec![machine_grant, ("client_id", &id), ("client_secret", "wrong")], 401, "invalid_client"),
        (vec![machine_grant, ("client_id", "x"), ("client_secret", &secret)], 401, "invalid_client"),
        (vec![machine_grant, ("client_id", "storefront")], 400, "unauthorized_client"),
        (vec![machine_grant, ("client_id", &app.id)], 400, "unauthorized_client"),
        (
            vec![machine_grant, ("client_id", "storefront"), ("client_secret", "x")],
            400,
            "unauthorized_client",
        ),
        (with(&[machine_grant, ("scope", "orders:read")]), 400, "invalid_scope"),
        (with(&[machine_grant, ("scope", "inventory:read orders:read")]), 400, "invalid_scope"),
        (with(&[machine_grant, ("scope", "account")]), 400, "invalid_scope"),
        (with(&[machine_grant, ("scope", "inventory")]), 400, "invalid_scope"),
        (with(&[("grant_type", "refresh_token")]), 400, "invalid_request"),
        (vec![("grant_type", "refresh_token"), ("client_id", "storefront")], 400, "invalid_request"),
        (
            vec![("grant_type", "refresh_token"), ("refresh_token", "x"), ("client_id", "storefront")],
            400,
            "invalid_grant",
        ),
        // Another client's, with a token that is good.
        (
            vec![("grant_type", "refresh_token"), ("refresh_token", refresh), ("client_id", &app.id)],
            400,
            "invalid_grant",
        ),
        (vec![("grant_type", "authorization_code"), ("client_id", "storefront")], 400, "invalid_request"),
    ];
    for (fields, status, error) in cases {
        let answer = shop.token_request(&fields).send().await;
        let shown = || format!("{fields:?} {answer:?}");
        assert_eq!((answer.status, answer["error"].as_str()), (status, Some(error)), "{}", shown());
        assert_error(&answer, status, error);
        // RFC 6749, section 5.2.
        assert_eq!(answer.find_header("www-authenticate").is_some(), status == 401, "{}", shown());
    }
    // Who sends nothing that is a form.
    let json = json!({"grant_type": "client_credentials", "client_id": id, "client_secret": secret});
    assert_error(&shop.post("/oauth/token").json(&json).send().await, 400, "invalid_request");
    assert_error(&shop.post("/oauth/token").send().await, 400, "invalid_request");
    let large = format!("grant_type=client_credentials&more={}", "x".repeat(70_000));
    let large = shop.post("/oauth/token").body("application/x-www-form-urlencoded", large).send().await;
    assert_error(&large, 400, "invalid_request");
    // Nothing of it has ended the session.
    shop.refresh(refresh).send().await.expect(200);
}

#[tokio::test]
async fn a_client_says_who_it_is_in_one_way() {
    let shop = Shop::shared().await;
    let (id, secret) = machine(&shop, "inventory:read").await;
    let (other, _) = machine(&shop, "inventory:read").await;
    let request = |authorization: &str| {
        shop.token_request(&[("grant_type", "client_credentials")]).header("authorization", authorization)
    };
    request(&basic(&id, &secret)).send().await.expect(200);
    request(&basic(&id, &secret).replace("Basic", "basic")).send().await.expect(200);
    for wrong in [
        basic(&id, "wrong"),
        basic(&id, ""),
        basic("", &secret),
        basic(&id, &secret.to_uppercase()),
        basic(&id, &format!("{secret} ")),
        basic(&other, &secret),
        format!("Basic {id}:{secret}"),
        "Basic".to_owned(),
        "Basic !!!".to_owned(),
        format!("Bearer {}", BASE64_STANDARD.encode(format!("{id}:{secret}"))),
        format!("Basic {}", BASE64_STANDARD.encode(&id)),
    ] {
        let answer = request(&wrong).send().await;
        assert_error(&answer, 401, "invalid_client");
        assert!(answer.header("www-authenticate").starts_with("Basic"), "{answer:?}");
    }
    // Both ways at once, or for two.
    let both = [("grant_type", "client_credentials"), ("client_id", &*id), ("client_secret", &*secret)];
    let both = shop.token_request(&both).header("authorization", &basic(&id, &secret)).send().await;
    assert_error(&both, 400, "invalid_request");
    let two = [("grant_type", "client_credentials"), ("client_id", &*other)];
    let two = shop.token_request(&two).header("authorization", &basic(&id, &secret)).send().await;
    assert_error(&two, 400, "invalid_request");
    // The same name beside it says nothing new.
    let same = [("grant_type", "client_credentials"), ("client_id", &*id)];
    shop.token_request(&same).header("authorization", &basic(&id, &secret)).send().await.expect(200);
    // Never in the URL.
    let query = shop.post("/oauth/token").query("client_id", &id).query("client_secret", &secret);
    let query = query.form(&[("grant_type", "client_credentials")]).send().await;
    assert_error(&query, 401, "invalid_client");
}

#[tokio::test]
async fn scopes_of_a_program_are_narrowed_as_asked() {
    let shop = Shop::shared().await;
    let (id, secret) = machine(&shop, "inventory:read orders:read users:read").await;
    let ask = |scope: &str| {
        let fields = [("grant_type", "client_credentials"), ("scope", scope)];
        shop.token_request(&fields).header("authorization", &basic(&id, &secret))
    };
    let some = ask("users:read inventory:read").send().await.expect(200);
    let claims = claims_of(some["access_token"].as_str().unwrap());
    let mut scopes: Vec<&str> = claims["scope"].as_str().unwrap().split(' ').collect();
    scopes.sort_unstable();
    assert_eq!(scopes, ["inventory:read", "users:read"]);
    assert_eq!(
        (&claims["sub"], &claims["client_id"], &claims["sid"]),
        (&json!(id), &json!(id), &Value::Null)
    );
    assert!(some["refresh_token"].is_null());
    // A program has no profile, and registers no clients.
    let token = some["access_token"].as_str().unwrap();
    shop.get("/users").bearer(token).send().await.expect(200);
    shop.get("/users/me").bearer(token).send().await.expect(403);
    shop.get("/oauth/clients").bearer(token).send().await.expect_problem(403, "insufficient_scope");
}

// -------------------------------------------------------------------------------------------------- revocation

#[tokio::test]
async fn a_revoked_token_ends_its_session_and_no_other() {
    let shop = Shop::shared().await;
    let person = shop.register_person().await;
    let (one, other) = (shop.session(&person).await, shop.session(&person).await);
    let revoke = |fields: &[(&str, &str)]| shop.post("/oauth/revoke").form(fields);
    let refreshed = Session::of(&shop.refresh(&one.refresh_token).send().await.expect(200));
    // What is no token, or none of this client's, is as good as revoked; and nothing happens.
    let app = registered_app(&shop).await;
    for token in ["x", "", &"A".repeat(128), "🏺"] {
        let answer = revoke(&[("token", token), ("client_id", "storefront")]).send().await;
        answer.expect(if token.is_empty() { 400 } else { 200 });
    }
    let foreign = revoke(&[("token", &refreshed.refresh_token), ("client_id", &app.id)]).send().await;
    assert_error(&foreign, 400, "invalid_grant");
    let again = shop.refresh(&refreshed.refresh_token).send().await.expect(200);
    let last = again["refresh_token"].as_str().unwrap();
    let answer =
        revoke(&[("token", last), ("token_type_hint", "refresh_token"), ("client_id", "storefront")]);
    assert_eq!(answer.clone().send().await.expect(200).text, "");
    answer.send().await.expect(200);
    assert_error(&shop.refresh(last).send().await, 400, "invalid_grant");
    shop.refresh(&other.refresh_token).send().await.expect(200);
    // An access token ends the same session.
    revoke(&[("token", &other.access_token), ("client_id", "storefront")]).send().await.expect(200);
    let patch = shop.patch("/users/me").if_match("*").json(&json!({"name": "CANARY Jane"}));
    patch.bearer(&other.access_token).send().await.expect_problem(401, "invalid_token");
    assert_error(&shop.refresh(&other.refresh_token).send().await, 400, "invalid_grant");

    assert_error(&revoke(&[("client_id", "storefront")]).send().await, 400, "invalid_request");
}

// ----------------------------------------------------------------------------------------------------- clients

#[tokio::test]
async fn clients_are_registered_listed_and_removed() {
    let shop = Shop::shared().await;
    let new = json!({"name": "Warehouse", "scope": "inventory:read inventory:write"});
    let created = create_client(&shop, &new).send().await.expect(201);
    let id = created["client_id"].as_str().unwrap();
    assert_eq!(created.header("location"), format!("/v1/oauth/clients/{id}"));
    assert_eq!(
        (&created["grant_types"], &created["redirect_uris"]),
        (&json!(["client_credentials"]), &json!([]))
    );
    assert_eq!(created["token_endpoint_auth_method"], "client_secret_basic");
    let secret = created["client_secret"].as_str().unwrap();
    assert!(BASE64_URL_SAFE_NO_PAD.decode(secret).unwrap().len() >= 32);
    let of_client = |item: &Value| item["pk"]["S"] == format!("CLIENT#{id}");
    let kept: Vec<Value> = shop.items(USERS).into_iter().filter(of_client).collect();
    assert!(!json!(kept).to_string().contains(secret), "{kept:#?}");

    let app = registered_app(&shop).await;
    let list = shop.walk(shop.get("/oauth/clients").scoped(ADMIN).query("limit", 100)).await;
    let find = |id: &str| list.iter().find(|client| client["client_id"] == id).unwrap();
    assert_eq!(*find(id), changed(created.json.clone(), json!({"client_secret": null})));
    let app_listed = find(&app.id);
    assert_eq!(app_listed["grant_types"], json!(["authorization_code", "refresh_token"]));
    assert_eq!(
        (&app_listed["token_endpoint_auth_method"], &app_listed["client_secret"]),
        (&json!("none"), &Value::Null)
    );

    let person = shop.register_person().await;
    let tokens = app.exchange(&shop, &code_for(&shop, &app, &person).await).send().await.expect(200);
    for id in [id, &*app.id] {
        shop.delete(&format!("/oauth/clients/{id}")).scoped(ADMIN).send().await.expect(204);
        let again = shop.delete(&format!("/oauth/clients/{id}")).scoped(ADMIN).send().await;
        again.expect_problem(404, "not_found");
    }
    let gone = shop
        .token_request(&[("grant_type", "client_credentials")])
        .header("authorization", &basic(id, secret));
    assert_error(&gone.send().await, 401, "invalid_client");
    let fields = [
        ("grant_type", "refresh_token"),
        ("client_id", &*app.id),
        ("refresh_token", tokens["refresh_token"].as_str().unwrap()),
    ];
    assert_error(&shop.token_request(&fields).send().await, 401, "invalid_client");
    shop.get(&app.path(None)).send().await.expect(400);
    for id in ["x", "storefront", "usr_01jd9a4t7w0y2b5d8f1h3k6m9p", "cli_"] {
        let delete = shop.delete(&format!("/oauth/clients/{id}")).scoped(ADMIN).send().await;
        delete.expect_problem(404, "not_found");
    }
}

#[tokio::test]
async fn a_client_changes_its_secret_without_a_pause() {
    let shop = Shop::shared().await;
    let (id, first) = machine(&shop, "inventory:read").await;
    let path = format!("/oauth/clients/{id}/secrets");
    let token = async |secret: &str| {
        let fields = [("grant_type", "client_credentials"), ("client_id", &*id), ("client_secret", secret)];
        shop.token_request(&fields).send().await
    };
    let add = || shop.post(&path).scoped(ADMIN).send();
    let second = add().await.expect(201);
    let text = second["client_secret"].as_str().unwrap().to_owned();
    assert_ne!(text, first);
    assert!(BASE64_URL_SAFE_NO_PAD.decode(&text).unwrap().len() >= 32);
    assert!(!json!(shop.items(USERS)).to_string().contains(&text));
    let of_first = token(&first).await.expect(200);
    token(&text).await.expect(200);
    add().await.expect_problem(409, "too_many_secrets");

    let list = shop.walk(shop.get("/oauth/clients").scoped(ADMIN).query("limit", 100)).await;
    let listed = list.into_iter().find(|client| client["client_id"] == id).unwrap();
    let secrets = listed["secrets"].as_array().unwrap();
    assert_eq!((secrets.len(), &secrets[1]["id"]), (2, &second["id"]));
    assert!(!listed.to_string().contains(&text));

    // The old one ends, with the tokens that it may have got, and the new one goes on.
    let delete = |secret: &str| shop.delete(&format!("{path}/{secret}")).scoped(ADMIN).send();
    let old = secrets[0]["id"].as_str().unwrap();
    delete(old).await.expect(204);
    delete(old).await.expect_problem(404, "not_found");
    assert_error(&token(&first).await, 401, "invalid_client");
    let product = shop.create_stocked("secret", 1).await;
    let read = |tokens: &Answer| {
        let token = tokens["access_token"].as_str().unwrap().to_owned();
        shop.get(&format!("/products/{}/inventory", product.id())).bearer(&token).send()
    };
    let ended = async || Some(read(&of_first).await).filter(|answer| answer.status == 401);
    eventually("the tokens end", ended).await.expect_problem(401, "invalid_token");
    read(&token(&text).await.expect(200)).await.expect(200);
    add().await.expect(201);
}

#[tokio::test]
async fn only_machine_clients_have_secrets() {
    let shop = Shop::shared().await;
    let app = registered_app(&shop).await;
    let unknown = "cli_01jd8x2m9q5w3r7t1v6y4z0abc";
    for id in [&*app.id, unknown, "x"] {
        let add = shop.post(&format!("/oauth/clients/{id}/secrets")).scoped(ADMIN).send().await;
        add.expect_problem(404, "not_found");
        let secret = "sec_01jd8x2m9q5w3r7t1v6y4z0abc";
        let delete = shop.delete(&format!("/oauth/clients/{id}/secrets/{secret}")).scoped(ADMIN).send().await;
        delete.expect_problem(404, "not_found");
    }
}

#[tokio::test]
async fn two_who_add_a_secret_at_once_make_no_third() {
    let shop = Shop::with(&[("oauth-secrets-create", 4), ("oauth-clients-create", 1)]).await;
    let (id, _) = machine(&shop, "inventory:read").await;
    let start = shop.calls("TransactWriteItems").by("oauth-secrets-create").hold();
    let adds = (0..4).map(|_| shop.post(&format!("/oauth/clients/{id}/secrets")).scoped(ADMIN).send());
    let (answers, ()) = tokio::join!(join_all(adds), async {
        start.reached(4).await;
        start.release();
    });
    let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409], "{answers:#?}");
}

#[tokio::test]
async fn a_machine_revokes_its_own_tokens_and_no_others() {
    let shop = Shop::shared().await;
    let ((id, secret), (other, others_secret)) =
        (machine(&shop, "inventory:write").await, machine(&shop, "inventory:write").await);
    let fields = [("grant_type", "client_credentials"), ("client_id", &*id), ("client_secret", &*secret)];
    let tokens = shop.token_request(&fields).send().await.expect(200);
    let token = tokens["access_token"].as_str().unwrap();
    let product = shop.create_stocked("revoked", 1).await;
    let adjust = || shop.adjust(product.id(), 1).bearer(token).send();
    let revoke = |client: &str, secret: &str| {
        let revoke = shop.post("/oauth/revoke").form(&[("token", token)]);
        revoke.header("authorization", &basic(client, secret)).send()
    };
    assert_error(&shop.post("/oauth/revoke").form(&[("token", token)]).send().await, 401, "invalid_client");
    assert_error(&revoke(&id, "wrong").await, 401, "invalid_client");
    assert_error(&revoke(&other, &others_secret).await, 400, "invalid_grant");
    adjust().await.expect(201);
    revoke(&id, &secret).await.expect(200);
    for _ in 0..8 {
        adjust().await.expect_problem(401, "invalid_token");
    }
    // The client gets new ones.
    let tokens = shop.token_request(&fields).send().await.expect(200);
    shop.adjust(product.id(), 1).bearer(tokens["access_token"].as_str().unwrap()).send().await.expect(201);
}

#[tokio::test]
async fn every_invalid_field_of_a_new_client_is_named() {
    let shop = Shop::shared().await;
    let machine = json!({"name": "Warehouse", "scope": "inventory:read"});
    let app = json!({"name": "Parcels", "scope": "profile:read", "redirect_uris": ["https://parcels.test/"]});
    let uris = |count: usize| (0..count).map(|n| format!("https://parcels.test/{n}")).collect::<Vec<_>>();
    type Faults<'a> = Vec<(&'a str, &'a str)>;
    let cases: Vec<(&Value, Value, Faults)> = vec![
        (&machine, json!({"name": null}), vec![("/name", "required")]),
        (&machine, json!({"name": 5}), vec![("/name", "invalid_type")]),
        (&machine, json!({"name": ""}), vec![("/name", "too_short")]),
        (&machine, json!({"name": "x".repeat(101)}), vec![("/name", "too_long")]),
        (&machine, json!({"name": "two\nlines"}), vec![("/name", "invalid_format")]),
        (&machine, json!({"scope": null}), vec![("/scope", "required")]),
        (&machine, json!({"scope": ["inventory:read"]}), vec![("/scope", "invalid_type")]),
        (&machine, json!({"client_id": "cli_1"}), vec![("/client_id", "unknown_field")]),
        (&machine, json!({"client_secret": "mine"}), vec![("/client_secret", "unknown_field")]),
        (&machine, json!({"grant_types": ["password"]}), vec![("/grant_types", "unknown_field")]),
        (&app, json!({"redirect_uris": uris(11)}), vec![("/redirect_uris", "too_many")]),
        (&app, json!({"redirect_uris": "https://parcels.test/"}), vec![("/redirect_uris", "invalid_type")]),
        (&app, json!({"redirect_uris": [5]}), vec![("/redirect_uris/0", "invalid_type")]),
        (
            &app,
            json!({"redirect_uris": [format!("https://parcels.test/{}", "x".repeat(500))]}),
            vec![("/redirect_uris/0", "too_long")],
        ),
    ];
    for (base, change, expected) in cases {
        create_client(&shop, &changed(base.clone(), change)).send().await.expect_invalid(&expected);
    }
    // A scope that is none, or none that such a client may have.
    for (base, scope) in [
        (&machine, ""),
        (&machine, "inventory"),
        (&machine, "account"),
        (&machine, "profile:read"),
        (&machine, "orders:own"),
        (&machine, "users:write"),
        (&machine, "clients:write"),
        (&machine, "inventory:read inventory:read"),
        (&machine, "inventory:read  orders:read"),
        (&machine, "INVENTORY:READ"),
        (&app, "account"),
        (&app, "profile:read account"),
        (&app, "users:read"),
        (&app, "inventory:read"),
    ] {
        let refused = create_client(&shop, &changed(base.clone(), json!({"scope": scope}))).send().await;
        let refused = refused.expect_problem(422, "validation_failed");
        assert!(
            refused["errors"][0]["pointer"] == "/scope" && refused["errors"][1].is_null(),
            "{scope} {refused:?}"
        );
    }
    for uri in [
        "",
        "parcels",
        "/callback",
        "//parcels.test/",
        "http://parcels.test/",
        "http://10.0.0.1/",
        "https://",
        "https://parcels.test/#fragment",
        "https://jane@parcels.test/",
        "https://jane:secret@parcels.test/",
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "ftp://parcels.test/",
        "parcels:callback",
        "https://parcels.test/ callback",
        "https://parcels.test/\ncallback",
        " https://parcels.test/",
        "https://parcels.test/\"onclick",
        "https://p\u{430}rcels.test/",
        "http://localhost.evil.test/",
        "*",
        "https://*.parcels.test/<",
        "https://*.parcels.test/",
        "https://parcels.test/*",
        "https://parcels.test:0/",
        "http://localhost:0/",
        "https://parcels.test/?code=mine",
        "https://parcels.test/?a=b&state=",
        "https://parcels.test/?%69ss=x",
        "javascript.x:alert(1)",
        "parcels.-x:/",
        "test..parcels:/",
    ] {
        let refused =
            create_client(&shop, &changed(app.clone(), json!({"redirect_uris": [uri]}))).send().await;
        let refused = refused.expect_problem(422, "validation_failed");
        assert_eq!(refused["errors"][0]["pointer"], "/redirect_uris/0", "{uri} {refused:?}");
    }
    for uri in [
        "https://parcels.test",
        "https://parcels.test:8443/a/b?c=d",
        "http://localhost:3000/callback",
        "http://127.0.0.1/callback",
        "http://[::1]:7/callback",
        "test.parcels.app:/callback",
    ] {
        create_client(&shop, &changed(app.clone(), json!({"redirect_uris": [uri]}))).send().await.expect(201);
    }
    create_client(&shop, &changed(app, json!({"redirect_uris": uris(10)}))).send().await.expect(201);
}

// --------------------------------------------------------------------------------------------------- what is published

#[tokio::test]
async fn the_metadata_names_what_there_is() {
    let shop = Shop::shared().await;
    let answer = shop.get("/.well-known/oauth-authorization-server").send().await.expect(200);
    assert_eq!(answer["issuer"], ISSUER);
    for (name, path) in [
        ("authorization_endpoint", "/oauth/authorize"),
        ("token_endpoint", "/oauth/token"),
        ("revocation_endpoint", "/oauth/revoke"),
        ("jwks_uri", "/.well-known/jwks.json"),
    ] {
        assert_eq!(answer[name], format!("{ISSUER}{path}"), "{name}");
    }
    assert_eq!(answer["response_types_supported"], json!(["code"]));
    assert_eq!(answer["code_challenge_methods_supported"], json!(["S256"]));
    let mut grants: Vec<_> =
        answer["grant_types_supported"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    grants.sort_unstable();
    assert_eq!(grants, ["authorization_code", "client_credentials", "refresh_token"]);
    assert!(answer.header("cache-control").starts_with("public, max-age="));
}

#[tokio::test]
async fn the_published_keys_verify_the_tokens() {
    let shop = Shop::shared().await;
    let answer = shop.get("/.well-known/jwks.json").send().await.expect(200);
    assert_eq!(answer.header("cache-control"), "public, max-age=300");
    let session = shop.session(&shop.register_person().await).await;
    let (message, signature) = session.access_token.rsplit_once('.').unwrap();
    let keys = answer["keys"].as_array().unwrap();
    let key = keys.iter().find(|key| key["kid"] == header_of(&session.access_token)["kid"]).unwrap();
    let public = BASE64_URL_SAFE_NO_PAD.decode(key["x"].as_str().unwrap()).unwrap();
    let key = ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, public);
    key.verify(message.as_bytes(), &BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    assert!(!answer.text.contains("\"d\""));
}

#[tokio::test]
async fn the_refresh_token_of_an_app_is_its_own() {
    let shop = Shop::shared().await;
    let (app, other, person) =
        (registered_app(&shop).await, registered_app(&shop).await, shop.register_person().await);
    let tokens = app.exchange(&shop, &code_for(&shop, &app, &person).await).send().await.expect(200);
    let token = RefreshToken::new(tokens["refresh_token"].as_str().unwrap().to_owned());
    for client in [&*other.id, "storefront"] {
        let fields =
            [("grant_type", "refresh_token"), ("refresh_token", token.secret()), ("client_id", client)];
        assert_error(&shop.token_request(&fields).send().await, 400, "invalid_grant");
    }
    let fields =
        [("grant_type", "refresh_token"), ("refresh_token", &**token.secret()), ("client_id", &*app.id)];
    shop.token_request(&fields).send().await.expect(200);
}
