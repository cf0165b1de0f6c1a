//! People who use the shop, as they do: they register, read their mail, follow its links, and log in.

use std::sync::{
    LazyLock,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

use emulators::ses::Mail;

use super::{Answer, CUSTOMER, Request, Shop, deployed::FIRST_NUMBER, eventually};

use serde_json::{Value, json};

/// Somebody with an e-mail, a password and a place where they are.
#[derive(Clone, Debug)]
pub struct Person {
    pub email: String,
    pub password: String,
    pub name: String,
    /// Where their requests come from.
    pub address: String,
}

impl Person {
    /// Somebody whom no other test knows.
    pub fn new() -> Self {
        static NUMBER: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(*FIRST_NUMBER));
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self {
            email: format!("jane.{number}@canary.test"),
            password: format!("CANARY-{number}-qz7Kd0vWx3Lp9TjR"),
            name: "CANARY Jane Doe".to_owned(),
            address: unique_address(),
        }
    }
}

/// An address that no other test has.
pub fn unique_address() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0x0a00_0001);
    std::net::Ipv4Addr::from(NUMBER.fetch_add(1, Ordering::Relaxed)).to_string()
}

impl Shop {
    /// A request for an account.
    pub fn register(&self, person: &Person) -> Request {
        let Person { email, password, name, address } = person;
        let body = json!({"email": email, "password": password, "name": name});
        self.post("/users").json(&body).from(address)
    }

    /// A request to make an account of it, with the token that was mailed.
    pub fn verify(&self, person: &Person, token: &str) -> Request {
        let body = json!({"token": token, "password": person.password});
        self.post("/users/verify-email").json(&body).from(&person.address)
    }

    /// A request for a new password.
    pub fn forget_password(&self, person: &Person) -> Request {
        self.post("/users/password-reset").json(&json!({"email": person.email})).from(&person.address)
    }

    /// A request to set it, with the token that was mailed.
    pub fn reset_password(&self, person: &Person, token: &str, password: &str) -> Request {
        let body = json!({"token": token, "new_password": password});
        self.post("/users/password-reset/confirm").json(&body).from(&person.address)
    }

    /// A request to log in.
    pub fn log_in(&self, person: &Person) -> Request {
        self.log_in_with(person, &person.password)
    }

    /// A request to log in with another password.
    pub fn log_in_with(&self, person: &Person, password: &str) -> Request {
        let body = json!({"email": person.email, "password": password});
        self.post("/sessions").json(&body).from(&person.address)
    }

    /// A request for new tokens.
    pub fn refresh(&self, refresh_token: &str) -> Request {
        self.token_request(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
            ("client_id", "storefront"),
        ])
    }

    /// A request of the token endpoint.
    pub fn token_request(&self, fields: &[(&str, &str)]) -> Request {
        self.post("/oauth/token").form(fields)
    }

    /// The mails that an address has got, the newest last, once there are so many.
    pub async fn mails_to(&self, email: &str, count: usize) -> Vec<Mail> {
        let what = format!("{count} mails to {email}");
        eventually(&what, async || Some(self.mailbox().sent_to(email)).filter(|mails| mails.len() >= count))
            .await
    }

    /// The mail with that number, from 1 on, that an address gets.
    pub async fn mail_to(&self, email: &str, number: usize) -> Mail {
        self.mails_to(email, number).await.swap_remove(number - 1)
    }

    /// The token in the mail with that number, from 1 on, that leads to that page of the web shop.
    pub async fn mailed_token(&self, email: &str, page: &str, number: usize) -> String {
        let link = format!("/{page}?token=");
        let leads = |mail: &Mail| mail.text.as_deref().unwrap().contains(&link);
        let what = format!("{number} mails to {email} that lead to {page}");
        let find = async || self.mailbox().sent_to(email).into_iter().filter(leads).nth(number - 1);
        token_in(&eventually(&what, find).await)
    }

    /// Somebody with an account, opened as anybody opens one.
    pub async fn somebody(&self) -> Person {
        let person = Person::new();
        self.open_account(&person).await;
        person
    }

    /// Registers and follows the link in the mail.
    pub async fn open_account(&self, person: &Person) {
        self.register(person).send().await.expect(202);
        let token = self.mailed_token(&person.email, "verify-email", 1).await;
        self.verify(person, &token).send().await.expect(204);
    }

    /// Somebody with an account of that role.
    pub async fn somebody_as(&self, role: &str) -> Person {
        let person = self.somebody().await;
        let id = self.user(&person).await.id().to_owned();
        let patch = self.patch(&format!("/users/{id}")).scoped("users:write").if_match("*");
        patch.json(&json!({"role": role})).send().await.expect(200);
        person
    }

    /// A session of theirs.
    pub async fn session(&self, person: &Person) -> Session {
        Session::of(&self.log_in(person).send().await.expect(200))
    }

    /// Their account, as the staff sees it.
    pub async fn user(&self, person: &Person) -> Answer {
        let list =
            self.get("/users").query("email", &person.email).scoped("users:read").send().await.expect(200);
        assert_eq!(list.items().len(), 1, "{list:?}");
        let id = list.items()[0]["id"].as_str().unwrap();
        self.get(&format!("/users/{id}")).scoped("users:read").send().await.expect(200)
    }

    /// A token of a customer of that id, as a session gives it.
    pub fn customer_token(&self, user: &str) -> String {
        self.token(user, CUSTOMER).sign(self.signer())
    }
}

/// What a log-in gives.
#[derive(Clone, Debug)]
pub struct Session {
    pub access_token: String,
    pub refresh_token: String,
    /// Whose it is.
    pub user: String,
}

impl Session {
    #[track_caller]
    pub fn of(answer: &Answer) -> Self {
        let text = |name: &str| {
            answer[name].as_str().unwrap_or_else(|| panic!("no {name} in {answer:?}")).to_owned()
        };
        let access_token = text("access_token");
        let user = claims_of(&access_token)["sub"].as_str().unwrap().to_owned();
        Self { access_token, refresh_token: text("refresh_token"), user }
    }
}

/// What an access token says.
pub fn claims_of(token: &str) -> Value {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    let claims = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

/// What its header says.
pub fn header_of(token: &str) -> Value {
    let swapped: Vec<&str> = token.split('.').collect();
    claims_of(&[swapped[1], swapped[0], swapped[2]].join("."))
}

/// The token in a mail: in its link, and on a line of its own.
#[track_caller]
pub fn token_in(mail: &Mail) -> String {
    let text = mail.text.as_deref().unwrap();
    let (_, rest) = text.split_once("?token=").unwrap_or_else(|| panic!("no link in {text}"));
    let token: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect();
    assert!(text.lines().any(|line| line.trim() == token), "the token has no line of its own: {text}");
    token
}
