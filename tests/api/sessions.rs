use std::collections::BTreeSet;

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::shop::{
    Answer, ISSUER, Person, Shop, USERS, differs_each_time,
    people::{Session, claims_of, header_of},
    unique_address,
};

/// Returns the item of a session.
fn item_of(shop: &Shop, session: &Session) -> Value {
    let id = claims_of(&session.access_token)["sid"].as_str().unwrap().to_owned();
    shop.item(USERS, &format!("USER#{}", session.user), &format!("SESSION#{id}"))
}

/// Moves a session so many seconds into the past.
pub fn later(shop: &Shop, session: &Session, seconds: i64) {
    let mut item = item_of(shop, session);
    for name in ["rotated_at", "rotated_before", "created_at"] {
        if let Some(time) = item[name]["S"].as_str() {
            let time: shared::domain::time::Timestamp = serde_json::from_value(json!(time)).unwrap();
            let earlier = shared::domain::time::Timestamp::from_millis(time.as_millis() - seconds * 1_000);
            item[name] = json!({"S": earlier.to_string()});
        }
    }
    for name in ["expires_at", "idle_until"] {
        let at: i64 = item[name]["N"].as_str().unwrap().parse().unwrap();
        item[name] = json!({"N": (at - seconds).to_string()});
    }
    shop.write(USERS, item);
}

#[track_caller]
fn assert_refused(answer: &Answer) {
    assert_eq!((answer.status, &answer["error"]), (400, &json!("invalid_grant")), "{answer:?}");
}

#[tokio::test]
async fn a_log_in_gives_tokens_by_the_standards() {
    let shop = Shop::shared().await;
    let person = shop.register_person().await;
    let answer = shop.log_in(&person).send().await.expect(200);
    assert_eq!((&answer["token_type"], &answer["expires_in"]), (&json!("Bearer"), &json!(900)));
    assert_eq!(answer["scope"], "orders:own profile:read account");
    assert_eq!(answer.header("cache-control"), "private, no-store");
    let session = Session::of(&answer);
    let header = header_of(&session.access_token);
    assert_eq!((&header["alg"], &header["typ"]), (&json!("EdDSA"), &json!("at+jwt")));
    assert!(header["kid"].is_string() && header.as_object().unwrap().len() == 3, "{header}");
    let claims = claims_of(&session.access_token);
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!(ISSUER), &json!(ISSUER)));
    assert_eq!((&claims["client_id"], &claims["scope"]), (&json!("storefront"), &answer["scope"]));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 900);
    let age = shared::telemetry::now().as_seconds() - claims["iat"].as_i64().unwrap();
    assert!((0..60).contains(&age), "{claims}");
    assert!(
        claims["sub"].as_str().unwrap().starts_with("usr_")
            && claims["sid"].as_str().unwrap().starts_with("ses_")
    );
    let names: BTreeSet<_> = claims.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        names,
        BTreeSet::from(["iss", "aud", "sub", "client_id", "sid", "epoch", "iat", "exp", "jti", "scope"])
    );

    // No two are the same, and what is kept gives none of them away.
    let other = shop.session(&person).await;
    assert_ne!(claims_of(&other.access_token)["jti"], claims["jti"]);
    assert_ne!(claims_of(&other.access_token)["sid"], claims["sid"]);
    assert_ne!(other.refresh_token, session.refresh_token);
    let kept = json!(shop.items(USERS)).to_string();
    assert!(!kept.contains(&session.refresh_token) && !kept.contains(&person.password), "kept as it is");
}

#[tokio::test]
async fn every_role_gets_its_scopes() {
    let shop = Shop::shared().await;
    let sorted = |scopes: &str| scopes.split(' ').map(str::to_owned).collect::<BTreeSet<_>>();
    for (role, scopes) in [
        ("customer", crate::shop::CUSTOMER.to_owned()),
        ("staff", format!("{} {}", crate::shop::CUSTOMER, crate::shop::STAFF)),
        ("admin", crate::shop::ADMIN.to_owned()),
    ] {
        let person = shop.register_as(role).await;
        let answer = shop.log_in(&person).send().await.expect(200);
        let expected = match role {
            "staff" | "admin" if !scopes.contains("orders:write") => format!("{scopes} orders:write"),
            _ => scopes,
        };
        assert_eq!(sorted(answer["scope"].as_str().unwrap()), sorted(&expected), "{role}");
    }
}

#[tokio::test]
async fn a_log_in_answers_alike_whatever_is_wrong() {
    let shop = Shop::shared().await;
    let (person, disabled, pending, unknown) =
        (shop.register_person().await, shop.register_person().await, Person::new(), Person::new());
    shop.register(&pending).send().await.expect(202);
    let path = format!("/users/{}", shop.user(&disabled).await.id());
    let disable = shop.patch(&path).scoped("users:write").if_match("*").json(&json!({"status": "disabled"}));
    disable.send().await.expect(200);
    let wrong = Person { password: Person::new().password, ..person };
    let disabled_and_wrong = Person { password: Person::new().password, ..disabled.clone() };
    let mut answers = Vec::new();
    for one in [&wrong, &disabled, &disabled_and_wrong, &pending, &unknown] {
        let answer = shop.log_in(&Person { address: unique_address(), ..one.clone() }).send().await;
        let answer = answer.expect_problem(401, "invalid_credentials");
        let mut body = answer.json.clone();
        body["request_id"] = Value::Null;
        let headers = answer.headers.iter().filter(|(name, _)| !differs_each_time(name));
        answers
            .push((body, headers.map(|(name, value)| format!("{name}: {value:?}")).collect::<BTreeSet<_>>()));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_gives_the_next() {
    let shop = Shop::shared().await;
    let person = shop.register_person().await;
    let answer = shop.log_in(&person).send().await.expect(200);
    let first = Session::of(&answer);
    let mut session = first.clone();
    let (mut seen, mut ids) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..5 {
        let next = shop.refresh(&session.refresh_token).send().await.expect(200);
        assert_eq!((&next["scope"], &next["expires_in"]), (&answer["scope"], &json!(900)));
        assert_eq!(next.header("cache-control"), "private, no-store");
        let next = Session::of(&next);
        let (before, after) = (claims_of(&session.access_token), claims_of(&next.access_token));
        assert_eq!((&before["sid"], &before["sub"]), (&after["sid"], &after["sub"]));
        assert!(seen.insert(next.refresh_token.clone()) && ids.insert(after["jti"].to_string()));
        session = next;
    }
    assert!(!seen.contains(&first.refresh_token));
    // Prolonged, not renewed: it ends 30 days after it began.
    let item = item_of(&shop, &session);
    let ends: i64 = item["expires_at"]["N"].as_str().unwrap().parse().unwrap();
    let left = ends - shared::telemetry::now().as_seconds();
    assert!((2_591_000..=2_592_000).contains(&left), "{left}");
}

#[tokio::test]
async fn i19_a_repeat_within_ten_seconds_gets_the_same_successor() {
    let shop = Shop::shared().await;
    let session = shop.session(&shop.register_person().await).await;
    let first = shop.refresh(&session.refresh_token).send().await.expect(200);
    for _ in 0..3 {
        let again = shop.refresh(&session.refresh_token).send().await.expect(200);
        assert_eq!(again["refresh_token"], first["refresh_token"]);
    }
    later(&shop, &session, 8);
    let again = shop.refresh(&session.refresh_token).send().await.expect(200);
    assert_eq!(again["refresh_token"], first["refresh_token"]);
    // And the successor is good still.
    let next = shop.refresh(first["refresh_token"].as_str().unwrap()).send().await.expect(200);
    assert_ne!(next["refresh_token"], first["refresh_token"]);
}

#[tokio::test]
async fn i19_a_later_reuse_ends_the_family() {
    let shop = Shop::shared().await;
    let person = shop.register_person().await;
    let session = shop.session(&person).await;
    let other = shop.session(&person).await;
    let first = shop.refresh(&session.refresh_token).send().await.expect(200);
    later(&shop, &session, 11);
    assert_refused(&shop.refresh(&session.refresh_token).send().await);
    // Whoever has the good one: it may be the thief.
    assert_refused(&shop.refresh(first["refresh_token"].as_str().unwrap()).send().await);
    assert_refused(&shop.refresh(&session.refresh_token).send().await);
    let told = shop.mail_to(&person.email, 2).await;
    assert!(!told.text.as_deref().unwrap().contains("token="), "{told:?}");
    // Other families go on.
    shop.refresh(&other.refresh_token).send().await.expect(200);
    shop.log_in(&person).send().await.expect(200);
    shop.refresh(&session.refresh_token).send().await.expect(400);
    assert_eq!(shop.mailbox().sent_to(&person.email).len(), 2);
}

#[tokio::test]
async fn i19_a_token_two_generations_old_ends_the_family_at_once() {
    let shop = Shop::shared().await;
    let session = shop.session(&shop.register_person().await).await;
    let first = shop.refresh(&session.refresh_token).send().await.expect(200);
    let second = shop.refresh(first["refresh_token"].as_str().unwrap()).send().await.expect(200);
    let old = shop.refresh(&session.refresh_token).send().await;
    if old.status == 200 {
        // A lost answer and a quick second refresh: nobody is harmed, and no other token is minted.
        assert!(
            [&first, &second].iter().any(|known| known["refresh_token"] == old["refresh_token"]),
            "{old:?}"
        );
    } else {
        assert_refused(&old);
        assert_refused(&shop.refresh(second["refresh_token"].as_str().unwrap()).send().await);
    }
}

#[tokio::test]
async fn i19_sixty_four_racers_on_one_refresh_token_get_one_successor() {
    let shop = Shop::with(&[
        ("oauth-token", 16),
        ("sessions-create", 1),
        ("users-register", 1),
        ("users-verify-email", 1),
        ("mail-send", 1),
    ])
    .await;
    let session = shop.session(&shop.register_person().await).await;
    let start = shop.calls("UpdateItem").by("oauth-token").hold();
    let racers = join_all((0..64).map(|_| shop.refresh(&session.refresh_token).send()));
    let (answers, ()) = tokio::join!(racers, async {
        start.reached(16).await;
        start.release();
    });
    let successors: BTreeSet<_> = answers.iter().map(|answer| answer["refresh_token"].to_string()).collect();
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:#?}");
    assert_eq!(successors.len(), 1, "{successors:#?}");
    let jtis: BTreeSet<_> = answers
        .iter()
        .map(|answer| claims_of(answer["access_token"].as_str().unwrap())["jti"].to_string())
        .collect();
    assert_eq!(jtis.len(), 64);
    // One is alive.
    let next = shop.refresh(answers[0]["refresh_token"].as_str().unwrap()).send().await.expect(200);
    assert_ne!(next["refresh_token"], answers[0]["refresh_token"]);
}

/// Next actions of the holder of a session.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Uses the current token.
    Use,
    /// Repeats the previous token at once.
    Repeat,
    /// Waits until a repetition is too late.
    Wait,
    /// Uses an older token.
    Reuse,
    /// Revokes the session.
    Revoke,
}

#[tokio::test]
async fn i19_whatever_its_holder_does_a_family_has_one_live_token() {
    use Step::{Repeat, Reuse, Revoke, Use, Wait};
    let shop = Shop::shared().await;
    let person = shop.register_person().await;
    let histories: [&[Step]; 8] = [
        &[Use, Use, Use, Repeat, Use],
        &[Use, Repeat, Repeat, Wait, Use, Use],
        &[Use, Wait, Repeat, Use],
        &[Use, Wait, Use, Repeat, Use, Wait, Wait, Use],
        &[Use, Use, Wait, Reuse, Use, Repeat],
        &[Use, Use, Revoke, Use, Repeat, Reuse],
        &[Revoke, Use],
        &[Wait, Wait, Use, Wait, Use, Wait, Reuse, Use],
    ];
    for history in histories {
        let session = shop.session(&person).await;
        let mut tokens = vec![session.refresh_token.clone()];
        let (mut alive, mut repeatable) = (true, false);
        for step in history {
            let context = || format!("{step:?} of {history:?}");
            let last = tokens.len() - 1;
            match step {
                Use => {
                    let answer = shop.refresh(&tokens[last]).send().await;
                    if alive {
                        let answer = answer.expect(200);
                        let next = answer["refresh_token"].as_str().unwrap().to_owned();
                        assert!(!tokens.contains(&next), "{}", context());
                        tokens.push(next);
                        repeatable = true;
                    } else {
                        assert_refused(&answer);
                    }
                }
                Repeat => {
                    let answer = shop.refresh(&tokens[last - 1]).send().await;
                    if alive && repeatable {
                        assert_eq!(answer.expect(200)["refresh_token"], tokens[last], "{}", context());
                    } else {
                        assert_refused(&answer);
                        alive = false;
                    }
                }
                Wait => {
                    later(&shop, &session, 15);
                    repeatable = false;
                }
                Reuse => {
                    assert_refused(&shop.refresh(&tokens[last - 2]).send().await);
                    alive = false;
                }
                Revoke => {
                    let revoke = [("token", &*tokens[last]), ("client_id", "storefront")];
                    shop.post("/oauth/revoke").form(&revoke).send().await.expect(200);
                    alive = false;
                }
            }
        }
        // Of all that were ever given, the last one is good, or none.
        later(&shop, &session, 60);
        for token in &tokens[..tokens.len() - 1] {
            if !alive {
                assert_refused(&shop.refresh(token).send().await);
            }
        }
        let answer = shop.refresh(&tokens[tokens.len() - 1]).send().await;
        if alive { drop(answer.expect(200)) } else { assert_refused(&answer) }
    }
}

#[tokio::test]
async fn a_session_ends_thirty_days_after_it_began() {
    let shop = Shop::shared().await;
    let session = shop.session(&shop.register_person().await).await;
    let day = 24 * 60 * 60;
    later(&shop, &session, 30 * day - 60);
    let next = shop.refresh(&session.refresh_token).send().await.expect(200);
    later(&shop, &session, 60);
    assert_refused(&shop.refresh(next["refresh_token"].as_str().unwrap()).send().await);
}

#[tokio::test]
async fn a_session_of_staff_ends_after_half_an_hour_of_rest_and_after_twelve_hours() {
    let shop = Shop::shared().await;
    for role in ["staff", "admin"] {
        let person = shop.register_as(role).await;
        let session = shop.session(&person).await;
        later(&shop, &session, 30 * 60 + 1);
        assert_refused(&shop.refresh(&session.refresh_token).send().await);

        // At work, it goes on.
        let mut session = shop.session(&person).await;
        for _ in 0..24 {
            later(&shop, &session, 29 * 60);
            session = Session::of(&shop.refresh(&session.refresh_token).send().await.expect(200));
        }
        later(&shop, &session, 24 * 60 + 1);
        assert_refused(&shop.refresh(&session.refresh_token).send().await);
    }
    let customer = shop.session(&shop.register_person().await).await;
    later(&shop, &customer, 29 * 24 * 60 * 60);
    shop.refresh(&customer.refresh_token).send().await.expect(200);
}

#[tokio::test]
async fn made_up_refresh_tokens_are_refused_and_end_nothing() {
    let shop = Shop::shared().await;
    let person = shop.register_person().await;
    let (session, other) = (shop.session(&person).await, shop.session(&shop.register_person().await).await);
    let token = &session.refresh_token;
    let (half, rest) = token.split_at(token.len() / 2);
    let flipped = |at: usize| {
        let other = if &token[at..=at] == "A" { "B" } else { "A" };
        format!("{}{other}{}", &token[..at], &token[at + 1..])
    };
    let mut forged: Vec<String> = (0..token.len()).step_by(token.len() / 16).map(flipped).collect();
    forged.extend([
        "x".to_owned(),
        half.to_owned(),
        format!("{half}{}", &other.refresh_token[half.len()..]),
        format!("{}{rest}", &other.refresh_token[..half.len()]),
        format!("{token}A"),
        format!("{token}="),
        format!(" {token}"),
        token.to_uppercase(),
        "A".repeat(128),
        "🏺".to_owned(),
        session.access_token.clone(),
    ]);
    for forged in forged {
        assert_refused(&shop.refresh(&forged).send().await);
    }
    // A refresh token is no access token.
    shop.get("/users/me").bearer(token).send().await.expect_problem(401, "invalid_token");
    shop.refresh(token).send().await.expect(200);
    shop.refresh(&other.refresh_token).send().await.expect(200);
}

#[tokio::test]
async fn a_log_out_ends_every_session() {
    let shop = Shop::shared().await;
    let person = shop.register_person().await;
    let (here, there) = (shop.session(&person).await, shop.session(&person).await);
    let others = shop.session(&shop.register_person().await).await;
    shop.delete("/sessions").bearer(&here.access_token).send().await.expect(204);
    for session in [&here, &there] {
        assert_refused(&shop.refresh(&session.refresh_token).send().await);
    }
    shop.refresh(&others.refresh_token).send().await.expect(200);
    let new = shop.session(&person).await;
    shop.refresh(&new.refresh_token).send().await.expect(200);
    let told = shop.mail_to(&person.email, 2).await;
    assert!(!told.text.as_deref().unwrap().contains("token="), "{told:?}");
}

#[tokio::test]
async fn a_session_that_begins_while_all_are_ended_comes_to_nothing() {
    let shop = Shop::start(crate::shop::Options::default()).await;
    let person = shop.register_person().await;
    let session = shop.session(&person).await;
    for end in ["log out", "disable", "reset"] {
        // The password was checked; the session is not written yet.
        let writing = shop.calls("TransactWriteItems").by("sessions-create").hold();
        let log_in = tokio::spawn(shop.log_in(&person).send());
        writing.reached(1).await;
        match end {
            "log out" => {
                shop.delete("/sessions").bearer(&session.access_token).send().await.expect(204);
            }
            "disable" => {
                let patch =
                    shop.patch(&format!("/users/{}", session.user)).scoped("users:write").if_match("*");
                patch.json(&json!({"status": "disabled"})).send().await.expect(200);
            }
            _ => {
                shop.forget_password(&person).send().await.expect(202);
                let token = shop.mailed_token(&person.email, "reset-password", 1).await;
                shop.reset_password(&person, &token, &Person::new().password).send().await.expect(204);
            }
        }
        writing.release();
        log_in.await.unwrap().expect_problem(401, "invalid_credentials");
        drop(writing);
        if end == "disable" {
            let patch = shop.patch(&format!("/users/{}", session.user)).scoped("users:write").if_match("*");
            patch.json(&json!({"status": "active"})).send().await.expect(200);
        }
    }
}

#[tokio::test]
async fn a_hash_of_an_older_make_is_replaced_at_the_next_log_in() {
    let shop = Shop::shared().await;
    let person = shop.register_person().await;
    let login = || shop.item(USERS, &format!("LOGIN#{}", person.email), "LOGIN");
    let today = "$argon2id$v=19$m=19456,t=2,p=1$";
    let mut old = login();
    assert!(old["password"]["S"].as_str().unwrap().starts_with(today), "{old}");
    let params = argon2::Params::new(8_192, 1, 1, Some(32)).unwrap();
    let argon2 = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    let mut hash = [0; 32];
    argon2.hash_password_into(person.password.as_bytes(), &[7; 16], &mut hash).unwrap();
    let encode = |bytes: &[u8]| BASE64_STANDARD_NO_PAD.encode(bytes);
    let phc = format!("$argon2id$v=19$m=8192,t=1,p=1${}${}", encode(&[7; 16]), encode(&hash));
    old["password"]["S"] = json!(phc);
    shop.write(USERS, old);

    shop.log_in_with(&person, "CANARY no such password").send().await.expect(401);
    assert_eq!(login()["password"]["S"], phc);
    let session = shop.session(&person).await;
    let renewed = login();
    assert!(renewed["password"]["S"].as_str().unwrap().starts_with(today), "{renewed}");
    shop.session(&person).await;
    assert_eq!(login(), renewed);
    // It is the same password, so that no session ends, and nobody hears of it.
    shop.refresh(&session.refresh_token).send().await.expect(200);
    assert_eq!(shop.mailbox().sent_to(&person.email).len(), 1);
}
