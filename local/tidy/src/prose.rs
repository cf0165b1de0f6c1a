//! Words of comments, and links of documents.

use std::collections::BTreeSet;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::{
    repository::Repository,
    text::{anchor, between},
};

/// Forbidden first words of a doc comment.
const QUESTIONS: [&str; 6] = ["How", "What", "Where", "Whether", "Who", "Whoever"];

/// Doc comments begin with a verb or a noun.
pub(super) fn doc_comments(repository: &Repository) -> Vec<String> {
    let mut findings = Vec::new();
    for (path, source) in repository.below("", ".rs") {
        let mut before = None;
        for (number, line) in source.lines().enumerate() {
            let line = line.trim_start();
            let mark = ["///", "//!"].into_iter().find(|mark| line.starts_with(mark));
            let first = mark.and_then(|mark| line[mark.len()..].split_whitespace().next());
            if let Some(word) = first.filter(|word| before != mark && QUESTIONS.contains(word)) {
                let number = number + 1;
                findings.push(format!(
                    "{path}:{number}: begin the comment with a verb or a noun, not with {word}"
                ));
            }
            before = mark;
        }
    }
    findings
}

/// Extensions of files that documents name.
const EXTENSIONS: [&str; 6] = [".http", ".json", ".md", ".rs", ".toml", ".yaml"];

/// Files that documents mention before they exist: those of a second version of the API.
const LATER: [&str; 2] = ["docs/api/v2.json", "openapi-v2.json"];

/// Links and paths in documents lead to files, folders and headings of the repository.
pub(super) fn links(repository: &Repository) -> Vec<String> {
    let files = || repository.files.keys().map(String::as_str);
    let tops: BTreeSet<&str> = files().filter_map(|path| path.split_once('/')).map(|(top, _)| top).collect();
    let exists = |path: &str| {
        let path = path.trim_end_matches('/');
        let below = format!("{path}/");
        repository.files.contains_key(path) || files().any(|file| file.starts_with(&below))
    };
    let mut findings = Vec::new();
    for (path, text) in repository.below("", ".md") {
        let document = Document::read(text);
        for link in document.links.iter().filter(|link| !link.contains(':')) {
            let (target, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if target.is_empty() { path.to_owned() } else { resolved(path, target) };
            if !exists(&target) && !is_hidden(&target) {
                findings.push(format!("{path} links to {link}: there is no {target}"));
            }
            let headings = || Document::read(repository.text(&target)).anchors;
            if !heading.is_empty() && target.ends_with(".md") && !headings().contains(heading) {
                findings.push(format!("{path} links to {link}: there is no such heading"));
            }
        }
        for code in document.code {
            let is_path = !code.starts_with('/')
                && code.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
            if !is_path || code.contains("NAME") || is_hidden(&code) || LATER.contains(&&*code) {
                continue;
            }
            let top = code.split_once('/').map(|(top, _)| top);
            let is_end = || files().any(|file| file.strip_suffix(&*code).is_some_and(is_folder));
            let is_missing = match top {
                Some(top) if tops.contains(top) => !exists(&code),
                _ => EXTENSIONS.iter().any(|extension| code.ends_with(extension)) && !is_end(),
            };
            if is_missing {
                findings.push(format!("{path} names {code}, which is not in the repository"));
            }
        }
    }
    findings
}

/// Returns whether a path has a hidden part. Such files are not read.
fn is_hidden(path: &str) -> bool {
    path.split('/').any(|part| part.starts_with('.'))
}

fn is_folder(rest: &str) -> bool {
    rest.is_empty() || rest.ends_with('/')
}

/// Resolves a relative link in a document.
fn resolved(document: &str, link: &str) -> String {
    let mut parts: Vec<&str> = document.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Parts of a Markdown document that links lead from and to.
struct Document {
    /// Anchors of the headings.
    anchors: BTreeSet<String>,
    links: Vec<String>,
    /// Inline code.
    code: Vec<String>,
}

impl Document {
    fn read(text: &str) -> Self {
        let mut document = Self { anchors: BTreeSet::new(), links: Vec::new(), code: Vec::new() };
        let mut heading = String::new();
        for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Heading { .. }) => heading.clear(),
                Event::End(TagEnd::Heading(_)) => drop(document.anchors.insert(anchor(&heading))),
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    document.links.push(dest_url.to_string());
                }
                // `<a name="here"></a>`
                Event::InlineHtml(html) => {
                    document.anchors.extend(between(&html, "name=\"", "\"").into_iter().map(str::to_owned));
                }
                Event::Text(text) => heading.push_str(&text),
                Event::Code(code) => {
                    heading.push_str(&code);
                    document.code.push(code.to_string());
                }
                _ => {}
            }
        }
        document
    }
}
