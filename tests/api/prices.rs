//! Prices of a million calls of each operation: counts the units and compares them with docs/scaling.md.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use serde_json::json;

use crate::{
    oauth::{STOREFRONT_CLIENT, code_for, machine, page},
    shop::{
        ADMIN, Answer, CUSTOMER, KEYS, Person, Request, Shop,
        buyers::{ANSWER_LOST, VISA, mark_of},
        changed, eventually, new_product,
        people::Session,
        proxy::{Call, Capacity, Rigged},
        unique, unique_user,
    },
};

/// US dollars per million API Gateway requests, and per million log lines of 0.5 KB.
const REQUESTS: f64 = 3.50;
const LOG_LINES: f64 = 0.25;
/// US dollars per million on-demand units of DynamoDB.
const READS: f64 = 0.125;
const WRITES: f64 = 0.625;

/// Capacity units of an operation.
type Units = (f64, f64);

/// Adds up all calls but those for public keys, which a function reads only every five minutes.
fn units(calls: &[Call]) -> Units {
    let own = calls.iter().filter(|call| call.request["TableName"] != KEYS);
    own.fold((0.0, 0.0), |(reads, writes), call| match call.capacity {
        Some(Capacity::Read(units)) => (reads + units, writes),
        Some(Capacity::Write(units)) => (reads, writes + units),
        None => (reads, writes),
    })
}

/// Consumed units by operation.
struct Counted<'s> {
    shop: &'s Shop,
    units: BTreeMap<&'static str, Units>,
}

impl Counted<'_> {
    /// Sends a request and counts the units of its function.
    async fn send(&mut self, function: &'static str, request: Request, status: u16) -> Answer {
        let watched = self.shop.any_call().by(function).observe();
        let answer = request.send().await.expect(status);
        self.units.insert(function, units(&watched.observed()));
        answer
    }

    /// Runs a scheduled function and counts the calls about one order.
    async fn run(&mut self, function: &'static str, order: &Answer) {
        let watched = self.shop.any_call().by(function).about(mark_of(order)).observe();
        self.shop.run(function).await;
        self.units.insert(function, units(&watched.observed()));
    }

    async fn catalogue(&mut self) {
        let shop = self.shop;
        let category = unique("price");
        let changes =
            json!({"category": category, "attributes": {"fact": "x".repeat(190), "more": "y".repeat(190)}});
        for _ in 0..20 {
            shop.create(&changed(new_product("price"), changes.clone())).await;
        }
        let list = shop.get("/products").query("category", &category);
        assert_eq!(self.send("products-list", list, 200).await.items().len(), 20);
        let new = shop.post("/products").staff().key(&unique("key")).json(&new_product("price"));
        let product = self.send("products-create", new, 201).await;
        let path = format!("/products/{}", product.id());
        self.send("products-get", shop.get(&path), 200).await;
        let patch = shop.patch(&path).staff().if_match("*").json(&json!({"price": {"amount": 5}}));
        self.send("products-update", patch, 200).await;
        self.send("inventory-adjust", shop.adjust(product.id(), 20), 201).await;
        self.send("inventory-get", shop.get(&format!("{path}/inventory")).staff(), 200).await;
        self.send("inventory-movements", shop.get(&format!("{path}/inventory/movements")).staff(), 200).await;
        self.send("products-archive", shop.delete(&path).staff().if_match("*"), 204).await;
        self.send("health-get", shop.get("/health"), 200).await;
    }

    async fn orders(&mut self) {
        let shop = self.shop;
        let (mug, bowl) = (shop.create_stocked("price", 90).await, shop.create_stocked("price", 90).await);
        let goods = [(mug.id(), 1), (bowl.id(), 1)];
        let one = [(mug.id(), 1)];
        let buyer = unique_user();
        for _ in 0..19 {
            shop.place(&buyer, &one).send().await.expect(201);
        }
        let order = self.send("orders-create", shop.place(&buyer, &goods), 201).await;
        self.send("orders-list", shop.get("/orders").caller(&buyer, CUSTOMER), 200).await;
        let get = shop.get(&format!("/orders/{}", order.id())).caller(&buyer, CUSTOMER);
        self.send("orders-get", get, 200).await;
        let order = shop.ordered(&one).await;
        self.send("orders-pay", shop.pay(&order, VISA), 201).await;
        self.send("orders-cancel", shop.cancel(&order), 200).await;
        let order = shop.authorized(&one).await;
        self.send("orders-capture", shop.capture(&order, None), 200).await;
        self.send("orders-refund", shop.refund(&order, &json!({"amount": 1})), 201).await;
        self.send("orders-fulfil", shop.fulfil(&order, &json!({})), 201).await;

        let order = shop.ordered(&one).await;
        shop.pay(&order, ANSWER_LOST).send().await.expect(202);
        let webhook = shop.webhook_of("payment_intent.succeeded", order.id(), 0);
        self.send("payments-webhook", webhook, 204).await;
        let order = shop.ordered(&one).await;
        shop.pay(&order, ANSWER_LOST).send().await.expect(202);
        shop.meanwhile(order.id());
        self.run("payments-reconcile", &order).await;
        let order = shop.ordered(&one).await;
        shop.later(order.id());
        self.run("orders-expire", &order).await;
    }

    async fn accounts(&mut self) {
        let (shop, person) = (self.shop, Person::new());
        let mail = shop.any_call().by("mail-send").about(&*person.email).observe();
        self.send("users-register", shop.register(&person), 202).await;
        self.written("mail-send", &mail).await;
        let token = shop.mailed_token(&person.email, "verify-email", 1).await;
        self.send("users-verify-email", shop.verify(&person, &token), 204).await;
        self.send("users-forgot-password", shop.forget_password(&person), 202).await;
        let token = shop.mailed_token(&person.email, "reset-password", 1).await;
        let reset = shop.reset_password(&person, &token, &person.password);
        self.send("users-reset-password", reset, 204).await;
        let session = Session::of(&self.send("sessions-create", shop.log_in(&person), 200).await);
        let own = |request: Request| request.bearer(&session.access_token).from(&person.address);
        self.send("profile-get", own(shop.get("/users/me")), 200).await;
        let patch = own(shop.patch("/users/me").if_match("*").json(&json!({"name": "CANARY Jane"})));
        self.send("profile-update", patch, 200).await;
        let id = shop.user(&person).await.id().to_owned();
        self.send("users-get", shop.get(&format!("/users/{id}")).scoped("users:read"), 200).await;
        let list = shop.get("/users").query("limit", 1).scoped("users:read");
        self.send("users-list", list, 200).await;
        let list = shop.get("/audit").query("limit", 1).scoped("audit:read");
        self.send("audit-list", list, 200).await;
        self.send("oauth-token", shop.refresh(&session.refresh_token), 200).await;
        // Each on an account of its own: a second withdrawal of an account may move in the index.
        let signed_in = async || {
            let person = shop.register_person().await;
            let token = shop.session(&person).await.access_token;
            (person, token)
        };
        let (person, token) = signed_in().await;
        let put = json!({"current_password": person.password, "new_password": Person::new().password});
        let put = shop.put("/users/me/password").json(&put).bearer(&token).from(&person.address);
        self.send("profile-password", put, 204).await;
        let (_, token) = signed_in().await;
        self.send("sessions-delete", shop.delete("/sessions").bearer(&token), 204).await;
        let (person, token) = signed_in().await;
        let delete = shop.post("/users/me/delete").json(&json!({"password": person.password}));
        self.send("profile-delete", delete.bearer(&token).from(&person.address), 204).await;
        let other = shop.user(&shop.register_person().await).await;
        let patch = shop.patch(&format!("/users/{}", other.id())).scoped("users:write").if_match("*");
        self.send("users-update", patch.json(&json!({"role": "staff"})), 200).await;
    }

    async fn apps(&mut self) {
        let (shop, person) = (self.shop, self.shop.register_person().await);
        let form = page(shop, &STOREFRONT_CLIENT).await;
        let submit = form.submit(shop, &person.email, &person.password, true).from(&person.address);
        self.send("oauth-authorize", submit, 303).await;
        let code = code_for(shop, &STOREFRONT_CLIENT, &person).await;
        let tokens = STOREFRONT_CLIENT.exchange(shop, &code).send().await.expect(200);
        let revoke = [("token", tokens["refresh_token"].as_str().unwrap()), ("client_id", "storefront")];
        self.send("oauth-revoke", shop.post("/oauth/revoke").form(&revoke), 200).await;
        let new = json!({"name": "Warehouse", "scope": "inventory:read"});
        let create = shop.post("/oauth/clients").scoped(ADMIN).key(&unique("key")).json(&new);
        self.send("oauth-clients-create", create, 201).await;
        let (id, _) = machine(shop, "inventory:read").await;
        let secrets = format!("/oauth/clients/{id}/secrets");
        self.send("oauth-secrets-create", shop.post(&secrets).scoped(ADMIN), 201).await;
        let secret = shop.get("/oauth/clients").scoped(ADMIN).query("limit", 1).send().await.expect(200);
        let secret = secret.items()[0]["secrets"][0]["id"].as_str().unwrap().to_owned();
        let delete = shop.delete(&format!("{secrets}/{secret}")).scoped(ADMIN);
        self.send("oauth-secrets-delete", delete, 204).await;
        // Of a client without an earlier withdrawal, which would move in the index.
        let (id, _) = machine(shop, "inventory:read").await;
        let delete = shop.delete(&format!("/oauth/clients/{id}")).scoped(ADMIN);
        self.send("oauth-clients-delete", delete, 204).await;
        self.send("oauth-clients-list", shop.get("/oauth/clients").scoped(ADMIN).query("limit", 1), 200)
            .await;
    }

    /// Invokes the functions on streams.
    async fn consequences(&mut self) {
        let shop = self.shop;
        let product = shop.create_stocked("price", 10).await;
        let watched = shop.any_call().by("products-availability").about(product.id()).observe();
        shop.adjust(product.id(), -10).send().await.expect(201);
        self.written("products-availability", &watched).await;
    }

    /// Waits for a write of a function, and counts its units until then.
    async fn written(&mut self, function: &'static str, calls: &Rigged) {
        let seen = async || Some(units(&calls.observed())).filter(|(_, writes)| *writes > 0.0);
        self.units.insert(function, eventually(function, seen).await);
    }
}

/// Formats a row: units, and US dollars per million.
#[derive(Debug)]
struct Row {
    units: Units,
    milliseconds: f64,
    memory: f64,
    dynamodb: f64,
    lambda: f64,
    whole: f64,
}

fn table() -> BTreeMap<String, Row> {
    let text = fs::read_to_string(template::repository().join("docs/scaling.md")).unwrap();
    let (_, table) = text.split_once("## What a million costs").expect("docs/scaling.md lacks its prices");
    let table = table.split("\n## ").next().unwrap();
    let cells = table.lines().filter(|line| line.starts_with("| ") && line.contains('-'));
    let cells = cells.map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    let rows = cells.filter(|cells| cells[1].contains('-') && !cells[1].starts_with('-'));
    let number = |cell: &str| cell.parse().unwrap_or_default();
    rows.map(|cells| {
        let [milliseconds, memory, dynamodb, lambda, whole] =
            [4, 5, 6, 7, 8].map(|place| number(cells[place]));
        let units = (number(cells[2]), number(cells[3]));
        (
            cells[1].split(',').next().unwrap().to_owned(),
            Row { units, milliseconds, memory, dynamodb, lambda, whole },
        )
    })
    .collect()
}

/// Functions with prices in docs/scaling.md.
pub fn priced() -> BTreeSet<String> {
    table().into_keys().collect()
}

#[tokio::test]
async fn what_a_million_costs_is_what_is_counted() {
    let (shop, _alone) = Shop::alone().await;
    let mut counted = Counted { shop: &shop, units: BTreeMap::new() };
    // The first time, functions start, and read what they read once.
    for _ in 0..2 {
        counted.catalogue().await;
        counted.orders().await;
        counted.accounts().await;
        counted.apps().await;
        counted.consequences().await;
    }
    let written: BTreeMap<_, _> = table().into_iter().map(|(name, row)| (name, row.units)).collect();
    let counted: BTreeMap<_, _> =
        counted.units.into_iter().map(|(name, units)| (name.to_owned(), units)).collect();
    assert_eq!(written, counted, "docs/scaling.md, and what was counted: {counted:#?}");
}

#[test]
fn the_prices_of_a_million_add_up() {
    for (name, row) in table() {
        let near = |found: f64, expected: f64| (found - expected).abs() < 0.006;
        let (reads, writes) = row.units;
        assert!(near(row.dynamodb, reads * READS + writes * WRITES), "{name}: {row:?}");
        // Graviton: 0.20 for the requests, 0.0000133334 for a second of 1024 MB.
        let lambda = 0.20 + row.milliseconds * row.memory / 1024.0 * 0.013_333_4;
        assert!(near(row.lambda, lambda), "{name}: {row:?}: {lambda}");
        let http = if ["mail-send", "orders-expire", "payments-reconcile", "products-availability"]
            .contains(&&*name)
        {
            0.0
        } else {
            REQUESTS
        };
        assert!(near(row.whole, http + LOG_LINES + row.dynamodb + row.lambda), "{name}: {row:?}");
    }
}
