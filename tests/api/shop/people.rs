//! People: they register, read mail, follow links and log in.

use std::sync::{
    LazyLock,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

use emulators::ses::Mail;

use super::{Answer, CUSTOMER, Request, Shop, deployed::FIRST_NUMBER, eventually};

use serde_json::{Value, json};

/// A person with an e-mail address, a password and an IP address.
#[derive(Clone, Debug)]
pub struct Person {
    pub email: String,
    pub password: String,
    pub name: String,
    /// IP address.
    pub address: String,
}

impl Person {
    /// Makes a unique person.
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

/// Returns a unique IP address.
pub fn unique_address() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0x0a00_0001);
    std::net::Ipv4Addr::from(NUMBER.fetch_add(1, Ordering::Relaxed)).to_string()
}

impl Shop {
    /// Makes a request to register.
    pub fn register(&self, person: &Person) -> Request {
        let Person { email, password, name, address } = person;
        let body = json!({"email": email, "password": password, "name": name});
        self.post("/users").json(&body).from(address)
    }

    /// Makes a request to verify the address, with the mailed token.
    pub fn verify(&self, person: &Person, token: &str) -> Request {
        let body = json!({"token": token, "password": person.password});
        self.post("/users/verify-email").json(&body).from(&person.address)
    }

    /// Makes a request to reset the password.
    pub fn forget_password(&self, person: &Person) -> Request {
        self.post("/users/password-reset").json(&json!({"email": person.email})).from(&person.address)
    }

    /// Makes a request to set a new password, with the mailed token.
    pub fn reset_password(&self, person: &Person, token: &str, password: &str) -> Request {
        let body = json!({"token": token, "new_password": password});
        self.post("/users/password-reset/confirm").json(&body).from(&person.address)
    }

    /// Makes a request to log in.
    pub fn log_in(&self, person: &Person) -> Request {
        self.log_in_with(person, &person.password)
    }

    /// Makes a request to log in with another password.
    pub fn log_in_with(&self, person: &Person, password: &str) -> Request {
        let body = json!({"email": person.email, "password": password});
        self.post("/sessions").json(&body).from(&person.address)
    }

    /// Makes a request to refresh tokens.
    pub fn refresh(&self, refresh_token: &str) -> Request {
        self.token_request(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
            ("client_id", "storefront"),
        ])
    }

    /// Makes a request to the token endpoint.
    pub fn token_request(&self, fields: &[(&str, &str)]) -> Request {
        self.post("/oauth/token").form(fields)
    }

    /// Waits for a number of mails to an address, and returns them.
    pub async fn mails_to(&self, email: &str, count: usize) -> Vec<Mail> {
        let what = format!("{count} mails to {email}");
        eventually(&what, async || Some(self.mailbox().sent_to(email)).filter(|mails| mails.len() >= count))
            .await
    }

    /// Waits for a mail to an address, by its number from 1.
    pub async fn mail_to(&self, email: &str, number: usize) -> Mail {
        self.mails_to(email, number).await.swap_remove(number - 1)
    }

    /// Waits for a mail to an address, by its number from 1, and returns the token in its link to a page.
    pub async fn mailed_token(&self, email: &str, page: &str, number: usize) -> String {
        let link = format!("/{page}?token=");
        let leads = |mail: &Mail| mail.text.as_deref().unwrap().contains(&link);
        let what = format!("{number} mails to {email} that lead to {page}");
        let find = async || self.mailbox().sent_to(email).into_iter().filter(leads).nth(number - 1);
        token_in(&eventually(&what, find).await)
    }

    /// Registers a new person.
    pub async fn register_person(&self) -> Person {
        let person = Person::new();
        self.open_account(&person).await;
        person
    }

    /// Registers and verifies a person.
    pub async fn open_account(&self, person: &Person) {
        self.register(person).send().await.expect(202);
        let token = self.mailed_token(&person.email, "verify-email", 1).await;
        self.verify(person, &token).send().await.expect(204);
    }

    /// Registers a new person with a role.
    pub async fn register_as(&self, role: &str) -> Person {
        let person = self.register_person().await;
        let id = self.user(&person).await.id().to_owned();
        let patch = self.patch(&format!("/users/{id}")).scoped("users:write").if_match("*");
        patch.json(&json!({"role": role})).send().await.expect(200);
        person
    }

    /// Logs a person in.
    pub async fn session(&self, person: &Person) -> Session {
        Session::of(&self.log_in(person).send().await.expect(200))
    }

    /// Reads a person's account as staff.
    pub async fn user(&self, person: &Person) -> Answer {
        let list =
            self.get("/users").query("email", &person.email).scoped("users:read").send().await.expect(200);
        assert_eq!(list.items().len(), 1, "{list:?}");
        let id = list.items()[0]["id"].as_str().unwrap();
        self.get(&format!("/users/{id}")).scoped("users:read").send().await.expect(200)
    }

    /// Signs a token of a customer.
    pub fn customer_token(&self, user: &str) -> String {
        self.token(user, CUSTOMER).sign(self.signer())
    }
}

/// Tokens of a session.
#[derive(Clone, Debug)]
pub struct Session {
    pub access_token: String,
    pub refresh_token: String,
    /// User id.
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

/// Returns the claims of an access token.
pub fn claims_of(token: &str) -> Value {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    let claims = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

/// Returns the header of an access token.
pub fn header_of(token: &str) -> Value {
    let swapped: Vec<&str> = token.split('.').collect();
    claims_of(&[swapped[1], swapped[0], swapped[2]].join("."))
}

/// Returns the token of a mail, which is in its link and on a separate line.
#[track_caller]
pub fn token_in(mail: &Mail) -> String {
    let text = mail.text.as_deref().unwrap();
    let (_, rest) = text.split_once("?token=").unwrap_or_else(|| panic!("no link in {text}"));
    let token: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect();
    assert!(text.lines().any(|line| line.trim() == token), "the token has no line of its own: {text}");
    token
}
