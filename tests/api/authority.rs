//! Authority that ends: of accounts, sessions and clients. From that moment no write of theirs succeeds, and a few seconds
//! later no read.

use serde_json::{Value, json};

use crate::{
    access::{Objects, Row, row},
    oauth::machine,
    shop::{
        ADMIN, Answer, CONTRACT, CUSTOMER, KEYS, Person, Request, STAFF, Shop, eventually,
        people::{Session, claims_of},
        unique, unique_user,
    },
};

const SESSION: &str = "ses_01jd8x2m9q5w3r7t1v6y4z0abc";

/// Writes a withdrawal that no copy lists: only a write's own check can see it.
fn withdraw(shop: &Shop, subject: &str, copy: usize, epoch: i64, sessions: &[&str]) {
    let mut item = json!({
        "pk": {"S": format!("WITHDRAWN#{subject}")},
        "sk": {"S": copy.to_string()},
        "subject": {"S": subject},
        "epoch": {"N": epoch.to_string()},
        "expires_at": {"N": "4102444800"},
    });
    if !sessions.is_empty() {
        item["sessions"] = json!({"SS": sessions});
    }
    shop.write(KEYS, item);
}

async fn objects(shop: &Shop) -> Objects {
    let person = shop.register_person().await;
    let user = shop.user(&person).await.id().to_owned();
    let product = shop.create_stocked("authority", 10).await.id().to_owned();
    let pieces = shop.create_stocked("authority", 1_000).await.id().to_owned();
    Objects { product, pieces, person, user }
}

#[tokio::test]
async fn no_write_succeeds_with_withdrawn_authority() {
    let shop = Shop::shared().await;
    let objects = objects(&shop).await;
    let writes: Vec<_> =
        CONTRACT.operations().iter().filter(|one| !one.public && one.method != "GET").collect();
    assert!(writes.len() >= 16, "{writes:?}");
    for operation in writes {
        let token = |caller: &str| {
            let token = shop.token(caller, &format!("{CUSTOMER} {ADMIN}"));
            token.claim("sid", SESSION).claim("epoch", 3)
        };
        for (epoch, sessions) in [(4, &[][..]), (0, &[SESSION][..])] {
            let Row { request, caller } = row(&shop, &objects, operation).await;
            let caller = caller.unwrap_or_else(unique_user);
            // The session is a made-up one, which a new password would have to keep.
            let token = match &*operation.id {
                "profile-password" if !sessions.is_empty() => continue,
                "profile-password" => token(&caller).claim("sid", Value::Null),
                _ => token(&caller),
            };
            let request = request.bearer(&token.sign(shop.signer()));
            withdraw(&shop, &caller, 0, epoch, sessions);
            let answer = request.clone().send().await;
            assert_eq!((answer.status, &answer["code"]), (401, &json!("invalid_token")), "{operation:?}");
            // Nothing has happened: the same request, with its idempotency key, succeeds with authority.
            withdraw(&shop, &caller, 0, 3, &["ses_01jd8x2m9q5w3r7t1v6y4z0abd"]);
            let answer = request.send().await;
            assert!((200..300).contains(&answer.status), "{operation:?}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn no_write_of_a_withdrawn_client_succeeds_whichever_copy_it_checks() {
    let shop = Shop::shared().await;
    let product = shop.create_stocked("authority", 10).await;
    let client = unique_user().replace("usr_", "cli_");
    let token = shop.token(&client, STAFF).claim("epoch", 0).sign(shop.signer());
    let adjust = || shop.adjust(product.id(), 1).bearer(&token);
    adjust().send().await.expect(201);
    for copy in 0..8 {
        withdraw(&shop, &client, copy, 1, &[]);
    }
    for _ in 0..20 {
        adjust().send().await.expect_problem(401, "invalid_token");
    }
    assert_eq!(shop.inventory(product.id()).await["on_hand"], 11);
}

fn rename(shop: &Shop, token: &str) -> Request {
    shop.patch("/users/me").if_match("*").json(&json!({"name": "CANARY Jane"})).bearer(token)
}

/// Asserts that a token of a user neither writes from now on nor soon reads.
async fn assert_ended(shop: &Shop, token: &str, how: &str) {
    let answer = rename(shop, token).send().await;
    assert_eq!((answer.status, &answer["code"]), (401, &json!("invalid_token")), "{how}: {answer:?}");
    let read = || shop.get("/orders").bearer(token).send();
    let refused = async || Some(read().await).filter(|answer| answer.status == 401);
    eventually(how, refused).await.expect_problem(401, "invalid_token");
}

async fn set_access(shop: &Shop, person: &Person, access: Value) -> Answer {
    let id = shop.user(person).await.id().to_owned();
    let patch = shop.patch(&format!("/users/{id}")).scoped("users:write").if_match("*").json(&access);
    patch.send().await.expect(200)
}

#[tokio::test]
async fn a_demoted_or_disabled_admin_makes_no_authority() {
    let shop = Shop::shared().await;
    for access in [json!({"role": "customer"}), json!({"role": "staff"}), json!({"status": "disabled"})] {
        let (admin, other) = (shop.register_as("admin").await, shop.register_person().await);
        let session = shop.session(&admin).await;
        let other = shop.user(&other).await.id().to_owned();
        let promote = || shop.patch(&format!("/users/{other}")).if_match("*").bearer(&session.access_token);
        promote().json(&json!({"role": "staff"})).send().await.expect(200);
        set_access(&shop, &admin, access.clone()).await;
        promote().json(&json!({"role": "admin"})).send().await.expect_problem(401, "invalid_token");
        let client = json!({"name": "Mine for ever", "scope": STAFF});
        let create = shop.post("/oauth/clients").key(&unique("key")).json(&client);
        create.bearer(&session.access_token).send().await.expect_problem(401, "invalid_token");
        assert_ended(&shop, &session.access_token, &access.to_string()).await;
    }
}

#[tokio::test]
async fn of_two_admins_who_demote_each_other_one_stays() {
    let shop = Shop::shared().await;
    for _ in 0..3 {
        let (one, other) = (shop.register_as("admin").await, shop.register_as("admin").await);
        let (first, second) = (shop.session(&one).await, shop.session(&other).await);
        let start = shop.calls("TransactWriteItems").by("users-update").about(&first.user).times(2).hold();
        let demote = |by: &Session, of: &Session| {
            let patch = shop.patch(&format!("/users/{}", of.user)).if_match("*").bearer(&by.access_token);
            patch.json(&json!({"role": "customer"})).send()
        };
        let (one, other, ()) = tokio::join!(demote(&first, &second), demote(&second, &first), async {
            start.reached(2).await;
            start.release();
        });
        let mut statuses = [one.status, other.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 401], "{one:?} {other:?}");
    }
}

#[tokio::test]
async fn staff_do_not_erase_their_account_before_an_admin_lets_them_go() {
    let shop = Shop::shared().await;
    for role in ["staff", "admin"] {
        let person = shop.register_as(role).await;
        let erase = async || {
            let session = shop.session(&person).await;
            let erase = shop.post("/users/me/delete").json(&json!({"password": person.password}));
            erase.bearer(&session.access_token).from(&person.address).send().await
        };
        erase().await.expect_problem(409, "staff_account");
        set_access(&shop, &person, json!({"role": "customer"})).await;
        erase().await.expect(204);
    }
}

#[tokio::test]
async fn an_erased_account_and_one_that_logged_out_or_lost_its_password_end_their_tokens() {
    let shop = Shop::shared().await;
    let erased = shop.register_person().await;
    let session = shop.session(&erased).await;
    let erase = shop.post("/users/me/delete").json(&json!({"password": erased.password}));
    erase.bearer(&session.access_token).from(&erased.address).send().await.expect(204);
    let pieces = shop.create_stocked("authority", 10).await;
    let order = shop.place(&session.user, &[(pieces.id(), 1)]).bearer(&session.access_token);
    order.send().await.expect_problem(401, "invalid_token");
    assert_ended(&shop, &session.access_token, "erased").await;

    let person = shop.register_person().await;
    let session = shop.session(&person).await;
    shop.delete("/sessions").bearer(&session.access_token).send().await.expect(204);
    assert_ended(&shop, &session.access_token, "logged out").await;

    let session = shop.session(&person).await;
    shop.forget_password(&person).send().await.expect(202);
    let token = shop.mailed_token(&person.email, "reset-password", 1).await;
    shop.reset_password(&person, &token, &Person::new().password).send().await.expect(204);
    assert_ended(&shop, &session.access_token, "reset").await;
}

#[tokio::test]
async fn a_changed_password_ends_the_tokens_of_all_other_sessions() {
    let shop = Shop::shared().await;
    let person = shop.register_person().await;
    let (own, other) = (shop.session(&person).await, shop.session(&person).await);
    let next = Person::new().password;
    let put = json!({"current_password": person.password, "new_password": next});
    let put = shop.put("/users/me/password").json(&put).bearer(&own.access_token).from(&person.address);
    put.send().await.expect(204);
    rename(&shop, &own.access_token).send().await.expect(200);
    assert_ended(&shop, &other.access_token, "changed").await;
    rename(&shop, &own.access_token).send().await.expect(200);
    // Its own next token, too, until all sessions end.
    let refreshed = Session::of(&shop.refresh(&own.refresh_token).send().await.expect(200));
    rename(&shop, &refreshed.access_token).send().await.expect(200);
    shop.delete("/sessions").bearer(&refreshed.access_token).send().await.expect(204);
    assert_ended(&shop, &own.access_token, "logged out").await;
    assert_ended(&shop, &refreshed.access_token, "logged out").await;
}

#[tokio::test]
async fn an_ended_session_ends_its_tokens_and_no_others() {
    let shop = Shop::shared().await;
    let person = shop.register_person().await;
    let other = shop.session(&person).await;
    let revoked = shop.session(&person).await;
    let revoke = [("token", revoked.refresh_token.as_str()), ("client_id", "storefront")];
    shop.post("/oauth/revoke").form(&revoke).send().await.expect(200);
    assert_ended(&shop, &revoked.access_token, "revoked").await;

    let stolen = shop.session(&person).await;
    let next = Session::of(&shop.refresh(&stolen.refresh_token).send().await.expect(200));
    crate::sessions::later(&shop, &stolen, 60);
    shop.refresh(&stolen.refresh_token).send().await.expect(400);
    assert_ended(&shop, &next.access_token, "reused").await;
    rename(&shop, &other.access_token).send().await.expect(200);
}

#[tokio::test]
async fn a_deleted_client_ends_its_tokens() {
    let shop = Shop::shared().await;
    let (id, secret) = machine(&shop, STAFF).await;
    let fields = [("grant_type", "client_credentials"), ("client_id", &id), ("client_secret", &secret)];
    let tokens = shop.token_request(&fields).send().await.expect(200);
    let token = tokens["access_token"].as_str().unwrap();
    assert_eq!((&claims_of(token)["sub"], &claims_of(token)["epoch"]), (&json!(id), &json!(0)));
    let product = shop.create_stocked("authority", 10).await;
    let adjust = || shop.adjust(product.id(), 1).bearer(token);
    adjust().send().await.expect(201);
    shop.delete(&format!("/oauth/clients/{id}")).scoped(ADMIN).send().await.expect(204);
    for _ in 0..8 {
        adjust().send().await.expect_problem(401, "invalid_token");
    }
    let path = format!("/products/{}/inventory", product.id());
    let read = || shop.get(&path).bearer(token).send();
    let refused = async || Some(read().await).filter(|answer| answer.status == 401);
    eventually("the client's reads end", refused).await.expect_problem(401, "invalid_token");
}
