//! Lists of users and clients: each item once, whatever is added or removed meanwhile (I16).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::shop::{ADMIN, Options, Request, Shop, USERS, unique};

/// Starts a separate shop, because the lists show all users.
async fn shop() -> Shop {
    let only = Some(vec![
        "users-list",
        "users-register",
        "users-verify-email",
        "mail-send",
        "users-get",
        "oauth-clients-list",
        "oauth-clients-create",
        "oauth-clients-delete",
    ]);
    Shop::start(Options { only, ..Options::default() }).await
}

/// Writes `count` users with the attributes of `like`, and returns their ids.
fn write_users(shop: &Shop, like: &Value, count: usize) -> Vec<String> {
    let user = |number: usize| {
        let mut user = like.clone();
        let id = format!("usr_01jd{:022}", 77_000 + number);
        user["pk"]["S"] = json!(format!("USER#{id}"));
        user["id"]["S"] = json!(id);
        user["email"]["S"] = json!(format!("walker.{number}@canary.test"));
        user["role"]["S"] = json!(if number.is_multiple_of(5) { "staff" } else { "customer" });
        user["status"]["S"] = json!(if number.is_multiple_of(3) { "disabled" } else { "active" });
        shop.write(USERS, user);
        id
    };
    (0..count).map(user).collect()
}

fn ids(items: &[Value]) -> Vec<String> {
    let id = |item: &Value| item.get("id").or(item.get("client_id")).unwrap().as_str().unwrap().to_owned();
    items.iter().map(id).collect()
}

fn users(shop: &Shop) -> Request {
    shop.get("/users").scoped("users:read")
}

fn clients(shop: &Shop) -> Request {
    shop.get("/oauth/clients").scoped(ADMIN)
}

async fn create_client(shop: &Shop) -> String {
    let new = json!({"name": "Warehouse", "scope": "inventory:read"});
    let created = shop.post("/oauth/clients").scoped(ADMIN).key(&unique("key")).json(&new).send().await;
    created.expect(201)["client_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn i16_a_walk_gives_every_user_exactly_once_the_newest_first() {
    let shop = shop().await;
    let person = shop.register_person().await;
    let id = shop.user(&person).await.id().to_owned();
    let like = shop.item(USERS, &format!("USER#{id}"), "PROFILE");
    let mut all = write_users(&shop, &like, 30);
    all.push(id);
    all.sort();
    all.reverse();
    for limit in [1, 7, 30, 31, 32, 100] {
        assert_eq!(ids(&shop.walk(users(&shop).query("limit", limit)).await), all, "{limit}");
    }
    for (filters, count) in [
        (&[("role", "staff")][..], 6),
        (&[("role", "customer")], 25),
        (&[("status", "disabled")], 10),
        (&[("role", "staff"), ("status", "disabled")], 2),
        (&[("role", "admin")], 0),
    ] {
        let list = filters
            .iter()
            .fold(users(&shop).query("limit", 4), |list, (name, value)| list.query(name, value));
        let walked = ids(&shop.walk(list).await);
        let distinct: BTreeSet<_> = walked.iter().collect();
        assert_eq!((walked.len(), distinct.len()), (count, count), "{filters:?}");
        assert!(walked.is_sorted_by(|newer, older| newer > older));
    }
    // As where items are large: DynamoDB ends a page before it is full.
    let early = shop.calls("Query").by("users-list").rewrite(|query| query["Limit"] = json!(2));
    assert_eq!(ids(&shop.walk(users(&shop).query("limit", 20)).await), all);
    let walked = ids(&shop.walk(users(&shop).query("role", "staff")).await);
    assert_eq!(walked.len(), 6);
    assert!(early.hits() > 10);
}

#[tokio::test]
async fn i16_a_walk_gives_what_stood_still_exactly_once_while_others_come_and_go() {
    let shop = shop().await;
    let mut still = Vec::new();
    let mut going = Vec::new();
    for number in 0..12 {
        let id = create_client(&shop).await;
        if number % 3 == 0 { going.push(id) } else { still.push(id) }
    }
    let (mut walked, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let list = clients(&shop).query("limit", 2);
        let list = match &cursor {
            Some(cursor) => list.query("cursor", cursor),
            None => list,
        };
        let page = list.send().await.expect(200);
        walked.extend(ids(page.items()));
        // One comes, and one goes: perhaps the one that the cursor points at.
        create_client(&shop).await;
        let gone = walked.last().filter(|last| going.contains(last)).cloned().or_else(|| going.pop());
        if let Some(gone) = gone {
            let delete = shop.delete(&format!("/oauth/clients/{gone}")).scoped(ADMIN).send().await;
            assert!([204, 404].contains(&delete.status), "{delete:?}");
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    still.reverse();
    let seen: Vec<_> = walked.iter().filter(|id| still.contains(id)).cloned().collect();
    assert_eq!(seen, still);
    assert_eq!(walked.iter().collect::<BTreeSet<_>>().len(), walked.len(), "some came twice");
}

#[tokio::test]
async fn i16_a_damaged_or_foreign_cursor_is_refused() {
    let shop = shop().await;
    let person = shop.register_person().await;
    let id = shop.user(&person).await.id().to_owned();
    let like = shop.item(USERS, &format!("USER#{id}"), "PROFILE");
    write_users(&shop, &like, 3);
    create_client(&shop).await;
    create_client(&shop).await;
    let of_users =
        users(&shop).query("limit", 1).send().await.expect(200)["next_cursor"].as_str().unwrap().to_owned();
    let of_clients =
        clients(&shop).query("limit", 1).send().await.expect(200)["next_cursor"].as_str().unwrap().to_owned();
    let foreign = [
        users(&shop).query("cursor", &of_clients),
        clients(&shop).query("cursor", &of_users),
        users(&shop).query("role", "staff").query("cursor", &of_users),
        users(&shop).query("status", "active").query("cursor", &of_users),
        users(&shop).query("email", &person.email).query("cursor", &of_users),
    ];
    for request in foreign {
        request.send().await.expect_problem(400, "invalid_cursor");
    }
    users(&shop).query("limit", 3).query("cursor", &of_users).send().await.expect(200);
    for (list, cursor) in [(users(&shop), &of_users), (clients(&shop), &of_clients)] {
        let mut damaged: Vec<String> =
            ["", "x", "=", "null", "eyJpZCI6MX0", "ü", "AAAAAAAAAAA"].map(str::to_owned).to_vec();
        damaged.extend((1..cursor.len()).step_by(7).map(|length| cursor[..length].to_owned()));
        damaged.extend([format!("{cursor}A"), format!("{cursor}="), format!(" {cursor}"), "A".repeat(5_000)]);
        for index in (0..cursor.len()).step_by(3) {
            let other = if &cursor[index..=index] == "A" { "B" } else { "A" };
            damaged.push(format!("{}{other}{}", &cursor[..index], &cursor[index + 1..]));
        }
        for damaged in damaged {
            list.clone().query("cursor", damaged).send().await.expect_problem(400, "invalid_cursor");
        }
    }
}

#[tokio::test]
async fn i16_a_forged_cursor_shows_nothing_that_the_query_could_not() {
    use shared::http::cursor;
    let shop = shop().await;
    let person = shop.register_person().await;
    let id = shop.user(&person).await.id().to_owned();
    let client = create_client(&shop).await;
    let query = json!({"email": null, "role": null, "status": null});
    for position in
        [json!(id), json!("usr_7zzzzzzzzzzzzzzzzzzzzzzzzz"), json!("usr_00000000000000000000000000")]
    {
        let forged = cursor::encode(&position, &query).unwrap();
        let answer = users(&shop).query("cursor", &forged).send().await.expect(200);
        assert!(answer.items().iter().all(|user| user["email"].is_string()), "{answer:?}");
        assert!(!answer.text.contains(&client) && !answer.text.contains("argon2"), "{answer:?}");
    }
    for position in [json!(client), json!(null), json!({"pk": "LOGIN#x"}), json!([id]), json!("USER#1")] {
        let forged = cursor::encode(&position, &query).unwrap();
        users(&shop).query("cursor", &forged).send().await.expect_problem(400, "invalid_cursor");
    }
}
