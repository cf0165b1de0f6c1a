//! Simple parsing of sources and documents.

use std::collections::BTreeSet;

/// Returns the code of a source without comments and the tests at its end.
pub fn code(source: &str) -> String {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Returns every text between `before` and the next `after`.
pub fn between<'t>(text: &'t str, before: &str, after: &str) -> Vec<&'t str> {
    text.split(before).skip(1).filter_map(|rest| rest.split_once(after)).map(|(inner, _)| inner).collect()
}

/// Returns the name at the start of a text: letters, digits, underscores.
pub fn name(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// Returns the names that follow `prefix`, where it starts a word.
pub fn names_after<'t>(text: &'t str, prefix: &str) -> BTreeSet<&'t str> {
    text.split(prefix).skip(1).map(name).filter(|name| !name.is_empty()).collect()
}

/// Converts `products-get` to `ProductsGet`, `products:write` to `ProductsWrite`.
pub fn pascal(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric());
    words
        .flat_map(|word| {
            word.chars().enumerate().map(|(at, c)| if at == 0 { c.to_ascii_uppercase() } else { c })
        })
        .collect()
}

/// Returns the headings of a Markdown document that begin with a text.
pub fn headings<'t>(document: &'t str, prefix: &str) -> impl Iterator<Item = &'t str> {
    document.lines().filter_map(move |line| line.strip_prefix(prefix))
}

/// Returns the anchor of a heading.
pub fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Returns the first name in backticks of each table row, with the next cell.
pub fn table_rows(document: &str) -> Vec<(&str, &str)> {
    let rows = document.lines().filter_map(|line| line.trim().strip_prefix("| `")?.split_once("` |"));
    rows.map(|(name, rest)| (name, rest.split('|').next().unwrap_or_default().trim())).collect()
}
