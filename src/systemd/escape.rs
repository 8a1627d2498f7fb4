//! Names in the forms that D-Bus takes, escaped as systemd does (`bus_label_escape` in sd-bus).

/// A name as one element of a bus name or an object path: what is not a letter or digit is `_` and two hexadecimal
/// digits for each byte, a leading digit too; nothing is `_`.
pub fn bus_label(name: &str) -> String {
    if name.is_empty() {
        return "_".to_owned();
    }
    let mut label = String::with_capacity(name.len());
    for (at, byte) in name.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => label.push(char::from(byte)),
            b'0'..=b'9' if at > 0 => label.push(char::from(byte)),
            other => label.push_str(&format!("_{other:02x}")),
        }
    }
    label
}

/// The name that a label stands for; nothing if no name is escaped so.
pub fn name_of_label(label: &str) -> Option<String> {
    if label == "_" {
        return Some(String::new());
    }
    let mut bytes = Vec::with_capacity(label.len());
    let mut rest = label.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'_' {
            let (digits, after) = after.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = after;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_escaped_as_systemd_escapes_them() {
        // From `systemd-run`-made unit paths: /org/freedesktop/systemd1/unit/dbus_2eservice.
        for (name, label) in
            [("hello", "hello"), ("dbus.service", "dbus_2eservice"), ("data-reduction", "data_2dreduction")]
        {
            assert_eq!(bus_label(name), label);
        }
        assert_eq!(bus_label("2theta"), "_32theta");
        assert_eq!(bus_label(""), "_");
    }

    proptest! {
        #[test]
        fn every_name_comes_back(name in ".*") {
            prop_assert_eq!(name_of_label(&bus_label(&name)), Some(name));
        }
    }
}
