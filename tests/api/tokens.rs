//! Access tokens that are forged, damaged, or made for something else. All are refused with the same problem.

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD as BASE64},
};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::{Value, json};

use crate::shop::{
    ADMIN, Answer, ISSUER, STAFF, Shop,
    deployed::is_deployed,
    new_product,
    token::{Hash, Signer, Token},
    unique_user,
};

/// A defect, and a token with it.
type Forged = (String, String);

/// A valid token to damage.
fn good(shop: &Shop) -> Token {
    shop.token(&unique_user(), STAFF)
}

async fn get_inventory(shop: &Shop, product: &str, token: &str) -> Answer {
    let request = shop.get(&format!("/products/{product}/inventory")).bearer(token);
    // API Gateway accepts heads up to 10,240 bytes, Lambda larger ones.
    if token.len() > 9_000 { request.through_watch().send().await } else { request.send().await }
}

#[tokio::test]
async fn more_than_two_hundred_forged_and_damaged_tokens_are_refused() {
    let shop = Shop::shared().await;
    let product = shop.create(&new_product("token")).await;
    get_inventory(&shop, product.id(), &good(&shop).sign(shop.signer())).await.expect(200);

    let corpus = [
        with_other_claims(&shop),
        with_other_headers(&shop),
        with_other_texts(&shop),
        in_another_encoding(&shop),
        in_other_parts(&shop),
        with_a_key_of_their_own(&shop),
        with_the_public_key_as_secret(&shop),
        with_another_signature(&shop),
    ]
    .concat();
    assert!(corpus.len() >= 200, "only {} tokens", corpus.len());
    let mut accepted = Vec::new();
    for (what, token) in &corpus {
        let answer = get_inventory(&shop, product.id(), token).await;
        let challenge = answer.find_header("www-authenticate").unwrap_or_default();
        let refused = answer.status == 401
            && answer["code"] == "invalid_token"
            && challenge.contains(r#"error="invalid_token""#);
        if !refused {
            accepted.push(format!("{what}: {} {}", answer.status, answer["code"]));
        }
    }
    assert!(accepted.is_empty(), "of {}: {accepted:#?}", corpus.len());
    // Nothing of it has broken anything.
    get_inventory(&shop, product.id(), &good(&shop).sign(shop.signer())).await.expect(200);
    if !is_deployed() {
        assert_eq!(shop.alive("inventory-get"), 2);
        assert!(shop.log().lines(|line| line.text.contains("panicked")).is_empty());
    }
}

/// Tokens with a valid signature and wrong claims.
fn with_other_claims(shop: &Shop) -> Vec<Forged> {
    let now = good(shop).claims["iat"].as_i64().unwrap();
    let x = |count: usize| "x".repeat(count);
    let date = || {
        // A moment is a whole number of seconds, and none that no clock of ours could mean.
        let texts = ["never", "", "0", "2999-01-01T00:00:00Z", "1e10", "9999999999", "+9999999999"];
        let texts = texts.map(|text| json!(text));
        let others = [json!(null), json!(true), json!([now + 900]), json!({"seconds": now + 900})];
        let numbers = [json!(f64::MAX), json!(1e19), json!(-1e10), json!(u64::MAX), json!(i64::MIN)];
        [&texts[..], &others, &numbers].concat()
    };
    let mut claims: Vec<(&str, Value)> = vec![
        ("exp", json!(now - 60)),
        ("exp", json!(now - 10)),
        ("exp", json!(0)),
        ("exp", json!(-1)),
        ("exp", json!(now as f64 + 900.5)),
        ("exp", json!(now * 1_000)),
        ("exp", json!(i64::MAX)),
        ("exp", json!(now + 365 * 24 * 60 * 60)),
        ("iat", json!(now + 600)),
        ("iat", json!(-now)),
        ("iat", json!(now * 1_000)),
        ("nbf", json!(now + 600)),
        ("nbf", json!(now as f64 + 600.5)),
        ("nbf", json!("0")),
        ("nbf", json!("never")),
        ("nbf", json!(-1)),
        ("nbf", json!([0])),
        ("nbf", json!(u64::MAX)),
        ("client_id", json!(null)),
        ("client_id", json!(5)),
        ("client_id", json!(["tests"])),
        ("jti", json!(null)),
        ("jti", json!(5)),
        ("jti", json!({})),
        ("scope", json!(null)),
        ("scope", json!(["inventory:read"])),
        ("scope", json!({"inventory:read": true})),
        ("scope", json!(7)),
        ("sub", json!(5)),
        ("sub", json!(null)),
        ("sub", json!(["usr_01jd8x2m9q5w3r7t1v6y4z0abc"])),
        ("sub", json!({"id": "usr_01jd8x2m9q5w3r7t1v6y4z0abc"})),
    ];
    claims.extend(date().into_iter().flat_map(|value| [("exp", value.clone()), ("iat", value)]));
    let issuers = [
        "http://other.test/v1",
        "http://shop.test/v1/",
        "http://shop.test/v2",
        "http://shop.test",
        "https://shop.test/v1",
        "http://shop.test/V1",
        "HTTP://SHOP.TEST/v1",
        "http://shop.test/v1#",
        "http://shop.test/v1?",
        "http://shop.test:80/v1",
        "http://shop.test@other.test/v1",
        "http://shop.test.other.test/v1",
        "http://sh\u{43e}p.test/v1",
        " http://shop.test/v1",
        "http://shop.test/v1\n",
        "http://shop.test/v1\0",
        "shop",
        "*",
        "",
    ];
    for claim in ["iss", "aud"] {
        claims.extend(issuers.map(|issuer| (claim, json!(issuer))));
        let others = [json!(null), json!(5), json!([]), json!({}), json!([5]), json!({"v1": ISSUER})];
        claims.extend(others.map(|value| (claim, value)));
        claims.extend([json!(["http://other.test/v1"]), json!([[ISSUER]])].map(|value| (claim, value)));
    }
    let subjects = [
        "",
        "usr_",
        "usr",
        "admin",
        "*",
        "prod_01jd8x2m9q5w3r7t1v6y4z0abc",
        "ord_01jd8x2m9q5w3r7t1v6y4z0abc",
        "pay_01jd8x2m9q5w3r7t1v6y4z0abc",
        "ref_01jd8x2m9q5w3r7t1v6y4z0abc",
        "mov_01jd8x2m9q5w3r7t1v6y4z0abc",
        "evt_01jd8x2m9q5w3r7t1v6y4z0abc",
        "ses_01jd8x2m9q5w3r7t1v6y4z0abc",
        "reg_01jd8x2m9q5w3r7t1v6y4z0abc",
        "USR_01jd8x2m9q5w3r7t1v6y4z0abc",
        "usr_01JD8X2M9Q5W3R7T1V6Y4Z0ABC",
        "usr_01jd8x2m9q5w3r7t1v6y4z0ab",
        "usr_01jd8x2m9q5w3r7t1v6y4z0abcd",
        "usr_8zzzzzzzzzzzzzzzzzzzzzzzzz",
        "usr_0ijd8x2m9q5w3r7t1v6y4z0abc",
        "usr_01jd8x2m9q5w3r7t1v6y4z0ab\u{444}",
        "usr_01jd8x2m9q5w3r7t1v6y4z0abc\0",
        "usr_01jd8x2m9q5w3r7t1v6y4z0abc\n",
        " usr_01jd8x2m9q5w3r7t1v6y4z0abc",
        "usr_01jd8x2m9q5w3r7t1v6y4z0abc ",
        "usr_01jd8x2m9q5w3r7t1v6y4z0abc#IDEM",
        "usr_usr_01jd8x2m9q5w3r7t1v6y4z0abc",
        "usr-01jd8x2m9q5w3r7t1v6y4z0abc",
        "USER#usr_01jd8x2m9q5w3r7t1v6y4z0abc",
    ];
    claims.extend(subjects.map(|subject| ("sub", json!(subject))));
    claims.push(("sub", json!(x(2_000))));
    let forged = |(name, value): (&str, Value)| {
        (format!("{name} {value}"), good(shop).claim(name, value).sign(shop.signer()))
    };
    claims.into_iter().map(forged).collect()
}

/// Tokens with a valid signature and a wrong header.
fn with_other_headers(shop: &Shop) -> Vec<Forged> {
    let types = [
        "JWT",
        "jwt",
        "at",
        "at+jw",
        "at+jwt ",
        " at+jwt",
        "at+jwt; v=1",
        "at jwt",
        "at+jwt\0",
        "application/jwt",
        "application/at+jwt2",
        "application/application/at+jwt",
        "text/at+jwt",
        "id_token",
        "logout+jwt",
        "dpop+jwt",
        "secevent+jwt",
        "a\u{442}+jwt",
        "",
    ];
    let algorithms = [
        "none", "None", "NONE", "nOnE", "", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256",
        "PS384", "PS512", "ES256", "ES384", "ES512", "ES256K", "Ed25519", "Ed448", "eddsa", "EDDSA",
        "EdDSA ", " EdDSA", "EdDSA\0", "dir", "RSA-OAEP", "A128KW",
    ];
    let kids = [
        "",
        "key-2",
        "KEY-1",
        "key-1 ",
        " key-1",
        "key-1\0",
        "key-1\n",
        "key",
        "key-",
        "key-11",
        "*",
        "../key-1",
        "../../dev/null",
        "key-1' OR '1'='1",
        "key-1#x",
        "\u{43a}ey-1",
        "__proto__",
    ];
    let mut headers: Vec<(&str, Value)> = Vec::new();
    headers.extend(types.map(|typ| ("typ", json!(typ))));
    headers.extend(algorithms.map(|alg| ("alg", json!(alg))));
    headers.extend(kids.map(|kid| ("kid", json!(kid))));
    for name in ["typ", "alg", "kid"] {
        let others = [json!(null), json!(1), json!(true), json!({"a": "EdDSA"})];
        headers.extend(others.map(|value| (name, value)));
        headers.extend([json!(["EdDSA"]), json!(["at+jwt"]), json!(["key-1"])].map(|value| (name, value)));
    }
    headers.push(("kid", json!("k".repeat(2_000))));
    // What a verifier must understand or refuse (RFC 7515, section 4.1.11).
    let critical =
        [json!([]), json!(["exp"]), json!(["b64"]), json!(["kid"]), json!("exp"), json!({}), json!([1])];
    headers.extend(critical.map(|names| ("crit", names)));
    let forged = |(name, value): (&str, Value)| {
        (format!("{name} {value}"), good(shop).header(name, value).sign(shop.signer()))
    };
    headers.into_iter().map(forged).collect()
}

/// Tokens with a valid signature and invalid or ambiguous JSON.
fn with_other_texts(shop: &Shop) -> Vec<Forged> {
    let ours = shop.signer();
    let (header, claims) = (good(shop).header.to_string(), good(shop).claims.to_string());
    let mut forged = Vec::new();
    // Twice the same, or first another one, or another one later: whoever reads it, the two never agree.
    let admin = json!({
        "iss": "http://other.test/v1", "aud": "http://other.test/v1", "sub": unique_user(), "client_id": "other",
        "iat": 0, "exp": 9_999_999_999_i64, "jti": "other", "scope": ADMIN,
    });
    let none = json!({"alg": "none", "typ": "JWT", "kid": "key-2"});
    for (what, text, others) in [("claim", &claims, &admin), ("member of the header", &header, &none)] {
        let inner = text.trim_start_matches('{').trim_end_matches('}');
        let known: Value = serde_json::from_str(text).unwrap();
        for (name, other) in others.as_object().unwrap() {
            let [same, other] = [&known[name], other].map(|value| format!("{}:{value}", json!(name)));
            let escaped = format!("\"\\u{:04x}{}\":{}", name.as_bytes()[0], &name[1..], others[name]);
            let texts = [
                ("the same twice", format!("{{{inner},{same}}}")),
                ("another first", format!("{{{other},{inner}}}")),
                ("another last", format!("{{{inner},{other}}}")),
                ("another last, escaped", format!("{{{inner},{escaped}}}")),
            ];
            for (how, text) in texts {
                let token = match what {
                    "claim" => ours.seal(&header, &text),
                    _ => ours.seal(&text, &claims),
                };
                forged.push((format!("{what} {name}: {how}"), token));
            }
        }
    }

    let value: Value = serde_json::from_str(&claims).unwrap();
    let fields =
        ["iss", "aud", "sub", "client_id", "iat", "exp", "jti", "scope"].map(|name| value[name].clone());
    let fields_as_read = ["exp", "nbf", "sub", "iss", "aud"].map(|name| value[name].clone());
    let (before, after) = claims.split_once("tests").unwrap();
    let utf_16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let shapes: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        ("a space", b" ".to_vec()),
        ("null", b"null".to_vec()),
        ("true", b"true".to_vec()),
        ("a number", b"5".to_vec()),
        ("a string", b"\"claims\"".to_vec()),
        ("an empty object", b"{}".to_vec()),
        ("an empty array", b"[]".to_vec()),
        ("an array of itself", format!("[{claims}]").into_bytes()),
        ("an array of its values", json!(fields).to_string().into_bytes()),
        ("an array of its values as they are checked", json!(fields_as_read).to_string().into_bytes()),
        ("an object of itself", format!("{{\"claims\":{claims}}}").into_bytes()),
        ("a string of itself", json!(claims).to_string().into_bytes()),
        ("itself twice", format!("{claims}{claims}").into_bytes()),
        ("more after its end", format!("{claims}x").into_bytes()),
        ("a NUL after its end", format!("{claims}\0").into_bytes()),
        ("a byte order mark", format!("\u{feff}{claims}").into_bytes()),
        ("UTF-16", utf_16(&claims)),
        ("no end", claims.as_bytes()[..claims.len() - 1].to_vec()),
        ("a comma too many", claims.replace('}', ",}").into_bytes()),
        ("a comment", claims.replace('{', "{/**/").into_bytes()),
        ("single quotes", claims.replace('"', "'").into_bytes()),
        ("no quotes", claims.replace('"', "").into_bytes()),
        ("half a character", claims.replace("tests", "tests\\ud800").into_bytes()),
        ("bytes that are no text", [before.as_bytes(), b"\xff\xfe", after.as_bytes()].concat()),
        ("a number too large for anything", claims.replace("\"exp\":", "\"exp\":1e999,\"e\":").into_bytes()),
        ("a number with a leading zero", claims.replace("\"exp\":", "\"exp\":0").into_bytes()),
        ("not a number", claims.replace("\"exp\":", "\"exp\":NaN,\"e\":").into_bytes()),
        ("infinity", claims.replace("\"exp\":", "\"exp\":Infinity,\"e\":").into_bytes()),
        ("names in capitals", claims.to_uppercase().into_bytes()),
        ("expiry in capitals", claims.replace("exp", "EXP").into_bytes()),
        ("another token", good(shop).sign(ours).into_bytes()),
        ("another token in a string", json!(good(shop).sign(ours)).to_string().into_bytes()),
        ("compressed", b"\x78\x9c\xab\x56\x4a\xad\x28\x50\xb2\x52\x00\x00".to_vec()),
        ("a form", b"sub=usr_01jd8x2m9q5w3r7t1v6y4z0abc&scope=account".to_vec()),
        ("arrays within arrays", "[".repeat(2_000).into_bytes()),
        ("objects within objects", "{\"a\":".repeat(500).into_bytes()),
    ];
    for (shape, text) in &shapes {
        forged.push((format!("claims: {shape}"), ours.seal(&header, text)));
    }
    let nested = good(shop).header("cty", "JWT");
    forged
        .push(("a token in a token".to_owned(), ours.seal(nested.header.to_string(), good(shop).sign(ours))));
    for (shape, text) in shapes {
        let text = String::from_utf8_lossy(&text).replace(&claims, &header).into_bytes();
        forged.push((format!("header: {shape}"), ours.seal(&text, &claims)));
    }
    let deep = header.replace("\"key-1\"", &format!("{}{}", "[".repeat(400), "]".repeat(400)));
    forged.push(("header: a deep kid".to_owned(), ours.seal(deep, &claims)));
    forged.push(("two headers".to_owned(), ours.seal(&header, &header)));
    forged.push(("two bodies".to_owned(), ours.seal(&claims, &claims)));
    forged.push(("header and claims changed over".to_owned(), ours.seal(&claims, &header)));
    forged
}

/// Valid tokens in another spelling.
fn in_another_encoding(shop: &Shop) -> Vec<Forged> {
    let token = good(shop).sign(shop.signer());
    let [header, claims, signature] = parts(&token);
    let decoded = |part: &str| BASE64.decode(part).unwrap();
    let joined = |parts: [&str; 3]| parts.join(".");
    let mut forged: Vec<Forged> = vec![
        ("in capitals", token.to_uppercase()),
        ("in small letters", token.to_lowercase()),
        ("backwards", token.chars().rev().collect()),
        ("in quotes", format!("\"{token}\"")),
        ("in brackets", format!("<{token}>")),
        ("as a parameter", format!("token={token}")),
        ("after another scheme", format!("Bearer {token}")),
        ("two of them", format!("{token},{token}")),
        ("two of them with a space", format!("{token} {token}")),
        ("encoded once more", BASE64.encode(&token)),
        ("its points encoded", token.replace('.', "%2E")),
        ("its points as commas", token.replace('.', ",")),
        ("a full stop of another script", token.replace('.', "\\u3002")),
        ("a tab within", token.replacen('.', "\t.", 1)),
        ("a space within", token.replacen('.', ". ", 1)),
        ("a backslash", token.replacen('.', "\\.", 1)),
        ("as JSON", json!([header, claims, signature]).to_string()),
        (
            "as a JWS in JSON",
            json!({"protected": header, "payload": claims, "signature": signature}).to_string(),
        ),
        ("a comment at its end", format!("{token}#")),
        ("a semicolon at its end", format!("{token};")),
        ("a slash at its end", format!("{token}/")),
        ("in hexadecimal", [header, claims, signature].map(|part| hex(&decoded(part))).join(".")),
        ("unencoded", format!("{}.{signature}", String::from_utf8(decoded(header)).unwrap())),
    ]
    .into_iter()
    .map(|(how, token)| (how.to_owned(), token))
    .collect();
    for (index, part) in ["header", "claims", "signature"].into_iter().enumerate() {
        let text = [header, claims, signature][index];
        let spelled = [
            ("padded", format!("{text}=")),
            ("padded twice", format!("{text}==")),
            (
                "padded by the standard",
                BASE64_URL_SAFE.encode(decoded(text)) + if text.len().is_multiple_of(4) { "=" } else { "" },
            ),
            ("in the standard alphabet", BASE64_STANDARD.encode([&decoded(text)[..], b"\xfb\xff"].concat())),
            ("a character too many", format!("{text}A")),
            ("four characters too many", format!("{text}AAAA")),
            ("a character less", text[1..].to_owned()),
            ("a space in front", format!("%20{text}")),
            ("a bang within", format!("{}!{}", &text[..4], &text[4..])),
            ("a line break, encoded", format!("{}%0A{}", &text[..4], &text[4..])),
            ("empty", String::new()),
            ("encoded twice", BASE64.encode(text)),
        ];
        for (how, spelled) in spelled {
            let mut parts = [header, claims, signature];
            parts[index] = &spelled;
            forged.push((format!("{part} {how}"), joined(parts)));
        }
        // The bits that no byte needs must be zero, or one token would have several spellings.
        if let Some(other) = with_spare_bits(text) {
            let mut parts = [header, claims, signature];
            parts[index] = &other;
            forged.push((format!("{part} with spare bits"), joined(parts)));
        }
    }
    forged
}

/// Returns another spelling of the same bytes, which a careless decoder accepts.
fn with_spare_bits(text: &str) -> Option<String> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = text.bytes().last()?;
    let value = ALPHABET.iter().position(|known| *known == last)?;
    let other = char::from(ALPHABET[value | 1]);
    (!text.len().is_multiple_of(4) && value & 1 == 0).then(|| format!("{}{other}", &text[..text.len() - 1]))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn parts(token: &str) -> [&str; 3] {
    token.split('.').collect::<Vec<_>>().try_into().unwrap()
}

/// Tokens with missing, truncated, swapped or foreign parts.
fn in_other_parts(shop: &Shop) -> Vec<Forged> {
    let ours = shop.signer();
    let (token, other) = (good(shop).sign(ours), good(shop).claim("scope", ADMIN).sign(ours));
    let ([header, claims, signature], [_, more, others]) = (parts(&token), parts(&other));
    let mut forged: Vec<Forged> = [
        ("a word", "token".to_owned()),
        ("a point", ".".to_owned()),
        ("two points", "..".to_owned()),
        ("ten points", ".".repeat(10)),
        ("an identity", unique_user()),
        ("a key", BASE64.encode(ours.public())),
        ("undefined", "undefined".to_owned()),
        ("null", "null".to_owned()),
        ("an object", "[object".to_owned()),
        ("a template", "{{access_token}}".to_owned()),
        ("SQL", "'OR'1'='1".to_owned()),
        ("a refresh token", BASE64.encode([7; 32])),
        ("no signature", format!("{header}.{claims}.")),
        ("no third part", format!("{header}.{claims}")),
        ("the header alone", header.to_owned()),
        ("the claims alone", claims.to_owned()),
        ("a fourth part", format!("{token}.{signature}")),
        ("an empty fourth part", format!("{token}.")),
        ("an empty part in front", format!(".{token}")),
        ("an empty part within", format!("{header}..{claims}.{signature}")),
        ("five parts, as encrypted ones have", format!("{header}.{claims}.{claims}.{claims}.{signature}")),
        ("changed over", format!("{claims}.{header}.{signature}")),
        ("the signature in front", format!("{signature}.{header}.{claims}")),
        ("the claims of another", format!("{header}.{more}.{signature}")),
        ("the signature of another", format!("{header}.{claims}.{others}")),
        ("both signatures", format!("{token}.{others}")),
        ("1 KB", "e".repeat(1_000)),
        ("10 KB", "e".repeat(10_000)),
        ("30 KB", "e".repeat(30_000)),
        ("10 KB of points", ".".repeat(10_000)),
        ("5 KB of claims", good(shop).claim("more", "e".repeat(3_300)).sign(ours)),
        ("10 KB of claims", good(shop).claim("more", "e".repeat(6_000)).sign(ours)),
        ("10 KB of header", good(shop).header("more", "e".repeat(6_000)).sign(ours)),
        ("10 KB of signature", format!("{token}{}", "A".repeat(10_000))),
    ]
    .map(|(what, token)| (what.to_owned(), token))
    .to_vec();
    forged.extend((1..20).map(|part| {
        let end = token.len() * part / 20;
        (format!("cut off after {end} characters"), token[..end].to_owned())
    }));
    forged.extend((1..20).map(|cut| {
        let end = token.len() - cut;
        (format!("the last {cut} characters cut off"), token[..end].to_owned())
    }));
    // One character changed, all along.
    forged.extend((0..20).map(|part| {
        let at = token.len() * part / 20;
        let at = if token.as_bytes()[at] == b'.' { at + 1 } else { at };
        let other = if token.as_bytes()[at] == b'x' { "y" } else { "x" };
        (format!("character {at} changed"), format!("{}{other}{}", &token[..at], &token[at + 1..]))
    }));
    forged
}

/// Tokens signed with another key that they try to introduce.
fn with_a_key_of_their_own(shop: &Shop) -> Vec<Forged> {
    let theirs = Signer::new("key-1");
    let x = BASE64.encode(theirs.public());
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "key-1", "alg": "EdDSA", "use": "sig"});
    let ways = [
        ("nothing", "cty", json!("JWT")),
        ("their key", "jwk", jwk.clone()),
        ("a secret", "jwk", json!({"kty": "oct", "k": BASE64.encode(b"secret"), "kid": "key-1"})),
        ("no key", "jwk", json!({})),
        ("a key that is text", "jwk", json!(jwk.to_string())),
        ("where their keys are", "jku", json!("http://other.test/.well-known/jwks.json")),
        ("where their keys are, below ours", "jku", json!("http://shop.test/v1/../other/jwks.json")),
        ("a file of keys", "jku", json!("file:///etc/passwd")),
        ("where their certificate is", "x5u", json!("http://other.test/certificate.pem")),
        ("their certificate", "x5c", json!([BASE64_STANDARD.encode(theirs.public())])),
        ("their certificate's hash", "x5t", json!(BASE64.encode([1; 20]))),
        ("their certificate's other hash", "x5t#S256", json!(BASE64.encode([1; 32]))),
        ("their set of keys", "keys", json!([jwk])),
    ];
    let mut forged = Vec::new();
    for (what, name, value) in ways {
        for kid in [json!("key-1"), json!("theirs"), json!(null), json!("http://other.test/key")] {
            let token = good(shop).header("kid", kid.clone()).header(name, value.clone()).sign(&theirs);
            forged.push((format!("their signature with {what}, kid {kid}"), token));
        }
    }
    // Another curve, which this shop has no keys of.
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let pair =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
    let point = pair.public_key().as_ref();
    let jwk = json!({
        "kty": "EC", "crv": "P-256", "x": BASE64.encode(&point[1..33]), "y": BASE64.encode(&point[33..]),
    });
    let signed =
        |token: Token| token.with_signature(|message| pair.sign(&random, message).unwrap().as_ref().to_vec());
    for algorithm in ["ES256", "EdDSA"] {
        let token = good(shop).header("alg", algorithm);
        forged.push((format!("{algorithm} of another curve"), signed(token.clone())));
        forged.push((
            format!("{algorithm} of another curve, embedded"),
            signed(token.header("jwk", jwk.clone())),
        ));
    }
    forged
}

/// Tokens signed by HMAC with the public key as secret.
fn with_the_public_key_as_secret(shop: &Shop) -> Vec<Forged> {
    let public = shop.signer().public();
    let x = BASE64.encode(public);
    // RFC 8410: the public key as certificates hold it.
    let der = [&b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00"[..], public].concat();
    let pem =
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64_STANDARD.encode(&der));
    let secrets: [(&str, Vec<u8>); 10] = [
        ("the key's bytes", public.to_vec()),
        ("the key as text", x.clone().into_bytes()),
        ("the key as other text", BASE64_STANDARD.encode(public).into_bytes()),
        ("the key in hexadecimal", hex(public).into_bytes()),
        ("the key as DER", der),
        ("the key as PEM", pem.into_bytes()),
        ("the key as JWK", json!({"crv": "Ed25519", "kty": "OKP", "x": x}).to_string().into_bytes()),
        ("the key's name", b"key-1".to_vec()),
        ("nothing", Vec::new()),
        ("a bad secret", b"secret".to_vec()),
    ];
    let mut forged = Vec::new();
    for (what, secret) in &secrets {
        for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512] {
            let name = hash.algorithm();
            forged.push((
                format!("{name} with {what}"),
                good(shop).header("alg", name).sign_with_hmac(hash, secret),
            ));
        }
        let token = good(shop).sign_with_hmac(Hash::Sha512, secret);
        forged.push((format!("HMAC with {what} that calls itself EdDSA"), token));
    }
    forged
}

/// The order of the group of Ed25519, in little-endian bytes (RFC 8032, section 5.1).
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// Encodings of points of small order, canonical or not (<https://eprint.iacr.org/2020/1244>, table 6c).
const SMALL_ORDER: [&str; 12] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

/// Adds two numbers in little-endian bytes, without the carry.
fn sum(one: &[u8], other: &[u8]) -> Vec<u8> {
    let mut carried = 0;
    let digit = |(one, other): (&u8, &u8)| {
        carried = u16::from(*one) + u16::from(*other) + (carried >> 8);
        carried.to_le_bytes()[0]
    };
    one.iter().zip(other).map(digit).collect()
}

/// Tokens with valid claims and an invalid signature.
fn with_another_signature(shop: &Shop) -> Vec<Forged> {
    let ours = shop.signer();
    let token = good(shop).header("alg", "EdDSA");
    let mut forged: Vec<Forged> = Vec::new();
    let mut add = |what: &str, change: &dyn Fn(&[u8]) -> Vec<u8>| {
        forged.push((format!("signature: {what}"), token.with_signature(change)));
    };
    let halves = |message: &[u8]| {
        let signature = ours.signature(message);
        (signature[..32].to_vec(), signature[32..].to_vec())
    };
    // s and s + L sign the same; only the smaller is a signature (RFC 8032, section 5.1.7).
    for times in 1..=15 {
        add(&format!("s + {times} L"), &|message| {
            let (r, mut s) = halves(message);
            (0..times).for_each(|_| s = sum(&s, &ORDER));
            [r, s].concat()
        });
    }
    add("-s", &|message| {
        let (r, s) = halves(message);
        let complement: Vec<u8> = s.iter().map(|byte| !byte).collect();
        let one: Vec<u8> = (0..32).map(|at| u8::from(at == 0)).collect();
        [r, sum(&sum(&ORDER, &complement), &one)].concat()
    });
    add("-R", &|message| {
        let (mut r, s) = halves(message);
        r[31] ^= 0x80;
        [r, s].concat()
    });
    add("s and R", &|message| {
        let (r, s) = halves(message);
        [s, r].concat()
    });
    for bits in [0x20, 0x40, 0x80, 0xe0] {
        add(&format!("s with the bits {bits:x}"), &|message| {
            let (r, mut s) = halves(message);
            s[31] |= bits;
            [r, s].concat()
        });
    }
    for point in SMALL_ORDER {
        let point: Vec<u8> =
            (0..32).map(|at| u8::from_str_radix(&point[2 * at..2 * at + 2], 16).unwrap()).collect();
        add(&format!("a point of small order {:02x}{:02x}, and 0", point[0], point[31]), &|_| {
            [point.clone(), vec![0; 32]].concat()
        });
        add(&format!("a point of small order {:02x}{:02x}, and s", point[0], point[31]), &|message| {
            [point.clone(), halves(message).1].concat()
        });
        add(&format!("a point of small order {:02x}{:02x}, and L", point[0], point[31]), &|_| {
            [point.clone(), ORDER.to_vec()].concat()
        });
    }
    for (what, byte) in [("zeros", 0), ("ones", 0xff)] {
        for length in [0, 1, 32, 63, 64, 65, 96, 128] {
            add(&format!("{length} {what}"), &|_| vec![byte; length]);
        }
    }
    add("the public key", &|_| ours.public().to_vec());
    add("the public key twice", &|_| [ours.public(), ours.public()].concat());
    add("R and the public key", &|message| [&halves(message).0, ours.public()].concat());
    add("twice", &|message| [ours.signature(message), ours.signature(message)].concat());
    add("of the signature", &|message| ours.signature(&ours.signature(message)));
    add("of nothing", &|_| ours.signature(b""));
    add("of the header", &|message| ours.signature(message.split(|byte| *byte == b'.').next().unwrap()));
    add("of the claims", &|message| ours.signature(message.split(|byte| *byte == b'.').next_back().unwrap()));
    add("of the decoded claims", &|_| ours.signature(token.claims.to_string().as_bytes()));
    add("of a point more", &|message| ours.signature(&[message, b"."].concat()));
    add("of a space more", &|message| ours.signature(&[message, b" "].concat()));
    add("of all but a point", &|message| {
        ours.signature(&message.iter().copied().filter(|byte| *byte != b'.').collect::<Vec<_>>())
    });
    add("backwards", &|message| ours.signature(message).into_iter().rev().collect());
    add("as DER", &|message| [&b"\x30\x44\x02\x20"[..], &ours.signature(message)].concat());
    add("in hexadecimal", &|message| hex(&ours.signature(message)).into_bytes());
    add("encoded twice", &|message| BASE64.encode(ours.signature(message)).into_bytes());
    add("a hash", &|message| ring::digest::digest(&ring::digest::SHA512, message).as_ref().to_vec());
    for bit in [0, 7, 100, 255, 256, 300, 400, 500, 511] {
        add(&format!("bit {bit} turned"), &|message| {
            let mut signature = ours.signature(message);
            signature[bit / 8] ^= 1 << (bit % 8);
            signature
        });
    }
    // Not encoded, as RFC 7797 allows where a verifier says that it understands.
    let header = good(shop).header("b64", false).header("crit", json!(["b64"])).header;
    let encoded = BASE64.encode(header.to_string());
    let claims = token.claims.to_string();
    let raw = BASE64.encode(ours.signature(format!("{encoded}.{claims}").as_bytes()));
    forged.push((
        "signature: of claims that are not encoded".to_owned(),
        format!("{encoded}.{}.{raw}", BASE64.encode(&claims)),
    ));
    // No algorithm, and whatever may follow.
    for none in ["none", "None", "NONE", "nOnE", ""] {
        for kid in [json!("key-1"), json!(null)] {
            let unsigned = good(shop).header("alg", none).header("kid", kid);
            forged.push((format!("alg {none:?}, no signature"), unsigned.with_signature(|_| Vec::new())));
        }
    }
    forged
}

#[tokio::test]
async fn a_token_of_other_characters_is_refused() {
    let shop = Shop::shared().await;
    let token = good(&shop).sign(shop.signer());
    for token in
        ["🏺".to_owned(), token.replacen('.', "。", 1), format!("{token}é"), format!("\u{feff}{token}")]
    {
        // A header that is no ASCII may be taken for none.
        get_inventory(&shop, "prod_01jd8x2m9q5w3r7t1v6y4z0abc", &token).await.expect(401);
    }
}

#[tokio::test]
async fn a_token_elsewhere_than_in_its_header_is_none() {
    let shop = Shop::shared().await;
    let token = good(&shop).sign(shop.signer());
    let path = "/products/prod_01jd8x2m9q5w3r7t1v6y4z0abc/inventory";
    let requests = [
        shop.get(path).query("access_token", &token),
        shop.get(path).query("authorization", format!("Bearer {token}")),
        shop.get(path).header("x-access-token", &token),
        shop.get(path).header("x-authorization", &format!("Bearer {token}")),
        shop.get(path).header("proxy-authorization", &format!("Bearer {token}")),
        shop.get(path).header("cookie", &format!("access_token={token}")),
        shop.get(path).header("authorization", &token),
        shop.get(path).header("authorization", &format!("Token {token}")),
        shop.get(path).header("authorization", &format!("JWT {token}")),
        shop.get(path)
            .header("authorization", &format!("Basic {}", BASE64_STANDARD.encode(format!(":{token}")))),
    ];
    for request in requests {
        request.clone().send().await.expect_problem(401, "token_required");
        request.through_watch().send().await.expect_problem(401, "token_required");
    }
}

#[tokio::test]
async fn what_the_standard_allows_of_a_token_is_accepted() {
    let shop = Shop::shared().await;
    let product = shop.create(&new_product("standard")).await;
    let good = || shop.token(&unique_user(), "inventory:read");
    let now = good().claims["iat"].as_i64().unwrap();
    let tokens: [(&str, Token); 7] = [
        ("a clock a second behind", good().claim("exp", now - 1)),
        ("a clock a second ahead", good().claim("iat", now + 1)),
        ("not before now", good().claim("nbf", now)),
        ("the type in full", good().header("typ", "application/at+jwt")),
        ("the type in capitals", good().header("typ", "AT+JWT")),
        ("more claims", good().claim("auth_time", now).claim("acr", "0")),
        ("many scopes", good().claim("scope", "a b inventory:read c")),
    ];
    for (what, token) in tokens {
        let answer = get_inventory(&shop, product.id(), &token.sign(shop.signer())).await;
        assert_eq!(answer.status, 200, "{what}: {answer:?}");
    }
    let token = good().sign(shop.signer());
    for scheme in ["bearer", "BEARER"] {
        let request = shop.get(&format!("/products/{}/inventory", product.id()));
        request.header("authorization", &format!("{scheme} {token}")).send().await.expect(200);
    }
}
