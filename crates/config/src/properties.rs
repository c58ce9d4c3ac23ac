//! The syntax of `server.properties`: Java's `Properties`, read as UTF-8.
//!
//! A logical line may go on over several lines (an odd number of backslashes at the end); `#` and
//! `!` begin comments; a key ends at the first `=`, `:` or blank that no backslash precedes.

use std::{iter::Peekable, str::Chars};

/// One `key=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) value: String,
    /// The line on which it begins, counted from 1.
    pub(crate) line: usize,
}

/// A line that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) line: usize,
    pub(crate) reason: String,
}

/// Reads every entry, in order; a key may occur more than once.
pub(crate) fn parse(text: &str) -> Vec<Result<Entry, SyntaxError>> {
    logical_lines(text).into_iter().map(|(line, text)| entry(line, &text)).collect()
}

const BLANKS: [char; 3] = [' ', '\t', '\u{c}'];

/// The lines that hold entries, continuations joined, with the number of the first of each.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n");
    let mut lines = (1..).zip(text.split('\n'));
    let mut found = Vec::new();
    while let Some((number, line)) = lines.next() {
        let line = line.trim_start_matches(BLANKS);
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = line.to_owned();
        while ends_in_continuation(&logical) {
            logical.pop();
            match lines.next() {
                Some((_, more)) => logical.push_str(more.trim_start_matches(BLANKS)),
                None => break,
            }
        }
        found.push((number, logical));
    }
    found
}

fn ends_in_continuation(line: &str) -> bool {
    line.chars().rev().take_while(|c| *c == '\\').count() % 2 == 1
}

fn entry(line: usize, text: &str) -> Result<Entry, SyntaxError> {
    let mut chars = text.chars().peekable();
    let fault = |reason| SyntaxError { line, reason };
    let key =
        unescape(&mut chars, |c| c == '=' || c == ':' || BLANKS.contains(&c)).map_err(fault)?;
    skip_blanks(&mut chars);
    if chars.next_if(|c| *c == '=' || *c == ':').is_some() {
        skip_blanks(&mut chars);
    }
    let value = unescape(&mut chars, |_| false).map_err(fault)?;
    Ok(Entry { key, value, line })
}

fn skip_blanks(chars: &mut Peekable<Chars<'_>>) {
    while chars.next_if(|c| BLANKS.contains(c)).is_some() {}
}

/// Reads until `end` says so of a character that stands for itself, which is left.
fn unescape(chars: &mut Peekable<Chars<'_>>, end: impl Fn(char) -> bool) -> Result<String, String> {
    let mut text = String::new();
    while let Some(c) = chars.next_if(|c| !end(*c)) {
        if c != '\\' {
            text.push(c);
            continue;
        }
        match chars.next() {
            Some('t') => text.push('\t'),
            Some('n') => text.push('\n'),
            Some('r') => text.push('\r'),
            Some('f') => text.push('\u{c}'),
            Some('u') => text.push(unicode(chars)?),
            Some(other) => text.push(other),
            None => {}
        }
    }
    Ok(text)
}

/// The character of `\uXXXX`; of two of them where UTF-16 needs two.
fn unicode(chars: &mut Peekable<Chars<'_>>) -> Result<char, String> {
    let first = code_unit(chars)?;
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first).ok_or_else(|| format!("\\u{first:04x} is half a character"));
    }
    let mut ahead = chars.clone();
    let second = match (ahead.next(), ahead.next()) {
        (Some('\\'), Some('u')) => code_unit(&mut ahead)?,
        _ => return Err(format!("\\u{first:04x} is half a character")),
    };
    *chars = ahead;
    let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400);
    low.and_then(|low| char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + low))
        .ok_or_else(|| format!("\\u{first:04x}\\u{second:04x} is no character"))
}

fn code_unit(chars: &mut Peekable<Chars<'_>>) -> Result<u32, String> {
    let mut unit = 0;
    for _ in 0..4 {
        let digit = chars.next().and_then(|c| c.to_digit(16));
        unit = unit * 16 + digit.ok_or("\\u is followed by fewer than four hexadecimal digits")?;
    }
    Ok(unit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(text: &str) -> Vec<(String, String, usize)> {
        let entries = parse(text).into_iter().map(Result::unwrap);
        entries.map(|entry| (entry.key, entry.value, entry.line)).collect()
    }

    fn one(text: &str) -> (String, String) {
        let mut pairs = pairs(text);
        assert_eq!(pairs.len(), 1, "{text:?}");
        let (key, value, _) = pairs.remove(0);
        (key, value)
    }

    #[test]
    fn separators_are_those_of_java() {
        for text in ["k=v", "k:v", "k v", "  k \t= \tv", "k\u{c}v", "k  :  v"] {
            assert_eq!(one(text), ("k".into(), "v".into()), "{text:?}");
        }
        assert_eq!(one("k==v"), ("k".into(), "=v".into()));
        assert_eq!(one("k"), ("k".into(), String::new()));
        assert_eq!(one("k=v  "), ("k".into(), "v  ".into()));
        assert_eq!(one(r"a\=b\ c\:d = v=w"), ("a=b c:d".into(), "v=w".into()));
    }

    #[test]
    fn lines_go_on_after_an_odd_number_of_backslashes() {
        let text = "a=1,\\\n   2,\\\r\n\t3\n# c\\\nb=x\\\\\n\n!no\nc=\\\n#y";
        assert_eq!(
            pairs(text),
            [
                ("a".into(), "1,2,3".into(), 1),
                ("b".into(), "x\\".into(), 5),
                ("c".into(), "#y".into(), 8),
            ]
        );
    }

    #[test]
    fn escapes_are_those_of_java() {
        assert_eq!(one(r"k=\t\n\r\f\q\u0041\u00e9\ud83d\ude00").1, "\t\n\r\u{c}qAé😀");
        for bad in [r"k=\u12", r"k=\uzzzz", r"k=\ud83d", r"k=\ud83d\u0041", r"k=\ude00"] {
            assert!(parse(bad).remove(0).is_err(), "{bad}");
        }
    }

    fn escape(text: &str) -> String {
        text.chars().map(|c| format!("\\{}", if c == '\n' { 'n' } else { c })).collect()
    }

    proptest! {
        #[test]
        fn what_is_escaped_comes_back(key in "[a-z.=:# !é]{1,9}", value in "[a-e =:#!\\\\\n]{0,20}") {
            // Letters that have a meaning behind a backslash are left out, but for the line's end.
            let key = key.replace(['t', 'n', 'r', 'f', 'u'], "x");
            let text = format!("{}={}", escape(&key), escape(&value));
            prop_assert_eq!(one(&text), (key, value));
        }

        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            let lines = text.split(['\n', '\r']).count();
            prop_assert!(parse(&text).len() <= lines);
        }
    }
}
