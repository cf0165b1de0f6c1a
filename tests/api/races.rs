use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{StreamExt, future::join_all, stream};
use serde_json::json;

use crate::{
    bus::assert_published_well,
    shop::{
        Answer, Options, Person, Request, Shop, USERS,
        books::timeline,
        buyers::{VISA, mark_of},
        changed, count, new_product,
        proxy::Refusal,
        unique, unique_user,
    },
};

/// Starts a shop with many instances for stock changes.
async fn stocks() -> Shop {
    Shop::with(&[
        ("inventory-adjust", 8),
        ("inventory-get", 2),
        ("inventory-movements", 1),
        ("products-create", 1),
    ])
    .await
}

#[tokio::test]
async fn i01_stock_never_goes_below_nothing_under_64_writers() {
    let shop = stocks().await;
    let product = shop.create_stocked("writers", 20).await;
    let ended = AtomicBool::new(false);
    let watcher = async {
        let mut looks = 0;
        while !ended.load(Ordering::Relaxed) {
            let inventory = shop.inventory(product.id()).await;
            let [on_hand, reserved, available] =
                ["on_hand", "reserved", "available"].map(|field| inventory[field].as_i64().unwrap());
            assert!(available >= 0 && reserved >= 0 && available + reserved == on_hand, "{inventory:?}");
            looks += 1;
        }
        looks
    };
    let writers = async {
        let answers = join_all((0..64).map(|_| shop.adjust(product.id(), -1).send())).await;
        ended.store(true, Ordering::Relaxed);
        answers
    };
    let (looks, answers) = tokio::join!(watcher, writers);
    assert!(looks > 0);
    assert_eq!((count(&answers, 201), count(&answers, 409)), (20, 44), "{answers:#?}");
    let refused = answers.iter().filter(|answer| answer.status == 409);
    assert!(refused.into_iter().all(|answer| answer["available"] == 0), "{answers:#?}");
    assert_eq!(shop.inventory(product.id()).await["on_hand"], 0);
    shop.assert_books_balance(product.id()).await;
}

#[tokio::test]
async fn i01_books_balance_after_writers_who_add_and_take() {
    let shop = stocks().await;
    let product = shop.create_stocked("books", 0).await;
    let start = shop.calls("TransactWriteItems").about(product.id()).hold();
    let deltas: Vec<i64> = (0..64).map(|n| if n % 3 == 0 { 5 } else { -3 }).collect();
    let writers = join_all(deltas.iter().map(|delta| shop.adjust(product.id(), *delta).send()));
    let (answers, ()) = tokio::join!(writers, async {
        // Every instance is in the middle of a write when the first goes through.
        start.reached(8).await;
        start.release();
    });
    // An addition always succeeds; a removal is refused where there are too few pieces at its moment.
    for (delta, answer) in deltas.iter().zip(&answers) {
        let too_few = *delta < 0 && answer.status == 409;
        assert!(answer.status == 201 || too_few, "{delta}: {answer:?}");
    }
    let moved: i64 =
        deltas.iter().zip(&answers).filter(|(_, answer)| answer.status == 201).map(|(delta, _)| delta).sum();
    assert_eq!(shop.inventory(product.id()).await["on_hand"], moved);
    shop.assert_books_balance(product.id()).await;
}

#[tokio::test]
async fn i13_of_writers_with_one_etag_one_wins() {
    let shop = Shop::with(&[
        ("products-update", 6),
        ("products-archive", 2),
        ("products-get", 1),
        ("products-create", 1),
    ])
    .await;
    let product = shop.create(&new_product("etag")).await;
    let path = format!("/products/{}", product.id());
    // All of them have read the version before the first writes.
    let start = shop.calls("TransactWriteItems").about(product.id()).hold();
    let patches = (0..6).map(|n| {
        let patch = json!({"name": format!("Mug {n}"), "price": {"amount": 100 + n}});
        shop.patch(&path).staff().if_match(product.etag()).json(&patch)
    });
    let deletes = (0..2).map(|_| shop.delete(&path).staff().if_match(product.etag()));
    let writers = join_all(patches.chain(deletes).map(|request| request.send()));
    let (answers, ()) = tokio::join!(writers, async {
        start.reached(8).await;
        start.release();
    });
    assert_eq!(count(&answers, 200) + count(&answers, 204), 1, "{answers:#?}");
    assert_eq!(count(&answers, 412), 7, "{answers:#?}");
    let read = shop.product(product.id()).await;
    assert!(read.etag().starts_with("\"2-"));
    match answers.iter().find(|answer| answer.status == 200) {
        Some(winner) => assert_eq!(read.json, winner.json),
        None => assert_eq!(read["status"], "archived"),
    }
}

#[tokio::test]
async fn i13_no_update_is_lost_among_writers_who_read_again() {
    let shop = Shop::with(&[("products-update", 4), ("products-get", 2), ("products-create", 1)]).await;
    let product = shop.create(&changed(new_product("lost-update"), json!({"attributes": {}}))).await;
    let path = format!("/products/{}", product.id());
    let writer = async |n: usize| {
        loop {
            let read = shop.product(product.id()).await;
            let counted = read["price"]["amount"].as_i64().unwrap() + 1;
            let patch =
                json!({"price": {"amount": counted}, "attributes": {format!("writer-{n}"): "was here"}});
            let answer = shop.patch(&path).staff().if_match(read.etag()).json(&patch).send().await;
            match answer.status {
                200 => return,
                _ => drop(answer.expect_problem(412, "stale_version")),
            }
        }
    };
    join_all((0..12).map(writer)).await;
    let read = shop.product(product.id()).await;
    assert_eq!(read["price"]["amount"], 1850 + 12);
    assert_eq!(read["attributes"].as_object().unwrap().len(), 12);
    assert_eq!(read.etag(), r#""13-in_stock""#);
}

#[tokio::test]
async fn of_products_with_one_sku_one_is_created() {
    let shop = Shop::with(&[("products-create", 8), ("products-list", 1)]).await;
    let new = new_product("one-sku");
    let start = shop.calls("TransactWriteItems").about(new["sku"].as_str().unwrap()).hold();
    let writers = join_all((0..8).map(|n| {
        let new = changed(new.clone(), json!({"name": format!("Mug {n}")}));
        shop.post("/products").staff().key(&unique("key")).json(&new).send()
    }));
    let (answers, ()) = tokio::join!(writers, async {
        start.reached(8).await;
        start.release();
    });
    assert_eq!((count(&answers, 201), count(&answers, 409)), (1, 7), "{answers:#?}");
    let listed = shop.get("/products").query("category", new["category"].as_str().unwrap()).send().await;
    assert_eq!(listed.expect(200).items().len(), 1);
}

#[tokio::test]
async fn a_new_price_and_a_delivery_at_once_both_count() {
    let shop = Shop::with(&[
        ("products-update", 2),
        ("inventory-adjust", 2),
        ("products-get", 1),
        ("inventory-get", 1),
        ("inventory-movements", 1),
        ("products-create", 1),
    ])
    .await;
    let product = shop.create_stocked("both", 1).await;
    let start = shop.calls("TransactWriteItems").about(product.id()).hold();
    let patch = json!({"price": {"amount": 7}, "low_stock_threshold": 50});
    let patched =
        shop.patch(&format!("/products/{}", product.id())).staff().if_match("*").json(&patch).send();
    let adjusted = shop.adjust(product.id(), 41).send();
    let (patched, adjusted, ()) = tokio::join!(patched, adjusted, async {
        start.reached(2).await;
        start.release();
    });
    patched.expect(200);
    adjusted.expect(201);
    let inventory = shop.inventory(product.id()).await;
    assert_eq!((&inventory["on_hand"], &inventory["low_stock_threshold"]), (&json!(42), &json!(50)));
    let read = shop.product(product.id()).await;
    assert_eq!((&read["price"]["amount"], &read["availability"]), (&json!(7), &json!("low_stock")));
    shop.assert_books_balance(product.id()).await;
}

#[tokio::test]
async fn a_writer_who_meets_another_is_tried_again_and_gets_through() {
    let shop = Shop::shared().await;
    let product = shop.create_stocked("meets", 5).await;
    let path = format!("/products/{}", product.id());
    let met = |times| {
        shop.calls("TransactWriteItems").about(product.id()).times(times).answer_with(Refusal::conflict())
    };
    let conflicts = met(2);
    shop.adjust(product.id(), 1).send().await.expect(201);
    assert_eq!(conflicts.hits(), 2);
    drop(conflicts);
    let conflicts = met(2);
    shop.patch(&path).staff().if_match("*").json(&json!({"name": "Mug"})).send().await.expect(200);
    assert_eq!(conflicts.hits(), 2);
    drop(conflicts);
    let conflicts = met(2);
    shop.delete(&path).staff().if_match("*").send().await.expect(204);
    assert_eq!(conflicts.hits(), 2);
}

/// Starts a shop with many instances for accounts.
async fn crowded(function: &'static str) -> Shop {
    let mut instances = vec![
        ("users-register", 2),
        ("users-verify-email", 2),
        ("users-forgot-password", 1),
        ("users-reset-password", 1),
        ("sessions-create", 1),
        ("mail-send", 1),
        ("users-list", 1),
        ("users-get", 1),
    ];
    instances.retain(|(name, _)| *name != function);
    instances.push((function, 16));
    Shop::with(&instances).await
}

#[tokio::test]
async fn i20_of_sixty_four_racers_on_one_e_mail_one_opens_an_account() {
    let shop = crowded("users-verify-email").await;
    let email = Person::new().email;
    // Four people want it, each with a password and a name of their own; the mailbox gets a mail for each.
    let people: Vec<Person> = (0..4)
        .map(|n| Person { email: email.clone(), name: format!("CANARY Jane {n}"), ..Person::new() })
        .collect();
    let asked = join_all(people.iter().map(|person| shop.register(person).send())).await;
    assert_eq!(count(&asked, 202), 4);
    let mut racers = Vec::new();
    for number in 1..=4 {
        let token = shop.mailed_token(&email, "verify-email", number).await;
        // Whose it is, only the password tells: it is tried without haste, and costs attempts.
        racers.extend(people.iter().cloned().map(|person| (person, token.clone())));
    }
    // Attempts are not what this is about.
    let uncounted = Refusal { status: 200, body: "{}".to_owned() };
    let _uncounted = shop.calls("UpdateItem").by("users-verify-email").answer(uncounted);
    let start = shop.calls("TransactWriteItems").by("users-verify-email").times(16).hold();
    let racing = racers.iter().cycle().take(64).map(|(person, token)| shop.verify(person, token).send());
    let (answers, ()) = tokio::join!(join_all(racing), async {
        // Of four times four, one fits each token.
        start.reached(16).await;
        start.release();
    });
    assert_eq!((count(&answers, 204), count(&answers, 410) + count(&answers, 401)), (1, 63), "{answers:#?}");
    let items = shop.items(USERS);
    let of_kind = |kind: &str| {
        items.iter().filter(|item| item["sk"]["S"] == kind && item.to_string().contains(&email)).count()
    };
    assert_eq!((of_kind("LOGIN"), of_kind("PROFILE")), (1, 1));
    // The one whose password it is, is whose name it has.
    let listed = shop.get("/users").query("email", &email).scoped("users:read").send().await.expect(200);
    let owner = people.iter().find(|person| listed.items()[0]["name"] == person.name).unwrap();
    shop.log_in(owner).send().await.expect(200);
    for loser in people.iter().filter(|person| person.name != owner.name) {
        shop.log_in(loser).send().await.expect_problem(401, "invalid_credentials");
    }
}

#[tokio::test]
async fn i20_sixty_four_who_register_one_e_mail_at_once_get_one_answer() {
    let shop = crowded("users-register").await;
    let email = Person::new().email;
    let people: Vec<Person> = (0..64).map(|_| Person { email: email.clone(), ..Person::new() }).collect();
    let answers = join_all(people.iter().map(|person| shop.register(person).send())).await;
    assert_eq!(count(&answers, 202), 64);
    shop.mailed_token(&email, "verify-email", 5).await;
    assert!(shop.items(USERS).iter().all(|item| item["sk"]["S"] != "LOGIN"));
}

#[tokio::test]
async fn of_sixty_four_racers_on_one_reset_one_sets_the_password() {
    let shop = crowded("users-reset-password").await;
    let person = shop.register_person().await;
    shop.forget_password(&person).send().await.expect(202);
    let token = shop.mailed_token(&person.email, "reset-password", 1).await;
    let passwords: Vec<String> = (0..64).map(|_| Person::new().password).collect();
    let start = shop.calls("TransactWriteItems").by("users-reset-password").times(16).hold();
    let racing = passwords.iter().map(|password| shop.reset_password(&person, &token, password).send());
    let (answers, ()) = tokio::join!(join_all(racing), async {
        start.reached(16).await;
        start.release();
    });
    assert_eq!((count(&answers, 204), count(&answers, 410)), (1, 63), "{answers:#?}");
    let winner = answers.iter().position(|answer| answer.status == 204).unwrap();
    shop.log_in_with(&person, &passwords[winner]).send().await.expect(200);
    let loser = (winner + 1) % 64;
    shop.log_in_with(&person, &passwords[loser]).send().await.expect_problem(401, "invalid_credentials");
    shop.log_in(&person).send().await.expect_problem(401, "invalid_credentials");
}

#[tokio::test]
async fn i13_of_those_who_change_one_version_of_an_account_one_wins() {
    let shop = Shop::start(Options { instances: vec![("profile-update", 6)], ..Options::default() }).await;
    let person = shop.register_person().await;
    let session = shop.session(&person).await;
    let before = shop.user(&person).await;
    // Its owner and the staff at once, all of whom have read the same version.
    let start = shop.any_call().about("ConditionExpression").about(&session.user).hold();
    let own = (0..6).map(|n| {
        let patch = json!({"name": format!("CANARY Jane {n}"), "phone": format!("+49 30 {n}{n}{n}")});
        shop.patch("/users/me").bearer(&session.access_token).if_match(before.etag()).json(&patch)
    });
    let staff = ["staff", "admin"].into_iter().map(|role| {
        let path = format!("/users/{}", session.user);
        shop.patch(&path).scoped("users:write").if_match(before.etag()).json(&json!({"role": role}))
    });
    let writers = join_all(own.chain(staff).map(|request| request.send()));
    let (answers, ()) = tokio::join!(writers, async {
        start.reached(8).await;
        start.release();
    });
    assert_eq!((count(&answers, 200), count(&answers, 412)), (1, 7), "{answers:#?}");
    let after = shop.user(&person).await;
    assert_eq!(after.json, answers.iter().find(|answer| answer.status == 200).unwrap().json);
    assert_eq!((before.etag(), after.etag()), ("\"1\"", "\"2\""));
}

#[tokio::test]
async fn i13_no_change_of_an_account_is_lost_among_those_who_read_again() {
    let shop = Shop::shared().await;
    let person = shop.register_person().await;
    let user = shop.user(&person).await.id().to_owned();
    // A token that outlives the changes of role.
    let token = shop.customer_token(&user);
    let path = format!("/users/{user}");
    let owner = async |n: usize| {
        loop {
            let read = shop.get("/users/me").bearer(&token).send().await.expect(200);
            let mut addresses = read["addresses"].as_array().unwrap().clone();
            addresses.push(json!({
                "name": "CANARY Jane", "line1": format!("CANARY Lane {n}"), "city": "Berlin",
                "postal_code": "10969", "country": "DE",
            }));
            let patch = shop.patch("/users/me").bearer(&token).if_match(read.etag());
            let answer = patch.json(&json!({"addresses": addresses})).send().await;
            match answer.status {
                200 => return,
                _ => drop(answer.expect_problem(412, "stale_version")),
            }
        }
    };
    let staff = async {
        for role in ["staff", "admin", "staff", "customer"] {
            loop {
                let read = shop.get(&path).scoped("users:read").send().await.expect(200);
                let patch = shop.patch(&path).scoped("users:write").if_match(read.etag());
                let answer = patch.json(&json!({"role": role})).send().await;
                match answer.status {
                    200 => break,
                    _ => drop(answer.expect_problem(412, "stale_version")),
                }
            }
        }
    };
    tokio::join!(join_all((0..8).map(owner)), staff);
    let read = shop.user(&person).await;
    assert_eq!((read["addresses"].as_array().unwrap().len(), read.etag()), (8, "\"13\""));
    assert_eq!(read["role"], "customer");
}

/// Starts a shop with many instances for orders.
async fn selling(instances: usize) -> Shop {
    let many = ["orders-create", "orders-pay", "orders-cancel"].map(|function| (function, instances));
    let few = [
        "orders-get",
        "orders-expire",
        "payments-webhook",
        "payments-reconcile",
        "products-create",
        "inventory-get",
        "inventory-movements",
        "products-availability",
        "events-publish",
    ];
    Shop::with(&[&many[..], &few.map(|function| (function, 2))].concat()).await
}

/// Retries a request until it gets a final response.
async fn insist(request: Request) -> Answer {
    for _ in 0..100 {
        let answer = request.clone().send().await;
        if answer.status != 503 {
            return answer;
        }
        assert!(answer.find_header("retry-after").is_some(), "{answer:?}");
    }
    panic!("{request} was never answered")
}

#[tokio::test]
async fn i01_of_a_hundred_pieces_a_hundred_are_sold_to_three_hundred_buyers_whatever_happens() {
    let shop = selling(6).await;
    let (mug, bowl) = (shop.create_stocked("sale", 100).await, shop.create_stocked("beside", 10_000).await);
    // Writers that meet, answers that get lost, and calls that are held up, all the time.
    let sales = || shop.calls("TransactWriteItems").by("orders-create");
    let conflicts = sales().after(20).times(40).answer_with(Refusal::conflict());
    let lost = sales().after(30).times(12).lose_answer();
    let cut_off = sales().after(60).times(12).refuse();
    let held = sales().after(5).times(3).hold();
    let buyer = async |number: usize| {
        let items = match number % 3 {
            0 => vec![(mug.id(), 1)],
            1 => vec![(bowl.id(), 2), (mug.id(), 1)],
            _ => vec![(mug.id(), 1), (bowl.id(), 1)],
        };
        let placing = shop.place(&unique_user(), &items);
        let answer = insist(placing.clone()).await;
        // Every fifth client has lost the answer and asks again, perhaps twice at once.
        if number.is_multiple_of(5) {
            let (one, other) = tokio::join!(insist(placing.clone()), insist(placing));
            assert!(
                one.status == answer.status && other.status == answer.status,
                "{answer:?} {one:?} {other:?}"
            );
            assert!(answer.status != 201 || one.text == answer.text && other.text == answer.text);
        }
        answer
    };
    let release = async {
        held.reached(3).await;
        held.release();
    };
    let buyers = stream::iter((0..300).map(buyer)).buffer_unordered(64).collect::<Vec<_>>();
    let (answers, ()) = tokio::join!(buyers, release);
    assert!(conflicts.hits() > 0 && lost.hits() > 0 && cut_off.hits() > 0);
    drop((conflicts, lost, cut_off, held));
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status != 201).collect();
    assert_eq!((count(&answers, 201), refused.len()), (100, 200));
    for answer in refused {
        assert_eq!((answer.status, answer["code"].as_str()), (409, Some("out_of_stock")), "{answer:?}");
        let lines = json!([{"product_id": mug.id(), "requested": 1, "availability": "out_of_stock"}]);
        assert_eq!(answer["lines"], lines);
    }
    let stock = shop.inventory(mug.id()).await;
    assert_eq!((&stock["available"], &stock["reserved"]), (&json!(0), &json!(100)));
    shop.assert_books(&[mug.id(), bowl.id()]);
    shop.bus().events().iter().for_each(assert_published_well);
}

#[tokio::test]
async fn i22_of_cancel_pay_and_expire_at_once_one_wins() {
    let shop = selling(4).await;
    let mug = shop.create_stocked("one-wins", 1_000).await;
    for round in 0..20 {
        let order = shop.ordered(&[(mug.id(), 1)]).await;
        let start = shop.calls("TransactWriteItems").about(mark_of(&order)).times(2).hold();
        let (paying, cancelling) = (shop.pay(&order, VISA), shop.cancel(&order));
        let time = async {
            // Both have read the order as open before either writes. In most rounds the deadline goes by in between.
            start.reached(2).await;
            if round % 4 > 0 {
                shop.later(order.id());
            }
            if round % 2 == 0 {
                start.release();
            }
            shop.try_run("orders-expire").await;
            start.release();
        };
        let (payment, cancelled, ()) = tokio::join!(paying.clone().send(), cancelling.clone().send(), time);
        drop(start);
        let (payment, cancelled) = (
            if payment.status == 503 { insist(paying).await } else { payment },
            if cancelled.status == 503 { insist(cancelling).await } else { cancelled },
        );
        assert!([201, 202, 409].contains(&payment.status), "{payment:?}");
        assert!([200, 202, 409].contains(&cancelled.status), "{cancelled:?}");
        let end = shop.settle(order.id()).await;
        let entries = timeline(&end.json);
        let endings = ["cancelled", "expired"].map(|ending| entries.get(ending).copied().unwrap_or_default());
        assert!(endings.iter().sum::<usize>() <= 1, "{end:?}");
        match end["status"].as_str().unwrap() {
            // Who was told that it is paid, keeps what is paid for.
            "open" => {
                assert_eq!(end["payment_status"], "paid", "{end:?}");
                assert!(cancelled.status == 409, "{cancelled:?}");
            }
            // Who was told that it is paid may have cancelled it after; then the money is back.
            "cancelled" => {
                assert!([200, 202].contains(&cancelled.status), "{cancelled:?}");
            }
            "expired" => {
                assert!(payment.status != 201 && cancelled.status == 409, "{payment:?} {cancelled:?}");
            }
            other => panic!("{other}: {end:?}"),
        }
    }
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn i02_a_day_of_everything_at_once_ends_with_balanced_books() {
    let shop = selling(3).await;
    let products = join_all((0..4).map(|_| shop.create_stocked("day", 60))).await;
    let ids: Vec<&str> = products.iter().map(|product| product.id()).collect();
    let customer = async |number: usize| {
        let items = [(ids[number % 4], 1 + i64::try_from(number % 3).unwrap()), (ids[(number + 1) % 4], 1)];
        let order = insist(shop.place(&unique_user(), &items)).await;
        if order.status != 201 {
            return;
        }
        let methods =
            [VISA, "pm_charged_answer_lost", "pm_card_visa_chargeDeclined", "pm_rate_limited", VISA];
        let answers = [
            insist(shop.pay(&order, methods[number % 5])).await,
            if number.is_multiple_of(4) {
                insist(shop.cancel(&order)).await
            } else {
                shop.order(order.id()).await
            },
        ];
        assert!(answers.iter().all(|answer| answer.status < 500), "{answers:#?}");
        if number.is_multiple_of(7) {
            shop.later(order.id());
        }
    };
    let clock = async {
        for _ in 0..6 {
            shop.try_run("payments-reconcile").await;
            shop.try_run("orders-expire").await;
        }
    };
    tokio::join!(join_all((0..60).map(customer)), clock);
    for order in shop.orders_with(&ids) {
        shop.settle(order["id"].as_str().unwrap()).await;
    }
    shop.assert_books(&ids);
}
