//! Reading sources and documents as far as the rules need it.

use std::collections::BTreeSet;

/// The code in a source: without its comments, and without the tests at its end.
pub fn code(source: &str) -> String {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Every text between `before` and the next `after`.
pub fn between<'t>(text: &'t str, before: &str, after: &str) -> Vec<&'t str> {
    text.split(before).skip(1).filter_map(|rest| rest.split_once(after)).map(|(inner, _)| inner).collect()
}

/// The name that the text begins with: letters, digits, underscores.
pub fn name(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// The names that follow `prefix`, wherever that is, as a name of its own.
pub fn names_after<'t>(text: &'t str, prefix: &str) -> BTreeSet<&'t str> {
    text.split(prefix).skip(1).map(name).filter(|name| !name.is_empty()).collect()
}

/// `products-get` as `ProductsGet`, `products:write` as `ProductsWrite`.
pub fn pascal(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric());
    words
        .flat_map(|word| {
            word.chars().enumerate().map(|(at, c)| if at == 0 { c.to_ascii_uppercase() } else { c })
        })
        .collect()
}

/// The headings of a Markdown document that begin so.
pub fn headings<'t>(document: &'t str, prefix: &str) -> impl Iterator<Item = &'t str> {
    document.lines().filter_map(move |line| line.strip_prefix(prefix))
}

/// The anchor of a heading: the part of a link to it after the `#`.
pub fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The rows of a document's tables that begin with a name in backticks: that name, and the next cell.
pub fn table_rows(document: &str) -> Vec<(&str, &str)> {
    let rows = document.lines().filter_map(|line| line.trim().strip_prefix("| `")?.split_once("` |"));
    rows.map(|(name, rest)| (name, rest.split('|').next().unwrap_or_default().trim())).collect()
}
