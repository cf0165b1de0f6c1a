//! HTML pages: their forms, filled in and submitted like a browser does.

use super::{Answer, Request, STOREFRONT, Shop, client::percent_encoded};

/// A page with a form.
#[derive(Clone, Debug)]
pub struct Page {
    /// Path and query below the version.
    from: String,
    pub html: String,
}

/// A tag with its attributes.
type Tag = (String, Vec<(String, String)>);

impl Page {
    /// Reads the page in a response.
    #[track_caller]
    pub fn of(path: &str, answer: &Answer) -> Self {
        assert!(answer.header("content-type").starts_with("text/html"), "{answer:?}");
        Self { from: path.to_owned(), html: answer.text.clone() }
    }

    /// Returns all tags of a name.
    pub fn tags(&self, name: &str) -> Vec<Vec<(String, String)>> {
        tags(&self.html)
            .into_iter()
            .filter(|(tag, _)| tag == name)
            .map(|(_, attributes)| attributes)
            .collect()
    }

    /// Returns the fields of the only form, without buttons.
    pub fn fields(&self) -> Vec<(String, String)> {
        let named = |tag: Vec<(String, String)>| {
            let submits = ["submit", "image", "button", "reset"].map(|kind| Some(kind.to_owned()));
            let name = attribute(&tag, "name").filter(|_| !submits.contains(&attribute(&tag, "type")));
            name.map(|name| (name, attribute(&tag, "value").unwrap_or_default()))
        };
        self.tags("input").into_iter().filter_map(named).collect()
    }

    /// Makes the request that a browser sends when the user signs in and approves or denies.
    pub fn submit(&self, shop: &Shop, email: &str, password: &str, allow: bool) -> Request {
        let of_type = |kind: &str| {
            let input =
                self.tags("input").into_iter().find(|tag| attribute(tag, "type").as_deref() == Some(kind));
            input
                .and_then(|tag| attribute(&tag, "name"))
                .unwrap_or_else(|| panic!("no {kind} in {}", self.html))
        };
        let filled = [(of_type("email"), email), (of_type("password"), password)];
        let mut fields = self.fields();
        for (name, value) in &mut fields {
            if let Some((_, typed)) = filled.iter().find(|(field, _)| field == name) {
                *value = (*typed).to_owned();
            }
        }
        let buttons = self.tags("button");
        let pressed =
            buttons.iter().find(|tag| (attribute(tag, "value").as_deref() == Some("deny")) != allow);
        let pressed = pressed.unwrap_or_else(|| panic!("no button in {}", self.html));
        fields.extend(
            attribute(pressed, "name").map(|name| (name, attribute(pressed, "value").unwrap_or_default())),
        );

        let form = self.tags("form");
        assert_eq!(form.len(), 1, "{}", self.html);
        assert_eq!(attribute(&form[0], "method").unwrap_or_default().to_lowercase(), "post");
        let base = reqwest::Url::parse(&format!("{STOREFRONT}/v1{}", self.from)).unwrap();
        let target = base.join(&attribute(&form[0], "action").unwrap_or_default()).unwrap();
        assert_eq!(target.origin(), base.origin(), "the password leaves the shop");
        let path =
            target.path().strip_prefix("/v1").unwrap_or_else(|| panic!("{target} is of another version"));
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (&**name, &**value)).collect();
        let query = target.query().map(|query| format!("?{query}")).unwrap_or_default();
        shop.post(&format!("{path}{query}")).form(&fields)
    }
}

/// Returns the path of the page that an app links to.
pub fn path_of(parameters: &[(&str, &str)]) -> String {
    let pairs = parameters
        .iter()
        .map(|(name, value)| format!("{}={}", percent_encoded(name), percent_encoded(value)));
    format!("/oauth/authorize?{}", pairs.collect::<Vec<_>>().join("&"))
}

pub fn attribute(tag: &[(String, String)], name: &str) -> Option<String> {
    tag.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
}

/// Parses the tags of a well-formed page.
fn tags(html: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    for part in html.split('<').skip(1) {
        let (mut rest, _) = part.split_once('>').unwrap_or_else(|| panic!("a tag has no end: {part}"));
        let name: String = rest.chars().take_while(|c| !c.is_whitespace() && *c != '/').collect();
        rest = rest[name.len()..].trim();
        let mut attributes = Vec::new();
        while let Some(end) = rest.find(|c: char| c == '=' || c.is_whitespace()) {
            let (attribute, after) = rest.split_at(end);
            match after.strip_prefix("=\"").and_then(|value| value.split_once('"')) {
                Some((value, after)) => {
                    attributes.push((attribute.to_lowercase(), unescaped(value)));
                    rest = after.trim_start();
                }
                None => {
                    assert!(!after.starts_with('='), "an attribute is not quoted: {part}");
                    attributes.push((attribute.to_lowercase(), String::new()));
                    rest = after.trim_start();
                }
            }
        }
        if !rest.is_empty() && rest != "/" {
            attributes.push((rest.trim_end_matches('/').to_lowercase(), String::new()));
        }
        tags.push((name.to_lowercase(), attributes));
    }
    tags
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}
