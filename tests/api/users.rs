use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::shop::{
    Answer, FIRST_ADMIN, Options, Person, STOREFRONT, Shop, USERS, changed, differs_each_time,
    people::{claims_of, token_in},
    unique_address, unique_user,
};

/// Returns all texts of a mail.
fn all_of(mail: &emulators::ses::Mail) -> String {
    [mail.subject.as_str(), mail.text.as_deref().unwrap(), mail.html.as_deref().unwrap()].join("\n")
}

/// Returns the items of an e-mail's partition with a prefix of the sort key.
fn waiting(shop: &Shop, person: &Person, kind: &str) -> Vec<Value> {
    let of_them = |item: &Value| {
        item["pk"]["S"] == format!("LOGIN#{}", person.email)
            && item["sk"]["S"].as_str().unwrap().starts_with(kind)
    };
    shop.items(USERS).into_iter().filter(of_them).collect()
}

/// Moves all pending verifications beyond their lifetime.
fn expire(shop: &Shop, person: &Person, kind: &str) {
    for mut item in waiting(shop, person, kind) {
        item["expires_at"] = json!({"N": "1700000000"});
        shop.write(USERS, item);
    }
}

#[tokio::test]
async fn an_account_is_opened_with_a_mailed_token_and_the_password() {
    let shop = Shop::shared().await;
    let person = Person::new();
    let asked = shop.register(&person).send().await.expect(202);
    assert_eq!(asked.text, "");
    let mail = shop.mail_to(&person.email, 1).await;
    assert_eq!(
        (mail.to.as_slice(), &*mail.from),
        ([person.email.clone()].as_slice(), "Shop <shop@storefront.test>")
    );
    let token = token_in(&mail);
    let link = format!("{STOREFRONT}/verify-email?token={token}");
    assert!(
        mail.text.as_deref().unwrap().contains(&link) && mail.html.as_deref().unwrap().contains(&link),
        "{mail:?}"
    );
    assert!(!all_of(&mail).contains(&person.password), "{mail:?}");
    // Not yet.
    shop.log_in(&person).send().await.expect_problem(401, "invalid_credentials");

    shop.verify(&person, &token).send().await.expect(204);
    let session = shop.session(&person).await;
    let user = shop.get("/users/me").bearer(&session.access_token).send().await.expect(200);
    assert_eq!(user.id(), session.user);
    assert_eq!((&user["email"], &user["name"]), (&json!(person.email), &json!(person.name)));
    assert_eq!((&user["role"], &user["status"]), (&json!("customer"), &json!("active")));
    assert_eq!((&user["email_verified"], &user["addresses"]), (&json!(true), &json!([])));
    assert_eq!((&user["phone"], &user["created_at"]), (&Value::Null, &user["updated_at"]));
    // Once.
    shop.verify(&person, &token).send().await.expect_problem(410, "token_expired");
    assert_eq!(shop.mailbox().sent_to(&person.email).len(), 1);
}

#[tokio::test]
async fn an_e_mail_with_an_account_is_asked_for_another_as_any_is_and_its_owner_is_told() {
    let shop = Shop::shared().await;
    let (owner, stranger) = (shop.register_person().await, Person::new());
    let name = "CANARY Mallory".to_owned();
    let thief = Person { email: owner.email.clone(), name, ..Person::new() };
    let (one, other) = (shop.register(&thief).send().await, shop.register(&stranger).send().await);
    let seen = |answer: &Answer| {
        let headers = answer.headers.iter().filter(|(name, _)| !differs_each_time(name));
        let headers: BTreeSet<_> = headers.map(|(name, value)| format!("{name}: {value:?}")).collect();
        (answer.status, answer.text.clone(), headers)
    };
    assert_eq!(seen(&one), seen(&other));

    let told = shop.mail_to(&owner.email, 2).await;
    let first = shop.mail_to(&stranger.email, 1).await;
    assert_ne!(told.subject, first.subject);
    assert!(!all_of(&told).contains("token="), "{told:?}");
    // Nothing that the thief sent has an effect or appears in the mail.
    assert!(!all_of(&told).contains(&thief.name), "{told:?}");
    shop.log_in(&Person { password: thief.password.clone(), ..owner.clone() }).send().await.expect(401);
    shop.log_in(&owner).send().await.expect(200);
    assert_eq!(shop.user(&owner).await["name"], owner.name);
}

#[tokio::test]
async fn nobody_opens_an_account_in_the_name_of_another() {
    let shop = Shop::shared().await;
    let owner = Person::new();
    // A thief registers first, with a password of their own; the owner of the mailbox gets the mail, and wonders.
    let thief = Person { email: owner.email.clone(), name: "CANARY Thief".to_owned(), ..Person::new() };
    shop.register(&thief).send().await.expect(202);
    let theirs = shop.mailed_token(&owner.email, "verify-email", 1).await;
    shop.verify(&owner, &theirs).send().await.expect_problem(401, "invalid_credentials");
    shop.register(&owner).send().await.expect(202);
    let own = shop.mailed_token(&owner.email, "verify-email", 2).await;
    assert_ne!(own, theirs);
    // Each token goes with the password of its own registration.
    shop.verify(&thief, &own).send().await.expect_problem(401, "invalid_credentials");
    shop.verify(&owner, &own).send().await.expect(204);
    shop.verify(&thief, &theirs).send().await.expect_problem(410, "token_expired");
    shop.log_in(&thief).send().await.expect(401);
    assert_eq!(shop.user(&owner).await["name"], owner.name);
}

#[tokio::test]
async fn an_e_mail_has_one_spelling() {
    let shop = Shop::shared().await;
    let person = Person::new();
    let shouted = Person { email: person.email.to_uppercase(), ..person.clone() };
    shop.register(&shouted).send().await.expect(202);
    let token = shop.mailed_token(&person.email, "verify-email", 1).await;
    shop.verify(&shouted, &token).send().await.expect(204);
    shop.log_in(&person).send().await.expect(200);
    shop.log_in(&shouted).send().await.expect(200);
    assert_eq!(shop.user(&shouted).await["email"], person.email);
    shop.register(&person).send().await.expect(202);
    assert!(!all_of(&shop.mail_to(&person.email, 2).await).contains("token="));
}

#[tokio::test]
async fn a_mailed_token_is_good_for_a_day_for_its_purpose_and_as_it_was_sent() {
    let shop = Shop::shared().await;
    let person = Person::new();
    shop.register(&person).send().await.expect(202);
    let token = shop.mailed_token(&person.email, "verify-email", 1).await;
    // A day, give or take what the test takes.
    let ends: i64 =
        waiting(&shop, &person, "REGISTRATION#")[0]["expires_at"]["N"].as_str().unwrap().parse().unwrap();
    let day = ends - shared::telemetry::now().as_seconds();
    assert!((86_300..=86_400).contains(&day), "{day}");

    let other = Person::new();
    shop.register(&other).send().await.expect(202);
    let others = shop.mailed_token(&other.email, "verify-email", 1).await;
    let flipped = if token.starts_with('A') { "B" } else { "A" };
    let damaged = [
        format!("{flipped}{}", &token[1..]),
        token[..token.len() - 1].to_owned(),
        format!("{token}A"),
        token.to_uppercase(),
        format!("{}{}", &token[..40], &others[40..]),
        "x".to_owned(),
        "A".repeat(200),
    ];
    for damaged in damaged {
        shop.verify(&person, &damaged).send().await.expect_invalid(&[("/token", "invalid_format")]);
        let reset = shop.reset_password(&person, &damaged, &Person::new().password).send().await;
        reset.expect_invalid(&[("/token", "invalid_format")]);
    }
    // Not for a new password, though there were an account.
    let reset = shop.reset_password(&person, &token, &Person::new().password).send().await;
    reset.expect_invalid(&[("/token", "invalid_format")]);
    expire(&shop, &person, "REGISTRATION#");
    shop.verify(&person, &token).send().await.expect_problem(410, "token_expired");
    shop.verify(&other, &others).send().await.expect(204);
    // Nor a reset's token for an account.
    shop.forget_password(&other).send().await.expect(202);
    let reset = shop.mailed_token(&other.email, "reset-password", 1).await;
    shop.verify(&other, &reset).send().await.expect_invalid(&[("/token", "invalid_format")]);
}

#[tokio::test]
async fn a_forgotten_password_is_set_anew_by_mail() {
    let shop = Shop::shared().await;
    let person = shop.register_person().await;
    let session = shop.session(&person).await;
    assert_eq!(shop.forget_password(&person).send().await.expect(202).text, "");
    let mail = shop.mail_to(&person.email, 2).await;
    let token = token_in(&mail);
    let link = format!("{STOREFRONT}/reset-password?token={token}");
    assert!(
        mail.text.as_deref().unwrap().contains(&link) && mail.html.as_deref().unwrap().contains(&link),
        "{mail:?}"
    );
    // Until it is used, all stays as it was.
    shop.log_in(&person).send().await.expect(200);

    let renewed = Person { password: Person::new().password, ..person.clone() };
    shop.reset_password(&person, &token, &renewed.password).send().await.expect(204);
    shop.log_in(&person).send().await.expect_problem(401, "invalid_credentials");
    shop.log_in(&renewed).send().await.expect(200);
    shop.refresh(&session.refresh_token).send().await.expect(400);
    // Once, and its owner hears of it.
    let again = shop.reset_password(&person, &token, &Person::new().password).send().await;
    again.expect_problem(410, "token_expired");
    let told = shop.mail_to(&person.email, 3).await;
    assert!(!all_of(&told).contains("token="), "{told:?}");
    assert!(!all_of(&told).contains(&renewed.password));
    shop.log_in(&renewed).send().await.expect(200);
}

#[tokio::test]
async fn a_mail_for_a_new_password_is_good_for_half_an_hour_and_until_one_was_set() {
    let shop = Shop::shared().await;
    let person = shop.register_person().await;
    for _ in 0..2 {
        shop.forget_password(&person).send().await.expect(202);
    }
    let mails = shop.mails_to(&person.email, 3).await;
    let [first, second] = [token_in(&mails[1]), token_in(&mails[2])];
    assert_ne!(first, second);
    for reset in waiting(&shop, &person, "RESET#") {
        let ends: i64 = reset["expires_at"]["N"].as_str().unwrap().parse().unwrap();
        let left = ends - shared::telemetry::now().as_seconds();
        assert!((1_700..=1_800).contains(&left), "{left}");
    }
    let renewed = Person::new().password;
    shop.reset_password(&person, &second, &renewed).send().await.expect(204);
    let late = shop.reset_password(&person, &first, &Person::new().password).send().await;
    late.expect_problem(410, "token_expired");

    shop.forget_password(&person).send().await.expect(202);
    let third = token_in(&shop.mail_to(&person.email, 5).await);
    expire(&shop, &person, "RESET#");
    let late = shop.reset_password(&person, &third, &Person::new().password).send().await;
    late.expect_problem(410, "token_expired");
    shop.log_in_with(&person, &renewed).send().await.expect(200);
}

#[tokio::test]
async fn who_has_no_account_gets_no_mail_for_a_new_password_and_the_same_answer() {
    let shop = Shop::shared().await;
    let (stranger, person) = (Person::new(), shop.register_person().await);
    let pending = Person::new();
    shop.register(&pending).send().await.expect(202);
    for one in [&stranger, &pending, &person] {
        assert_eq!(shop.forget_password(one).send().await.expect(202).text, "");
    }
    // The mails go out in the order in which they were asked for.
    shop.mails_to(&person.email, 2).await;
    assert!(shop.mailbox().sent_to(&stranger.email).is_empty());
    assert_eq!(shop.mailbox().sent_to(&pending.email).len(), 1);
}

#[tokio::test]
async fn a_new_password_does_not_open_a_disabled_account() {
    let shop = Shop::shared().await;
    let person = shop.register_person().await;
    shop.forget_password(&person).send().await.expect(202);
    let token = shop.mailed_token(&person.email, "reset-password", 1).await;
    let path = format!("/users/{}", shop.user(&person).await.id());
    let disable = shop.patch(&path).scoped("users:write").if_match("*").json(&json!({"status": "disabled"}));
    disable.send().await.expect(200);
    let renewed = Person::new().password;
    shop.reset_password(&person, &token, &renewed).send().await.expect(204);
    shop.log_in_with(&person, &renewed).send().await.expect_problem(401, "invalid_credentials");
    assert_eq!(shop.user(&person).await["status"], "disabled");
}

#[tokio::test]
async fn who_verifies_the_first_admins_e_mail_is_the_first_admin() {
    let shop = Shop::shared().await;
    let admin = Person { email: FIRST_ADMIN.to_owned(), ..Person::new() };
    shop.open_account(&admin).await;
    let session = shop.session(&admin).await;
    let scope = claims_of(&session.access_token)["scope"].as_str().unwrap().to_owned();
    assert!(scope.split(' ').any(|one| one == "users:write"), "{scope}");
    let user = shop.get("/users/me").bearer(&session.access_token).send().await.expect(200);
    assert_eq!(user["role"], "admin");
    // Which is decided by the e-mail alone, and whole.
    for email in [format!("x{FIRST_ADMIN}"), format!("{FIRST_ADMIN}.test")] {
        let other = Person { email, ..Person::new() };
        shop.open_account(&other).await;
        assert_eq!(shop.user(&other).await["role"], "customer");
    }
}

#[tokio::test]
async fn a_profile_is_changed_by_its_owner() {
    let shop = Shop::shared().await;
    let person = shop.register_person().await;
    let session = shop.session(&person).await;
    let read = shop.get("/users/me").bearer(&session.access_token).send().await.expect(200);
    let known = shop.get("/users/me").bearer(&session.access_token).if_none_match(read.etag()).send().await;
    known.expect(304);
    let address = json!({
        "name": "CANARY Jane Doe", "line1": "CANARY Lane 7", "line2": "2nd floor", "city": "Berlin",
        "region": "Berlin", "postal_code": "10969", "country": "DE", "phone": "+49 30 1234567",
    });
    let patch = |etag: &str, patch: Value| {
        shop.patch("/users/me").bearer(&session.access_token).if_match(etag).json(&patch)
    };
    let changes = json!({"name": "CANARY Jane Roe", "phone": "+49 (30) 765-4321", "addresses": [address]});
    let changed_one = patch(read.etag(), changes.clone()).send().await.expect(200);
    for field in ["name", "phone", "addresses"] {
        assert_eq!(changed_one[field], changes[field], "{field}");
    }
    assert_ne!(changed_one.etag(), read.etag());
    for field in ["id", "email", "role", "status", "created_at"] {
        assert_eq!(changed_one[field], read[field], "{field}");
    }
    let again = shop.get("/users/me").bearer(&session.access_token).send().await.expect(200);
    assert_eq!((&again.json, again.etag()), (&changed_one.json, changed_one.etag()));
    shop.get("/users/me").bearer(&session.access_token).if_none_match(read.etag()).send().await.expect(200);

    patch(read.etag(), json!({"name": "Late"})).send().await.expect_problem(412, "stale_version");
    let without = patch(again.etag(), json!({"phone": null, "addresses": []})).send().await.expect(200);
    assert_eq!((&without["phone"], &without["addresses"]), (&Value::Null, &json!([])));
    assert_eq!(without["name"], "CANARY Jane Roe");
    // What is not there is removed by a patch that says so; what could never be there is not.
    let still = patch(without.etag(), json!({"phone": null})).send().await.expect(200);
    assert_eq!(still["phone"], Value::Null);
    let unknown = patch(still.etag(), json!({"phone": null, "fax": null})).send().await;
    unknown.expect_invalid(&[("/fax", "unknown_field")]);
    // Another's is another's.
    let other = shop.register_person().await;
    assert_eq!(shop.user(&other).await["name"], other.name);
}

#[tokio::test]
async fn a_profile_keeps_twenty_addresses() {
    let shop = Shop::shared().await;
    let session = shop.session(&shop.register_person().await).await;
    let wide = |count: usize| "🏺".repeat(count);
    let address = json!({
        "name": wide(100), "line1": wide(200), "line2": wide(200), "city": wide(100), "region": wide(100),
        "postal_code": wide(20), "country": "GB", "phone": "123456789012345",
    });
    let patch = |count: usize| {
        let addresses = vec![address.clone(); count];
        shop.patch("/users/me")
            .bearer(&session.access_token)
            .if_match("*")
            .json(&json!({"addresses": addresses}))
    };
    patch(21).send().await.expect_invalid(&[("/addresses", "too_many")]);
    let full = patch(20).send().await.expect(200);
    assert_eq!(full["addresses"].as_array().unwrap().len(), 20);
    let read = shop.get("/users/me").bearer(&session.access_token).send().await.expect(200);
    assert_eq!(read["addresses"][19], address);
}

#[tokio::test]
async fn a_password_is_changed_with_the_current_one_and_ends_the_other_sessions() {
    let shop = Shop::shared().await;
    let person = shop.register_person().await;
    let (here, elsewhere) = (shop.session(&person).await, shop.session(&person).await);
    let renewed = Person { password: Person::new().password, ..person.clone() };
    let change = |current: &str, new: &str| {
        let body = json!({"current_password": current, "new_password": new});
        shop.put("/users/me/password").bearer(&here.access_token).json(&body).from(&person.address)
    };
    change(&renewed.password, &renewed.password).send().await.expect_problem(401, "invalid_credentials");
    shop.log_in(&person).send().await.expect(200);
    change(&person.password, &renewed.password).send().await.expect(204);
    shop.log_in(&person).send().await.expect_problem(401, "invalid_credentials");
    shop.log_in(&renewed).send().await.expect(200);
    let ended = shop.refresh(&elsewhere.refresh_token).send().await.expect(400);
    assert_eq!(ended["error"], "invalid_grant");
    let prolonged = shop.refresh(&here.refresh_token).send().await.expect(200);
    shop.refresh(prolonged["refresh_token"].as_str().unwrap()).send().await.expect(200);
    let told = shop.mail_to(&person.email, 2).await;
    assert!(!all_of(&told).contains(&renewed.password) && !all_of(&told).contains("token="), "{told:?}");
    // With the other tab's token, which is good for some minutes yet, and the new password.
    let body = json!({"current_password": renewed.password, "new_password": Person::new().password});
    let other_tab = shop.put("/users/me/password").bearer(&elsewhere.access_token).json(&body);
    other_tab.from(&person.address).send().await.expect_problem(401, "invalid_token");
}

#[tokio::test]
async fn an_account_is_erased_with_all_that_is_known_of_its_owner() {
    // Of the test's own, since who has tried to log in is known by a pseudonym alone.
    let shop = Shop::start(Options::default()).await;
    let mut person = Person::new();
    person.name = "CANARY Erasmus Erased".to_owned();
    shop.open_account(&person).await;
    let (session, other) = (shop.session(&person).await, shop.session(&person).await);
    let address = json!({
        "name": "CANARY Erasmus Erased", "line1": "CANARY Erasure Lane 99", "city": "Erasureville",
        "postal_code": "ERA5 3ME", "country": "GB", "phone": "+44 20 9999 0001",
    });
    let patch = json!({"phone": "+44 20 9999 0002", "addresses": [address]});
    shop.patch("/users/me").bearer(&session.access_token).if_match("*").json(&patch).send().await.expect(200);
    // All that an account may leave: wrong guesses, a forgotten password, another registration, a used session.
    shop.log_in_with(&person, "CANARY wrong password").send().await.expect(401);
    shop.log_in_with(&Person { address: unique_address(), ..person.clone() }, "wrong").send().await;
    shop.forget_password(&person).send().await.expect(202);
    shop.register(&person).send().await.expect(202);
    shop.mails_to(&person.email, 3).await;
    let other = shop.refresh(&other.refresh_token).send().await.expect(200);

    let erase = |password: &str| {
        let body = json!({"password": password});
        shop.post("/users/me/delete").bearer(&session.access_token).json(&body).from(&person.address)
    };
    erase("CANARY wrong password").send().await.expect_problem(401, "invalid_credentials");
    shop.get("/users/me").bearer(&session.access_token).send().await.expect(200);
    let before = traces(&shop, &person, &session.user);
    assert!(before.len() > 5, "the search finds too little: {before:#?}");
    erase(&person.password).send().await.expect(204);
    let after = traces(&shop, &person, &session.user);
    assert!(after.is_empty(), "{after:#?}");
    let of_account = |item: &&Value| item["pk"]["S"].as_str().unwrap().starts_with("ATTEMPT#");
    assert_eq!(shop.items(USERS).iter().find(of_account), None);

    shop.get("/users/me").bearer(&session.access_token).send().await.expect_problem(401, "invalid_token");
    let path = format!("/users/{}", session.user);
    shop.get(&path).scoped("users:read").send().await.expect_problem(404, "not_found");
    let listed =
        shop.get("/users").query("email", &person.email).scoped("users:read").send().await.expect(200);
    assert!(listed.items().is_empty());
    shop.refresh(other["refresh_token"].as_str().unwrap()).send().await.expect(400);
    shop.log_in(&person).send().await.expect_problem(401, "invalid_credentials");
    let again = erase(&person.password).send().await;
    assert_eq!(again.status, 401, "{again:?}");
    // Whoever comes again begins anew.
    shop.register(&person).send().await.expect(202);
    let mail = shop.mails_to(&person.email, 4).await.pop().unwrap();
    shop.verify(&person, &token_in(&mail)).send().await.expect(204);
    let user = shop.user(&person).await;
    assert_ne!(user.id(), session.user);
    assert_eq!((&user["phone"], &user["addresses"]), (&Value::Null, &json!([])));
}

/// Returns all data about a person in all tables.
fn traces(shop: &Shop, person: &Person, user: &str) -> Vec<String> {
    let words = [
        &*person.email,
        &*person.name,
        &*person.address,
        user,
        "Erasmus",
        "Erasure",
        "Erasureville",
        "ERA5",
        "9999 000",
    ];
    let tables = template::Template::read(&template::repository()).unwrap().tables().unwrap();
    let items = tables.iter().flat_map(|table| shop.items(&table.name).into_iter());
    // A withdrawal names the account for twenty minutes.
    let kept = items.filter(|item| !item["pk"]["S"].as_str().unwrap().starts_with("WITHDRAWN#"));
    let items = kept.map(|item| item.to_string());
    items.filter(|item| words.iter().any(|word| item.contains(word))).collect()
}

#[tokio::test]
async fn the_staff_sees_users_and_admins_change_what_they_may() {
    let shop = Shop::shared().await;
    let person = shop.register_person().await;
    let session = shop.session(&person).await;
    let path = format!("/users/{}", session.user);
    let own = shop.get("/users/me").bearer(&session.access_token).send().await.expect(200);
    let read = shop.get(&path).scoped("users:read").send().await.expect(200);
    assert_eq!((&read.json, read.etag()), (&own.json, own.etag()));
    shop.get(&path).scoped("users:read").if_none_match(read.etag()).send().await.expect(304);

    let patch =
        |etag: &str, patch: Value| shop.patch(&path).scoped("users:write").if_match(etag).json(&patch);
    patch("\"99\"", json!({"role": "staff"})).send().await.expect_problem(412, "stale_version");
    let promoted = patch(read.etag(), json!({"role": "staff"})).send().await.expect(200);
    assert_eq!(
        promoted.json,
        changed(read.json.clone(), json!({"role": "staff", "updated_at": promoted["updated_at"]}))
    );
    patch(read.etag(), json!({"role": "admin"})).send().await.expect_problem(412, "stale_version");
    // What they may is in the sessions that begin now; those before are over.
    assert_eq!(shop.refresh(&session.refresh_token).send().await.expect(400)["error"], "invalid_grant");
    let session = shop.session(&person).await;
    let scope = claims_of(&session.access_token)["scope"].as_str().unwrap().to_owned();
    assert!(scope.split(' ').any(|one| one == "users:read"), "{scope}");
    assert!(!scope.contains("users:write"), "{scope}");

    let disabled = patch(promoted.etag(), json!({"status": "disabled"})).send().await.expect(200);
    assert_eq!((&disabled["status"], &disabled["role"]), (&json!("disabled"), &json!("staff")));
    assert_eq!(shop.refresh(&session.refresh_token).send().await.expect(400)["error"], "invalid_grant");
    shop.log_in(&person).send().await.expect_problem(401, "invalid_credentials");
    patch(disabled.etag(), json!({"status": "active"})).send().await.expect(200);
    shop.log_in(&person).send().await.expect(200);
}

#[tokio::test]
async fn an_admin_cannot_change_their_own_role_or_status() {
    let shop = Shop::shared().await;
    let admin = shop.register_as("admin").await;
    let session = shop.session(&admin).await;
    let path = format!("/users/{}", session.user);
    for patch in [json!({"role": "customer"}), json!({"status": "disabled"}), json!({"role": "staff"})] {
        let own = shop.patch(&path).bearer(&session.access_token).if_match("*").json(&patch).send().await;
        own.expect_problem(409, "own_account");
    }
    assert_eq!(shop.user(&admin).await["role"], "admin");
    shop.refresh(&session.refresh_token).send().await.expect(200);
}

#[tokio::test]
async fn a_user_that_is_not_there_is_404_whatever_its_id_looks_like() {
    let shop = Shop::shared().await;
    let unknown = unique_user();
    for id in
        [&*unknown, "usr_", "1", "prod_01jd8x2m9q5w3r7t1v6y4z0abc", "USR_01jd8x2m9q5w3r7t1v6y4z0abc", "%00"]
    {
        let path = format!("/users/{id}");
        shop.get(&path).scoped("users:read").send().await.expect_problem(404, "not_found");
        let patch = shop.patch(&path).scoped("users:write").if_match("*").json(&json!({"role": "staff"}));
        patch.send().await.expect_problem(404, "not_found");
    }
}

#[tokio::test]
async fn users_are_found_by_e_mail_role_and_status() {
    let shop = Shop::shared().await;
    let (one, other) = (shop.register_person().await, shop.register_person().await);
    let find = |name: &'static str, value: String| shop.get("/users").query(name, value).scoped("users:read");
    let found = find("email", one.email.to_uppercase()).send().await.expect(200);
    assert_eq!((found.all("email"), &found["next_cursor"]), (vec![one.email.as_str()], &Value::Null));
    let none = find("email", one.email.clone()).query("role", "staff").send().await.expect(200);
    assert!(none.items().is_empty());
    assert!(find("email", Person::new().email).send().await.expect(200).items().is_empty());

    let patch =
        shop.patch(&format!("/users/{}", shop.user(&one).await.id())).scoped("users:write").if_match("*");
    patch.json(&json!({"role": "staff", "status": "disabled"})).send().await.expect(200);
    let all = async |filters: &[(&str, &str)]| {
        let list = shop.get("/users").query("limit", 100).scoped("users:read");
        let list = filters.iter().fold(list, |list, (name, value)| list.query(name, value));
        shop.walk(list)
            .await
            .iter()
            .map(|user| user["email"].as_str().unwrap().to_owned())
            .collect::<BTreeSet<_>>()
    };
    for (filters, there, not_there) in [
        (&[][..], vec![&one, &other], vec![]),
        (&[("role", "staff")], vec![&one], vec![&other]),
        (&[("status", "disabled")], vec![&one], vec![&other]),
        (&[("role", "customer"), ("status", "active")], vec![&other], vec![&one]),
        (&[("role", "admin"), ("status", "disabled")], vec![], vec![&one, &other]),
    ] {
        let found = all(filters).await;
        assert!(there.iter().all(|person| found.contains(&person.email)), "{filters:?}");
        assert!(not_there.iter().all(|person| !found.contains(&person.email)), "{filters:?}");
    }
}

#[tokio::test]
async fn a_token_of_somebody_who_is_gone_or_of_a_program_reaches_no_profile() {
    let shop = Shop::shared().await;
    let gone = unique_user();
    let token = shop.customer_token(&gone);
    shop.get("/users/me").bearer(&token).send().await.expect_problem(401, "invalid_token");
    let patch = shop.patch("/users/me").bearer(&token).if_match("*").json(&json!({"name": "Nobody"}));
    patch.send().await.expect_problem(401, "invalid_token");
    let body = json!({"password": Person::new().password});
    let erase = shop.post("/users/me/delete").bearer(&token).json(&body).from(&unique_address()).send().await;
    assert_eq!(erase.status, 401, "{erase:?}");
    let program = shop.token("cli_01jd8x2m9q5w3r7t1v6y4z0abc", "profile:read account").sign(shop.signer());
    let refused = shop.get("/users/me").bearer(&program).send().await;
    refused.expect(403);
    assert!(shop.items(USERS).iter().all(|item| !item["pk"]["S"].as_str().unwrap().contains(&gone)));
}
