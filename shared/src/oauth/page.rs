//! The sign-in and consent page. It works without scripts, in dark mode, on phones and with screen readers.

use maud::{DOCTYPE, Markup, html};

use super::authorization::Authorization;
use crate::{
    auth::Scope,
    html::{Html, source},
};

const STYLE: &str = "\
:root { color-scheme: light dark }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 0 auto; padding: max(2rem, 10vh) 1rem 2rem; max-width: 26rem }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 1rem }
ul { padding-left: 1.25rem }
label { display: block; font-weight: 600; margin: 1rem 0 .25rem }
input { box-sizing: border-box; width: 100%; font: inherit; padding: .625rem; border: 1px solid GrayText; border-radius: .375rem; background: Field; color: FieldText }
button { font: inherit; font-weight: 600; width: 100%; margin-top: 1rem; padding: .75rem; border: 1px solid #1d4ed8; border-radius: .375rem; background: #1d4ed8; color: #fff; cursor: pointer }
button[value=deny] { background: transparent; color: inherit; border-color: GrayText }
:focus-visible { outline: 3px solid #f59e0b; outline-offset: 2px }
.alert { border-left: .375rem solid #dc2626; padding: .5rem .75rem; background: rgb(220 38 38 / .12) }
small { display: block; margin-top: 1.5rem }";

impl Authorization {
    /// Renders the page, after a mistake with a message and the entered e-mail address.
    pub fn page(&self, mistake: Option<&str>, email: &str) -> Html {
        let consent = &self.consent;
        let (scope, invalid) = (consent.scope.to_string(), mistake.is_some().then_some("true"));
        let described = mistake.is_some().then_some("mistake");
        let hidden = [
            ("response_type", Some("code")),
            ("client_id", Some(consent.client_id.as_str())),
            ("redirect_uri", Some(consent.redirect_uri.as_str())),
            ("scope", Some(scope.as_str())),
            ("state", self.state.as_deref()),
            ("code_challenge", Some(consent.code_challenge.as_str())),
            ("code_challenge_method", Some("S256")),
        ];
        let body = html! {
            main {
                h1 { "Sign in" }
                p { strong { (self.client_name) } " asks to:" }
                ul { @for scope in consent.scope.iter() { li { (in_words(scope)) } } }
                @if let Some(mistake) = mistake { p #mistake .alert role="alert" { (mistake) } }
                form method="post" action="authorize" {
                    @for (name, value) in hidden {
                        @if let Some(value) = value { input type="hidden" name=(name) value=(value); }
                    }
                    label for="email" { "E-mail" }
                    input #email name="email" type="email" value=(email) autocomplete="username" maxlength="254"
                        required aria-invalid=[invalid] aria-describedby=[described];
                    label for="password" { "Password" }
                    input #password name="password" type="password" autocomplete="current-password"
                        required aria-invalid=[invalid] aria-describedby=[described];
                    button type="submit" name="decision" value="allow" { "Sign in and allow" }
                    button type="submit" name="decision" value="deny" formnovalidate { "Cancel" }
                }
                small {
                    "This app can't pay for orders or change your account. After you sign in, you will be sent to " (consent.redirect_uri.source()) "."
                }
            }
        };
        page("Sign in", body, &format!("'self' {}", consent.redirect_uri.source()))
    }
}

/// Renders an error page.
pub fn error(title: &str, detail: &str) -> Html {
    let body =
        html! { main { h1 { (title) } p .alert role="alert" { (detail) } p { "Go back and try again." } } };
    page(title, body, "'none'")
}

fn page(title: &str, body: Markup, form_action: &str) -> Html {
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (maud::PreEscaped(STYLE)) }
            }
            body { (body) }
        }
    };
    let style = source(STYLE);
    let policy = format!(
        "default-src 'none'; style-src {style}; form-action {form_action}; base-uri 'none'; frame-ancestors 'none'"
    );
    Html { document: document.into_string(), policy }
}

/// Describes a scope to the user who grants it.
fn in_words(scope: Scope) -> &'static str {
    match scope {
        Scope::OrdersOwn => "see your orders, and place orders for you (you pay for them yourself)",
        Scope::ProfileRead => "see your name, e-mail address, phone number and addresses",
        other => other.into_str(),
    }
}
