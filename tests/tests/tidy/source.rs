//! Rust source as the rules see it: code without comments and literals, line by line.

/// `text` with every comment, string and character literal blanked out; lines stay where they are.
pub(crate) fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = literal_length(rest, &code);
        if length == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.extend(rest[..length].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = &rest[length..];
        }
    }
    code
}

/// Octets of the comment or literal that `rest` begins with; 0 if it begins with code. `before` is the code so far.
fn literal_length(rest: &str, before: &str) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment_length(rest);
    }
    let continues_name = before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
    if let Some(opening) = raw_opening(rest).filter(|_| !continues_name) {
        let hashes = opening.matches('#').count();
        let closing = format!("\"{}", "#".repeat(hashes));
        let inside = &rest[opening.len()..];
        return opening.len() + inside.find(&closing).map_or(inside.len(), |at| at + closing.len());
    }
    match rest.as_bytes() {
        [b'"', ..] => 1 + quoted_length(&rest[1..], '"'),
        [b'\'', ..] if is_character(rest) => 1 + quoted_length(&rest[1..], '\''),
        _ => 0,
    }
}

/// The opening of a raw string: `r"`, `br##"` and so on.
fn raw_opening(rest: &str) -> Option<&str> {
    let after_prefix = ["br", "cr", "r"].iter().find_map(|prefix| rest.strip_prefix(prefix))?;
    let after_hashes = after_prefix.trim_start_matches('#');
    after_hashes.starts_with('"').then(|| &rest[..=rest.len() - after_hashes.len()])
}

/// Octets up to and with the closing quote.
fn quoted_length(inside: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in inside.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    inside.len()
}

/// Whether an apostrophe begins a character and not a lifetime.
fn is_character(rest: &str) -> bool {
    let mut characters = rest.chars().skip(1);
    matches!((characters.next(), characters.next()), (Some('\\'), _) | (Some(_), Some('\'')))
}

fn block_comment_length(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// `code` without what only tests are built from: everything from a line `#[cfg(test)]` that is followed by the opening of
/// a module, to the end. Test modules stand last in a file.
pub(crate) fn without_tests(code: &str) -> &str {
    let mut at = 0;
    while let Some(found) = code[at..].find("#[cfg(test)]") {
        let attribute = at + found;
        let after = code[attribute..].trim_start_matches("#[cfg(test)]").trim_start();
        if after.starts_with("mod ")
            && after.lines().next().is_some_and(|line| line.trim_end().ends_with('{'))
        {
            return &code[..attribute];
        }
        at = attribute + 1;
    }
    code
}

/// Whether `line` holds `word` as a word of its own.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(is_part) && !line[at + word.len()..].starts_with(is_part))
}

#[test]
fn comments_and_literals_are_no_code() {
    let text = "let a = \"unsafe\\\" x\"; // unsafe\nlet b = 'u'; /* unsafe /* x */ y */ let c: &'static str = r#\"un\"safe\"#;";
    let code = code_of(text);
    assert!(!code.contains("unsafe") && !code.contains("un\"safe"));
    assert!(code.contains("let a =") && code.contains("let b =") && code.contains("&'static str"));
    assert_eq!(code.lines().count(), text.lines().count());
}

#[test]
fn test_modules_are_left_out() {
    let code = "fn a() {}\n#[cfg(test)]\nuse x;\nfn b() {}\n#[cfg(test)]\nmod tests {\n fn c() {}\n}\n";
    assert_eq!(without_tests(code), "fn a() {}\n#[cfg(test)]\nuse x;\nfn b() {}\n");
    assert!(has_word("an unsafe block", "unsafe") && !has_word("unsafe_code", "unsafe"));
}
