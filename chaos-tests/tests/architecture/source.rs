//! Which paths a source file uses: its `use` trees unfolded, and paths written out in code.
//!
//! Comments, strings and `#[cfg(test)]` modules are left out: tests may use what they like.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const CRATES: [&str; 7] =
    ["proto", "raft-store", "node", "gateway", "cli", "chaos-tests", "chaos-tests/sim"];

/// A source file as far as the walls are concerned.
#[derive(Debug)]
pub(crate) struct SourceFile {
    /// From the root of the workspace, with `/`.
    pub(crate) path: String,
    /// Paths such as `std::fmt` or `crate::shard::Handle`.
    pub(crate) paths: BTreeSet<String>,
}

impl SourceFile {
    pub(crate) fn parse(path: &str, text: &str) -> Self {
        let code = without_test_modules(&without_comments_and_strings(text));
        let mut paths = BTreeSet::new();
        let mut rest = code.as_str();
        let mut outside = String::new();
        while let Some((before, start)) = next_use(rest) {
            outside.push_str(before);
            let Some(end) = start.find(';') else { break };
            unfold("", &start[..end], &mut paths);
            rest = &start[end + 1..];
        }
        outside.push_str(rest);
        collect_inline(&outside, &mut paths);
        Self { path: path.to_owned(), paths }
    }
}

/// Every `.rs` file below `src/`, `examples/`, `benches/` and the like of our crates, except tests.
pub(crate) fn read_all(workspace: &Path) -> Vec<SourceFile> {
    let mut files = Vec::new();
    for name in CRATES {
        read_dir(workspace, &workspace.join(name).join("src"), &mut files);
    }
    files
}

fn read_dir(workspace: &Path, dir: &Path, files: &mut Vec<SourceFile>) {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_dir(workspace, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let relative = path.strip_prefix(workspace).unwrap().to_str().unwrap().to_owned();
            let is_test = relative.ends_with("/tests.rs") || relative.contains("/tests/");
            if !is_test {
                files.push(SourceFile::parse(&relative, &fs::read_to_string(&path).unwrap()));
            }
        }
    }
}

/// Splits at the next `use` statement: what is before it, and what follows the word.
fn next_use(code: &str) -> Option<(&str, &str)> {
    let mut from = 0;
    while let Some(found) = code[from..].find("use ") {
        let at = from + found;
        let before = code[..at].chars().next_back();
        if before.is_none_or(|c| c.is_whitespace() || c == ';' || c == '}' || c == '{') {
            return Some((&code[..at], &code[at + 4..]));
        }
        from = at + 4;
    }
    None
}

/// Unfolds `a::{b, c::{d, e}}` below `prefix`.
fn unfold(prefix: &str, tree: &str, paths: &mut BTreeSet<String>) {
    let tree: String = tree.split_whitespace().collect::<Vec<_>>().join(" ");
    let tree = tree.trim().trim_start_matches("::");
    if let Some(open) = tree.find('{') {
        let head = format!("{prefix}{}", tree[..open].trim());
        let inner = &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())];
        for part in split_at_commas(inner) {
            unfold(&head, part, paths);
        }
    } else if !tree.is_empty() {
        let path = tree.split(" as ").next().unwrap_or(tree).trim();
        paths.insert(format!("{prefix}{path}").trim_end_matches("::self").to_owned());
    }
}

fn split_at_commas(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_i32, 0);
    for (index, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// Paths of two segments and more that are written out in code, such as `openraft::Raft::new`.
fn collect_inline(code: &str, paths: &mut BTreeSet<String>) {
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    for word in code.split(|c| !is_path(c)) {
        let word = word.trim_matches(':');
        if word.contains("::") && word.starts_with(|c: char| c.is_lowercase() || c == '_') {
            paths.insert(word.to_owned());
        }
    }
}

fn without_comments_and_strings(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('/', Some('/')) => {
                for c in chars.by_ref() {
                    if c == '\n' {
                        out.push('\n');
                        break;
                    }
                }
            }
            ('/', Some('*')) => {
                let mut last = ' ';
                for c in chars.by_ref() {
                    if last == '*' && c == '/' {
                        break;
                    }
                    last = c;
                }
            }
            ('"', _) => {
                let mut escaped = false;
                for c in chars.by_ref() {
                    match c {
                        _ if escaped => escaped = false,
                        '\\' => escaped = true,
                        '"' => break,
                        _ => {}
                    }
                }
                out.push_str("\"\"");
            }
            // A quote or a backslash as a character, which must not open a string.
            ('\'', Some('"' | '\\')) => {
                let first = chars.next();
                if first == Some('\\') {
                    chars.next();
                }
                chars.next();
            }
            _ => out.push(c),
        }
    }
    out
}

fn without_test_modules(code: &str) -> String {
    let mut out = String::new();
    let mut rest = code;
    while let Some(at) = rest.find("#[cfg(test)]") {
        let after = &rest[at..];
        let (open, end) = (after.find('{'), after.find(';'));
        out.push_str(&rest[..at]);
        rest = match (open, end) {
            (Some(open), end) if end.is_none_or(|end| open < end) => {
                &after[open + matching_brace(&after[open..])..]
            }
            (_, Some(end)) => &after[end + 1..],
            (_, None) => "",
        };
    }
    out.push_str(rest);
    out
}

/// The length of a block that begins with `{`.
fn matching_brace(block: &str) -> usize {
    let mut depth = 0_i32;
    for (index, c) in block.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return index + 1;
        }
    }
    block.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        SourceFile::parse("x.rs", text).paths.into_iter().collect()
    }

    #[test]
    fn use_trees_are_unfolded() {
        let text =
            "pub use crate::{shard::{Handle, read::{self, Barrier}},\n clock};\nuse a::b as c;";
        let want = ["a::b", "crate::clock", "crate::shard::Handle", "crate::shard::read"];
        let mut found = paths(text);
        assert!(found.contains(&"crate::shard::read::Barrier".to_owned()));
        found.retain(|path| !path.ends_with("Barrier"));
        assert_eq!(found, want);
    }

    #[test]
    fn inline_paths_are_seen_and_other_text_is_not() {
        let text = r#"
            // openraft::Comment
            /* sled::Comment */
            fn f() -> openraft::Raft { let s = "fjall::InString \" sled::Too"; g('"'); h::<a::B>() }
            #[cfg(test)]
            mod tests { use sled::Db; fn g() { fjall::x() } }
            #[cfg(test)] mod more;
            use kept::path;
        "#;
        assert_eq!(paths(text), ["a::B", "kept::path", "openraft::Raft"]);
    }
}
