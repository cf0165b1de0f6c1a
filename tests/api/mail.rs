//! Mails: sent at least once and, unless a function is killed, at most once. None is unsolicited.

use std::{collections::BTreeSet, time::Duration};

use emulators::ses::Fault;

use crate::shop::{
    Options, Person, Shop, USERS,
    buyers::{VISA, basket},
    eventually,
    people::token_in,
    proxy::{Refusal, Service, refusals},
    unique,
};

use serde_json::{Value, json};

/// Makes a stream record of the Users table.
fn event_of(kind: &str, before: Option<&Value>, after: &Value) -> Value {
    let mut change = json!({
        "Keys": {"pk": after["pk"], "sk": after["sk"]},
        "NewImage": after,
        "SequenceNumber": "100000000000000000000001",
        "StreamViewType": "NEW_AND_OLD_IMAGES",
    });
    if let Some(before) = before {
        change["OldImage"] = before.clone();
    }
    json!({"Records": [{
        "eventID": "c81e728d9d4c2f636f067f89cc14862c",
        "eventName": kind,
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "eu-central-1",
        "dynamodb": change,
        "eventSourceARN": "arn:aws:dynamodb:eu-central-1:123456789012:table/UsersTable/stream/2026-11-11T09:00:00.000",
    }]})
}

/// Requests that are answered after a mail to the person.
fn waiting(shop: &Shop, person: &Person, kind: &str) -> Vec<Value> {
    let of_them = |item: &Value| {
        item["pk"]["S"] == format!("LOGIN#{}", person.email)
            && item["sk"]["S"].as_str().unwrap().starts_with(kind)
    };
    shop.items(USERS).into_iter().filter(of_them).collect()
}

#[tokio::test]
async fn a_change_that_the_stream_brings_again_is_mailed_once() {
    let shop = Shop::shared().await;
    let person = Person::new();
    shop.register(&person).send().await.expect(202);
    let token = shop.mailed_token(&person.email, "verify-email", 1).await;
    let item = waiting(&shop, &person, "REGISTRATION#").remove(0);
    // The mark is written after the mail: wait for it.
    let marked = async || Some(()).filter(|()| !waiting(&shop, &person, "MAIL#").is_empty());
    eventually("the mark of the mail", marked).await;
    for _ in 0..3 {
        let answer = shop.invoke("mail-send", &event_of("INSERT", None, &item)).await;
        assert_eq!(answer, json!({"batchItemFailures": []}));
    }
    assert_eq!(shop.mailbox().sent_to(&person.email).len(), 1);
    shop.verify(&person, &token).send().await.expect(204);
}

#[tokio::test]
async fn what_is_no_occasion_is_not_mailed() {
    let shop = Shop::shared().await;
    let person = shop.register_person().await;
    let login = shop.item(USERS, &format!("LOGIN#{}", person.email), "LOGIN");
    let mut renewed = login.clone();
    renewed["password"]["S"] = json!("$argon2id$v=19$m=9,t=1,p=1$CANARY");
    let mut promoted = login.clone();
    promoted["role"]["S"] = json!("staff");
    for event in [
        event_of("INSERT", None, &login),
        // A hash of a newer make, and nothing else.
        event_of("MODIFY", Some(&login), &renewed),
        event_of("MODIFY", Some(&login), &login),
        event_of("MODIFY", Some(&login), &promoted),
        event_of("REMOVE", Some(&login), &login),
    ] {
        let answer = shop.invoke("mail-send", &event).await;
        assert_eq!(answer, json!({"batchItemFailures": []}), "{event}");
    }
    assert_eq!(shop.mailbox().sent_to(&person.email).len(), 1);
}

#[tokio::test]
async fn nothing_that_is_at_rest_is_a_mailed_token() {
    let shop = Shop::shared().await;
    let person = shop.register_person().await;
    let applicant = Person::new();
    shop.register(&applicant).send().await.expect(202);
    shop.forget_password(&person).send().await.expect(202);
    let tokens = [
        shop.mailed_token(&applicant.email, "verify-email", 1).await,
        shop.mailed_token(&person.email, "reset-password", 1).await,
    ];
    let kept = json!(shop.items(USERS)).to_string();
    for token in &tokens {
        // Not even the secret part of it.
        assert!(!kept.contains(&token[..40]), "{token} is kept");
    }
    assert!(!kept.contains(&person.password) && !kept.contains(&applicant.password));
    shop.verify(&applicant, &tokens[0]).send().await.expect(204);
}

#[tokio::test]
async fn a_mailbox_is_not_flooded_by_who_asks_in_its_name() {
    let shop = Shop::shared().await;
    let person = shop.register_person().await;
    for _ in 0..8 {
        shop.forget_password(&person).send().await.expect(202);
        shop.register(&person).send().await.expect(202);
    }
    let later = shop.register_person().await;
    assert_eq!(shop.mailbox().sent_to(&later.email).len(), 1);
    // Everything before it on the stream has been looked at: five of each kind, the first registration among them.
    let subjects: Vec<String> =
        shop.mailbox().sent_to(&person.email).into_iter().map(|mail| mail.subject).collect();
    let kinds: BTreeSet<_> = subjects.iter().cloned().collect();
    assert_eq!((subjects.len(), kinds.len()), (10, 3), "{subjects:#?}");
    // Who has asked hears nothing of it, and the last of the mails is good.
    let token = shop.mailed_token(&person.email, "reset-password", 5).await;
    shop.reset_password(&person, &token, &Person::new().password).send().await.expect(204);
}

#[tokio::test]
async fn a_mail_outlives_the_function_that_it_was_asked_of() {
    let shop = Shop::start(Options { closed: true, ..Options::default() }).await;
    shop.open("users-register", 1).await;
    let people: Vec<Person> = (0..3).map(|_| Person::new()).collect();
    for person in &people {
        // `mail-send` does not run yet; the response does not wait for it.
        shop.register(person).send().await.expect(202);
    }
    shop.kill("users-register").await;
    shop.open("mail-send", 1).await;
    for person in &people {
        token_in(&shop.mail_to(&person.email, 1).await);
    }
}

#[tokio::test]
async fn i18_no_error_of_ses_loses_a_mail() {
    let shop = Shop::start(Options::default()).await;
    for (name, refusal) in refusals() {
        // What SES refuses for good is another matter, and what is unknown comes again, too.
        let person = Person::new();
        let fault = shop.calls("SendEmail").of(Service::Mail).about(&person.email).times(4).answer(refusal);
        shop.register(&person).send().await.expect(202);
        let arrived = timeout_mail(&shop, &person).await;
        assert!(arrived, "{name}");
        assert!(fault.hits() > 0);
    }
    let person = Person::new();
    shop.mailbox().fail(&person.email, [Fault::Throttled, Fault::Broken, Fault::AnswerLost]);
    shop.register(&person).send().await.expect(202);
    assert!(timeout_mail(&shop, &person).await);
    // The store that says whether it was sent, and keeps that it was.
    for operation in ["Query", "GetItem", "PutItem"] {
        let person = Person::new();
        let fault = shop.calls(operation).by("mail-send").about(&person.email).times(4);
        let fault = fault.answer(Refusal::error(500, "InternalServerError"));
        shop.register(&person).send().await.expect(202);
        assert!(timeout_mail(&shop, &person).await, "{operation}");
        // The mark comes after the mail.
        fault.reached(1).await;
    }
}

async fn timeout_mail(shop: &Shop, person: &Person) -> bool {
    let arrived = eventually("a mail", async || shop.mailbox().sent_to(&person.email).pop());
    tokio::time::timeout(Duration::from_secs(20), arrived).await.is_ok()
}

#[tokio::test]
async fn a_mail_that_ses_refuses_for_good_holds_up_no_other() {
    let shop = Shop::shared().await;
    let (refused, other) = (Person::new(), Person::new());
    let refusal = Refusal::error(400, "BadRequestException");
    let refusing = shop.calls("SendEmail").about(&refused.email).times(1).answer(refusal);
    shop.register(&refused).send().await.expect(202);
    shop.register(&other).send().await.expect(202);
    shop.mail_to(&other.email, 1).await;
    // It is not sent again; a new request gets a new mail.
    assert_eq!((refusing.hits(), shop.mailbox().sent_to(&refused.email).len()), (1, 0));
    shop.register(&refused).send().await.expect(202);
    shop.mail_to(&refused.email, 1).await;
}

#[tokio::test]
async fn who_answers_a_request_sends_no_mail() {
    let shop = Shop::shared().await;
    let watched = shop.calls("SendEmail").observe();
    let person = shop.register_person().await;
    shop.forget_password(&person).send().await.expect(202);
    shop.mail_to(&person.email, 2).await;
    let senders: BTreeSet<String> = watched.observed().into_iter().map(|call| call.function).collect();
    assert_eq!(senders, BTreeSet::from(["mail-send".to_owned()]));
}

/// Waits for that many mails to a person, and returns their subjects.
async fn subjects(shop: &Shop, person: &Person, count: usize) -> Vec<String> {
    shop.mails_to(&person.email, count).await.into_iter().map(|mail| mail.subject).collect()
}

#[tokio::test]
async fn customers_hear_what_becomes_of_their_orders() {
    let shop = Shop::shared().await;
    let (mug, person) = (shop.create_stocked("mail", 10).await, shop.register_person().await);
    let session = shop.session(&person).await;
    let own = |path: &str, body: &Value| {
        shop.post(path).bearer(&session.access_token).key(&unique("key")).json(body)
    };
    let order = own("/orders", &basket(&[(mug.id(), 2)])).send().await.expect(201);
    let payment = json!({"payment_method": VISA, "capture": "manual"});
    own(&format!("/orders/{}/payments", order.id()), &payment).send().await.expect(201);
    shop.capture(&order, None).send().await.expect(200);
    let parcel = json!({"lines": [{"product_id": mug.id(), "quantity": 1}], "tracking": {"carrier": "Post & Co", "number": "JD-7"}});
    shop.fulfil(&order, &parcel).send().await.expect(201);
    shop.refund(&order, &json!({"amount": 150})).send().await.expect(201);
    let expected = ["Your order is confirmed", "Your order is on its way", "Your refund is on its way"];
    assert_eq!(subjects(&shop, &person, 4).await[1..], expected);

    let text = async |number: usize| shop.mail_to(&person.email, number).await;
    let (confirmed, shipped, refunded) = (text(2).await, text(3).await, text(4).await);
    let name = mug["name"].as_str().unwrap();
    let says = |mail: &emulators::ses::Mail, words: &[&str]| {
        let text = mail.text.as_deref().unwrap();
        words.iter().for_each(|word| assert!(text.contains(word), "{word} in {text}"));
        assert!(text.contains("Shop"), "{text} does not name the shop");
    };
    let link = format!("/orders/{}", order.id());
    says(&confirmed, &[&format!("2 \u{d7} {name}"), &link, "37.00 EUR"]);
    says(&shipped, &[&format!("1 \u{d7} {name}"), "with Post & Co. The tracking number is JD-7.", &link]);
    says(&refunded, &["1.50 EUR", &link]);
    assert!(shipped.html.as_deref().unwrap().contains("Post &amp; Co"));
}

#[tokio::test]
async fn who_cancels_an_order_hears_of_it_once_and_who_forgets_it_nothing() {
    let shop = Shop::shared().await;
    let (mug, person) = (shop.create_stocked("mail", 10).await, shop.register_person().await);
    let session = shop.session(&person).await;
    let place = || {
        let order = basket(&[(mug.id(), 1)]);
        shop.post("/orders").bearer(&session.access_token).key(&unique("key")).json(&order)
    };
    let (forgotten, order) = (place().send().await.expect(201), place().send().await.expect(201));
    shop.later(forgotten.id());
    shop.run("orders-expire").await;
    let before = shop.stored(order.id());
    let cancel = shop.post(&format!("/orders/{}/cancel", order.id())).bearer(&session.access_token);
    cancel.key(&unique("key")).send().await.expect(200);
    assert_eq!(subjects(&shop, &person, 2).await[1..], ["Your order was cancelled"]);
    // The stream may bring it again.
    let marked = async || (waiting(&shop, &person, "MAIL#order").len() == 1).then_some(());
    eventually("the mark of the mail", marked).await;
    let again = event_of("MODIFY", Some(&before), &shop.stored(order.id()));
    assert_eq!(shop.invoke("mail-send", &again).await, json!({"batchItemFailures": []}));
    assert_eq!(subjects(&shop, &person, 2).await.len(), 2);
}
