//! Values that chance has made: what is written is what is read, and no bytes do harm.

use proptest::collection::vec;
use proptest::prelude::*;

use super::pickle::pickle;
use super::{Plain, Value, builtin_repr, json_text, to_json};

fn json_value() -> impl Strategy<Value = Plain> {
    let leaf = prop_oneof![
        Just(Plain::None),
        any::<bool>().prop_map(Plain::Bool),
        any::<i64>().prop_map(Plain::Int),
        // Only a float that has a point or an exponent is one in JSON too: these all have.
        any::<i32>().prop_map(|it| Plain::Float(f64::from(it) / 1024.0)),
        ".{0,8}".prop_map(Plain::Text),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Plain::List),
            vec(inner, 0..6).prop_map(|items| {
                let key = |index: usize| Plain::Text(format!("key {index}"));
                Plain::Dict(items.into_iter().enumerate().map(|(index, item)| (key(index), item)).collect())
            }),
        ]
    })
}

/// Opcodes that are likely to make something of each other, and any byte.
fn bytes_like_a_pickle() -> impl Strategy<Value = Vec<u8>> {
    let opcodes: &[u8] = b"](})eau0123ltd\x94\x8f\x90\x91\x85\x86\x87\x88\x89NKMJGhjqrX\x8c\x8a\x8bCB.\x00\x01\x02";
    let byte = prop_oneof![9 => proptest::sample::select(opcodes), 1 => any::<u8>()];
    vec(byte, 0..200).prop_map(|bytes| [b"\x80\x05", bytes.as_slice(), b"."].concat())
}

proptest! {
    #![proptest_config(crate::test_seed::property_test(256))]

    #[test]
    fn what_json_has_a_form_for_is_the_same_value_in_json(plain in json_value()) {
        let json = to_json(&plain.to_value());
        prop_assert_eq!(json.map(|json| Plain::from_json(&json)), Some(Ok(plain)));
    }

    #[test]
    fn any_bytes_are_a_value_or_none_and_their_texts_are_bounded(bytes in bytes_like_a_pickle()) {
        if let Some((_, text, _)) = builtin_repr(&bytes, 100) {
            prop_assert!(text.len() <= 100);
        }
        let value = Value::from_pickle(bytes, None);
        let _ = value.routing_value();
        if let Some(text) = json_text(&value) {
            prop_assert!(text.len() < 64 << 20);
            prop_assert!(to_json(&value).is_some(), "{}", text);
        }
    }

    #[test]
    fn a_pickle_that_is_cut_or_changed_does_no_harm(plain in json_value(), at in any::<usize>(), byte in any::<u8>()) {
        let mut bytes = pickle(&plain);
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = json_text(&Value::from_pickle(bytes.clone(), None));
        bytes.truncate(at);
        prop_assert_eq!(json_text(&Value::from_pickle(bytes, None)), None);
    }
}
