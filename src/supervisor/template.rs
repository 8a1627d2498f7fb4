//! `{key}` in the command and environment of an exec actor.

use std::ffi::OsString;

use crate::graph::Exec;
use crate::payload::Payload;

/// A part of a template.
enum Piece<'a> {
    Text(&'a str),
    Key(&'a str),
}

/// The parts of a template. `{{` and `}}` are braces; braces around anything but a key are themselves.
fn pieces(template: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        pieces.push(Piece::Text(&rest[..at]));
        let brace = &rest[at..=at];
        let after = &rest[at + 1..];
        rest = if let Some(after) = after.strip_prefix(brace) {
            pieces.push(Piece::Text(brace));
            after
        } else if let Some((key, after)) = after.split_once('}').filter(|(key, _)| brace == "{" && is_key(key)) {
            pieces.push(Piece::Key(key));
            after
        } else {
            pieces.push(Piece::Text(brace));
            after
        };
    }
    pieces.push(Piece::Text(rest));
    pieces
}

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|char| char.is_alphanumeric() || matches!(char, '_' | '-' | '.'))
}

/// All keys in the command and environment of an exec actor.
pub(super) fn keys(exec: &Exec) -> impl Iterator<Item = String> {
    exec.command.iter().chain(exec.env.values()).flat_map(|template| pieces(template)).filter_map(|piece| match piece {
        Piece::Key(key) => Some(key.to_owned()),
        Piece::Text(_) => None,
    })
}

/// Puts values into a template. Bytes that are not Unicode (in file names) stay as they are.
pub(super) fn fill(template: &str, payload: &Payload) -> Result<OsString, String> {
    let mut filled = OsString::with_capacity(template.len());
    for piece in pieces(template) {
        match piece {
            Piece::Text(text) => filled.push(text),
            Piece::Key(key) => {
                let value = payload
                    .get_written(key)
                    .ok_or_else(|| format!("\"{template}\" needs the key {key}, which the payload does not have (for a brace write it twice)"))?;
                filled.push(value.text().ok_or_else(|| {
                    format!("\"{template}\" needs the value of {key} as text: only strings of up to 128 KiB, numbers, booleans and paths can be put there")
                })?);
            }
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::fill;
    use crate::payload::{Payload, Plain};

    fn payload() -> Payload {
        [
            ("image", Plain::Text("a b.cbf".into())),
            ("n", Plain::Int(7)),
            ("d", Plain::Float(1.5)),
            ("l", Plain::List(vec![])),
        ]
        .into_iter()
        .map(|(key, value)| (key.into(), value.to_value()))
        .collect()
    }

    #[test]
    fn values_stand_where_their_keys_stood() {
        assert_eq!(fill("--in={image}:{n}:{d}", &payload()), Ok("--in=a b.cbf:7:1.5".into()));
    }

    #[test]
    fn doubled_braces_are_braces_and_lone_ones_stay() {
        assert_eq!(fill("{{n}} } { {{{n}}}", &payload()), Ok("{n} } { {7}".into()));
        assert_eq!(fill("{ print $1 } {\"a\": 1} {}", &payload()), Ok("{ print $1 } {\"a\": 1} {}".into()));
    }

    #[test]
    fn a_missing_key_and_a_value_without_a_text_are_named() {
        assert!(fill("{nothing}", &payload()).is_err_and(|error| error.contains("the key nothing")));
        assert!(fill("{l}", &payload()).is_err_and(|error| error.contains("the value of l as text")));
    }
}
