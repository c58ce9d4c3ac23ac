//! What a topic may be called.

/// The longest name; a partition's directory has the name and a number.
const MAX_LENGTH: usize = 249;

/// Why a name is none, in Kafka's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum InvalidTopicName {
    #[error("Topic name is invalid: the empty string is not allowed")]
    Empty,
    #[error("Topic name is invalid: '{0}' is not allowed")]
    Dots(&'static str),
    #[error(
        "Topic name is invalid: the length of '{0}' is longer than the max allowed length {MAX_LENGTH}"
    )]
    TooLong(String),
    #[error(
        "Topic name is invalid: '{0}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
    )]
    Characters(String),
}

/// Checks a topic's name: 1 to 249 ASCII letters, digits, '.', '_' and '-', but not "." or "..".
///
/// # Errors
/// [`InvalidTopicName`], which is INVALID_TOPIC_EXCEPTION on the wire.
pub fn validate_topic_name(name: &str) -> Result<(), InvalidTopicName> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    match name {
        "" => Err(InvalidTopicName::Empty),
        "." => Err(InvalidTopicName::Dots(".")),
        ".." => Err(InvalidTopicName::Dots("..")),
        _ if name.chars().count() > MAX_LENGTH => Err(InvalidTopicName::TooLong(name.to_owned())),
        _ if !name.bytes().all(allowed) => Err(InvalidTopicName::Characters(name.to_owned())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_names_pass() {
        for name in ["a", "A.b_c-9", &"x".repeat(249), "...", "__consumer_offsets"] {
            assert_eq!(validate_topic_name(name), Ok(()), "{name}");
        }
        for name in ["", ".", "..", &"x".repeat(250), "a/b", "a\0", "ä", "a b", "../etc"] {
            assert!(validate_topic_name(name).is_err(), "{name}");
        }
    }
}
