//! Limits of failed password checks, in all operations that check one.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::shop::{Answer, Options, Person, Request, Shop, USERS, assert_statuses, count, unique_address};

const FREE: usize = 5;

fn at(person: &Person, address: &str) -> Person {
    Person { address: address.to_owned(), ..person.clone() }
}

async fn guess(shop: &Shop, person: &Person) -> Answer {
    shop.log_in_with(person, "CANARY no such password").send().await
}

/// Fails unless the response demands this wait.
#[track_caller]
fn assert_waits(answer: &Answer, seconds: std::ops::RangeInclusive<u64>) {
    assert_eq!((answer.status, answer["code"].as_str()), (429, Some("too_many_attempts")), "{answer:?}");
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!(seconds.contains(&wait), "{wait} is not in {seconds:?}");
}

/// Moves all counters of attempts so many seconds into the past.
fn later(shop: &Shop, seconds: i64) {
    for mut item in shop.items(USERS) {
        let attributes = item.as_object_mut().unwrap();
        let counts = attributes["pk"]["S"].as_str().unwrap().starts_with(['A']);
        if !counts {
            continue;
        }
        let (mut earlier, mut moved) = (json!({}), false);
        for (name, value) in attributes.iter() {
            let factor = if name.ends_with("_last") { 1_000 } else { 1 };
            if name == "expires_at" || factor == 1_000 {
                let then: i64 = value["N"].as_str().unwrap().parse().unwrap();
                earlier[name] = json!({"N": (then - seconds * factor).to_string()});
                moved = true;
            }
        }
        attributes.extend(earlier.as_object().unwrap().clone());
        if moved {
            shop.write(USERS, item);
        }
    }
}

/// Starts a separate shop, because the test moves time.
async fn shop() -> Shop {
    Shop::start(Options::default()).await
}

#[tokio::test]
async fn from_one_address_five_guesses_are_free_and_then_the_wait_doubles() {
    let shop = shop().await;
    for person in [shop.register_person().await, Person::new()] {
        let known = shop.mailbox().sent_to(&person.email).len() == 1;
        let elsewhere = at(&person, &unique_address());
        for _ in 0..FREE {
            guess(&shop, &person).await.expect_problem(401, "invalid_credentials");
        }
        let mut wait = 2;
        for _ in 0..9 {
            // A request during the wait, even with the right password, does not extend it.
            assert_waits(&guess(&shop, &person).await, wait - 1..=wait);
            assert_waits(&shop.log_in(&person).send().await, wait - 1..=wait);
            later(&shop, i64::try_from(wait).unwrap());
            guess(&shop, &person).await.expect_problem(401, "invalid_credentials");
            wait = (wait * 2).min(900);
        }
        assert_waits(&guess(&shop, &person).await, 800..=900);
        later(&shop, 900);
        let answer = shop.log_in(&person).send().await;
        assert_eq!(answer.status, if known { 200 } else { 401 }, "{answer:?}");
        // Another address does not wait, unless the account itself has had too many attempts.
        if known {
            shop.log_in(&elsewhere).send().await.expect(200);
        }
    }
}

#[tokio::test]
async fn a_log_in_forgets_the_guesses_before_it() {
    let shop = Shop::shared().await;
    let person = shop.register_person().await;
    for _ in 0..4 {
        for _ in 0..FREE - 1 {
            guess(&shop, &person).await.expect_problem(401, "invalid_credentials");
        }
        shop.log_in(&person).send().await.expect(200);
    }
}

#[tokio::test]
async fn guesses_are_forgotten_after_a_day() {
    let shop = shop().await;
    let person = shop.register_person().await;
    for _ in 0..FREE {
        guess(&shop, &person).await.expect_problem(401, "invalid_credentials");
    }
    assert_waits(&guess(&shop, &person).await, 1..=2);
    later(&shop, 25 * 60 * 60);
    for _ in 0..FREE {
        guess(&shop, &person).await.expect_problem(401, "invalid_credentials");
    }
}

#[tokio::test]
async fn guesses_from_many_addresses_lock_the_account_but_not_its_owner() {
    let shop = Shop::shared().await;
    let owner = shop.register_person().await;
    shop.log_in(&owner).send().await.expect(200);
    let from_anywhere = || at(&owner, &unique_address());
    for _ in 0..10 {
        guess(&shop, &from_anywhere()).await.expect_problem(401, "invalid_credentials");
    }
    assert_waits(&guess(&shop, &from_anywhere()).await, 1..=2);
    // Nor does the right password help a stranger; but where they were before, the owner is let in.
    assert_waits(&shop.log_in(&from_anywhere()).send().await, 1..=2);
    shop.log_in(&owner).send().await.expect(200);
}

#[tokio::test]
async fn an_owner_who_is_nowhere_known_gets_in_by_mail() {
    let shop = Shop::shared().await;
    let owner = shop.register_person().await;
    shop.log_in(&owner).send().await.expect(200);
    let abroad = at(&owner, &unique_address());
    for _ in 0..10 {
        guess(&shop, &at(&owner, &unique_address())).await.expect_problem(401, "invalid_credentials");
    }
    assert_waits(&shop.log_in(&abroad).send().await, 1..=2);
    shop.forget_password(&abroad).send().await.expect(202);
    let token = shop.mailed_token(&owner.email, "reset-password", 1).await;
    let renewed = Person { password: Person::new().password, ..abroad };
    shop.reset_password(&renewed, &token, &renewed.password).send().await.expect(204);
    shop.log_in(&renewed).send().await.expect(200);
}

#[tokio::test]
async fn an_admin_lifts_a_lock() {
    let shop = Shop::shared().await;
    let owner = shop.register_person().await;
    let abroad = at(&owner, &unique_address());
    for _ in 0..10 {
        guess(&shop, &at(&owner, &unique_address())).await.expect_problem(401, "invalid_credentials");
    }
    for _ in 0..FREE {
        assert!([401, 429].contains(&guess(&shop, &owner).await.status));
    }
    assert_waits(&shop.log_in(&abroad).send().await, 1..=900);
    let patch =
        shop.patch(&format!("/users/{}", shop.user(&owner).await.id())).scoped("users:write").if_match("*");
    patch.json(&json!({"locked": false})).send().await.expect(200);
    shop.log_in(&abroad).send().await.expect(200);
    shop.log_in(&owner).send().await.expect(200);
}

#[tokio::test]
async fn one_address_has_fifty_guesses_for_all_accounts_together() {
    let shop = Shop::shared().await;
    let owner = shop.register_person().await;
    let address = unique_address();
    for _ in 0..50 {
        guess(&shop, &at(&Person::new(), &address)).await.expect_problem(401, "invalid_credentials");
    }
    assert_waits(&guess(&shop, &at(&Person::new(), &address)).await, 1..=2);
    assert_waits(&shop.log_in(&at(&owner, &address)).send().await, 1..=2);
    // The address that a client claims in a header is ignored.
    let hidden = shop.log_in(&at(&owner, &address)).header("x-forwarded-for", &unique_address());
    assert_waits(&hidden.header("forwarded", "for=192.0.2.1").send().await, 1..=2);
    shop.log_in(&owner).send().await.expect(200);
}

#[tokio::test]
async fn addresses_of_ipv6_count_by_their_network() {
    let shop = Shop::shared().await;
    let owner = shop.register_person().await;
    let one = |host: usize| at(&owner, &format!("2001:db8:7:7:{host:x}::{host:x}"));
    for host in 0..FREE {
        guess(&shop, &one(host)).await.expect_problem(401, "invalid_credentials");
    }
    assert_waits(&guess(&shop, &one(77)).await, 1..=2);
    assert_waits(&guess(&shop, &at(&owner, "2001:0DB8:0007:0007:0000:0000:0000:0001")).await, 1..=2);
    guess(&shop, &at(&owner, "2001:db8:7:8::1")).await.expect_problem(401, "invalid_credentials");
    // An address of version 4 in the clothes of version 6 is what it is.
    let (four, six) = (unique_address(), unique_address());
    assert_ne!(four, six);
    let stranger = Person::new();
    for _ in 0..FREE {
        guess(&shop, &at(&stranger, &format!("::ffff:{four}"))).await.expect(401);
    }
    guess(&shop, &at(&stranger, &format!("::ffff:{six}"))).await.expect(401);
}

/// Counts the password checks among a hundred simultaneous attempts.
async fn evaluated(shop: &Shop, guesses: impl Iterator<Item = Person>) -> usize {
    let guesses: Vec<_> = guesses.collect();
    assert_eq!(guesses.len(), 100);
    // However long the test takes over it.
    let moment = shared::telemetry::now().as_millis();
    let clock = shop.calls("UpdateItem").by("sessions-create").rewrite(move |request| {
        for (name, value) in request["ExpressionAttributeValues"].as_object_mut().unwrap() {
            if name == ":now" {
                *value = json!({"N": moment.to_string()});
            } else if let Some(seconds) = name.strip_prefix(":before") {
                let before = moment - seconds.parse::<i64>().unwrap() * 1_000;
                *value = json!({"N": before.to_string()});
            }
        }
    });
    let answers = join_all(guesses.iter().map(|person| guess(shop, person))).await;
    assert!(clock.hits() >= 200, "the clock was read {} times", clock.hits());
    assert_statuses(&answers, &[401, 429]);
    count(&answers, 401)
}

#[tokio::test]
async fn of_a_hundred_guesses_at_once_ten_are_looked_at_and_five_from_one_address() {
    let shop = Shop::with(&[
        ("sessions-create", 16),
        ("users-register", 1),
        ("users-verify-email", 1),
        ("mail-send", 1),
    ])
    .await;
    for known in [true, false] {
        let target = async || if known { shop.register_person().await } else { Person::new() };
        let owner = target().await;
        let one = evaluated(&shop, (0..100).map(|_| owner.clone())).await;
        assert_eq!(one, FREE);
        let owner = target().await;
        let many = evaluated(&shop, (0..100).map(|_| at(&owner, &unique_address()))).await;
        assert_eq!(many, 10);
    }
}

/// Returns the status of a function for a wrong password. OAuth shows the page again.
fn refused_with(function: &str) -> u16 {
    if function == "oauth-authorize" { 200 } else { 401 }
}

/// Returns a request with a wrong password for each operation that checks one.
async fn wherever(shop: &Shop, person: &Person) -> Vec<(&'static str, Request)> {
    let session = shop.session(person).await;
    let wrong = "CANARY no such password";
    let put = json!({"current_password": wrong, "new_password": Person::new().password});
    let page = crate::oauth::page(shop, &crate::oauth::STOREFRONT_CLIENT).await;
    vec![
        ("sessions-create", shop.log_in_with(person, wrong)),
        (
            "profile-password",
            shop.put("/users/me/password").bearer(&session.access_token).json(&put).from(&person.address),
        ),
        (
            "profile-delete",
            shop.post("/users/me/delete")
                .bearer(&session.access_token)
                .json(&json!({"password": wrong}))
                .from(&person.address),
        ),
        ("oauth-authorize", page.submit(shop, &person.email, wrong, true).from(&person.address)),
    ]
}

#[tokio::test]
async fn one_limit_counts_wherever_a_password_is_checked() {
    let shop = Shop::shared().await;
    for index in 0..4 {
        let person = shop.register_person().await;
        let (name, request) = wherever(&shop, &person).await.swap_remove(index);
        for _ in 0..FREE {
            let answer = request.clone().send().await;
            assert_eq!(answer.status, refused_with(name), "{answer:?}");
        }
        for (other, request) in wherever_locked(&shop, &person, &request).await {
            let answer = request.send().await;
            assert_eq!(answer.status, 429, "{other} after {name}: {answer:?}");
            assert!(answer.find_header("retry-after").is_some(), "{answer:?}");
        }
    }
    // The answer to a registration, too.
    let person = Person::new();
    shop.register(&person).send().await.expect(202);
    let token = shop.mailed_token(&person.email, "verify-email", 1).await;
    let thief = Person { password: Person::new().password, ..person.clone() };
    for _ in 0..FREE {
        shop.verify(&thief, &token).send().await.expect_problem(401, "invalid_credentials");
    }
    assert_waits(&shop.verify(&person, &token).send().await, 1..=2);
    assert_waits(&shop.log_in(&person).send().await, 1..=2);
    shop.verify(&at(&person, &unique_address()), &token).send().await.expect(204);
}

#[tokio::test]
async fn guesses_are_forgotten_after_a_day_wherever_they_were_made() {
    let shop = shop().await;
    for index in 0..4 {
        let person = shop.register_person().await;
        let (name, request) = wherever(&shop, &person).await.swap_remove(index);
        for _ in 0..FREE {
            request.clone().send().await;
        }
        assert_eq!(request.clone().send().await.status, 429, "{name}");
        later(&shop, 25 * 60 * 60);
        for _ in 0..FREE {
            let answer = request.clone().send().await;
            assert_eq!(answer.status, refused_with(name), "{answer:?}");
        }
    }
}

/// Fails unless the request and a log-in with the right password are refused alike.
async fn wherever_locked(shop: &Shop, person: &Person, request: &Request) -> Vec<(&'static str, Request)> {
    vec![("the same", request.clone()), ("the right password", shop.log_in(person))]
}

#[tokio::test]
async fn who_counts_knows_neither_e_mail_nor_address() {
    let shop = Shop::shared().await;
    let person = shop.register_person().await;
    shop.log_in(&person).send().await.expect(200);
    guess(&shop, &person).await.expect(401);
    let counts: Vec<String> = shop
        .items(USERS)
        .into_iter()
        .filter(|item| item["pk"]["S"].as_str().unwrap().starts_with('A'))
        .map(|item| item.to_string())
        .collect();
    assert!(!counts.is_empty());
    let told = |item: &&String| item.contains(&person.email) || item.contains(&person.address);
    assert_eq!(counts.iter().filter(told).count(), 0, "{counts:#?}");
}

#[tokio::test]
async fn a_guess_takes_as_long_whether_or_not_there_is_such_an_account() {
    const RUNS: usize = 40;
    let shop = Shop::with(&[
        ("sessions-create", 1),
        ("users-register", 1),
        ("users-verify-email", 1),
        ("mail-send", 1),
    ])
    .await;
    let mut people = Vec::new();
    for _ in 0..8 {
        people.push(shop.register_person().await);
    }
    let measured = async |person: &Person| {
        let watched = shop.any_call().by("sessions-create").observe();
        let before = shop.cpu_time("sessions-create");
        guess(&shop, person).await.expect_problem(401, "invalid_credentials");
        let taken = shop.cpu_time("sessions-create") - before;
        let mut calls: Vec<String> = watched.observed().into_iter().map(|call| call.operation).collect();
        calls.sort();
        (taken, calls)
    };
    guess(&shop, &Person::new()).await.expect(401);
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for run in 0..RUNS {
        let (one, calls) = measured(&at(&people[run % people.len()], &unique_address())).await;
        known.push(one);
        let (other, same) = measured(&Person::new()).await;
        unknown.push(other);
        assert_eq!(calls, same);
    }
    let median = |times: &mut Vec<std::time::Duration>| {
        times.sort();
        times[times.len() / 2].as_secs_f64()
    };
    let ratio = median(&mut known) / median(&mut unknown);
    assert!((0.8..1.25).contains(&ratio), "{ratio}: {known:?} {unknown:?}");
    // It is the password's hash that takes the time, not the rest.
    let nothing = json!({"email": "jane", "password": Value::Null});
    let before = shop.cpu_time("sessions-create");
    shop.post("/sessions").json(&nothing).send().await.expect(422);
    let rest = (shop.cpu_time("sessions-create") - before).as_secs_f64();
    assert!(rest < median(&mut unknown) / 2.0, "{rest}: {unknown:?}");
}
