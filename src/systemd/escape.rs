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

/// A name as the instance of a unit: as it is where that can be, else as `systemd-escape` writes it. (A `-` in an instance is a `/`
/// to systemd, but no workflow has a `/` in its name: `pushflow@data-reduction` is clear.)
pub fn instance(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b":_.".contains(&byte);
    if !name.starts_with('.') && name.bytes().all(|byte| is_plain(byte) || byte == b'-') {
        return name.to_owned();
    }
    let mut instance = String::with_capacity(name.len());
    for (at, byte) in name.bytes().enumerate() {
        match byte {
            b'.' if at == 0 => instance.push_str("\\x2e"),
            byte if is_plain(byte) => instance.push(char::from(byte)),
            other => instance.push_str(&format!("\\x{other:02x}")),
        }
    }
    instance
}

/// The name that the instance of a unit stands for, whether it was escaped by [`instance`] or by `systemd-escape`. What is no
/// escape is taken as it is.
pub fn name_of_instance(instance: &str) -> String {
    let mut bytes = Vec::with_capacity(instance.len());
    let mut rest = instance.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.strip_prefix(b"x").and_then(|digits| std::str::from_utf8(digits.get(..2)?).ok());
        let digits = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match (first, digits.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'\\', Some(byte)) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            (other, _) => {
                bytes.push(*other);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| instance.to_owned())
}

/// The unit of a workflow, to be copied into a shell.
pub fn unit_for_shell(name: &str) -> String {
    let unit = format!("pushflow@{}", instance(name));
    if unit.contains('\\') { format!("'{unit}'") } else { unit }
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

    #[test]
    fn instances_are_what_systemd_escape_makes_of_names_and_usual_names_stay() {
        assert_eq!(instance("data-reduction"), "data-reduction");
        assert_eq!(name_of_instance("data\\x2dreduction"), "data-reduction");
        assert_eq!(instance("my flow"), "my\\x20flow");
        assert_eq!(instance("my-own flow"), "my\\x2down\\x20flow");
        assert_eq!(unit_for_shell("my flow"), "'pushflow@my\\x20flow'");
        assert_eq!(unit_for_shell("hello"), "pushflow@hello");
        assert_eq!(name_of_instance("100%\\xZZ\\x"), "100%\\xZZ\\x");
    }

    proptest! {
        #![proptest_config(crate::test_seed::property_test(256))]

        #[test]
        fn every_name_comes_back_from_its_instance(name in "[^/]*") {
            prop_assert_eq!(name_of_instance(&instance(&name)), name);
        }

        #[test]
        fn every_name_comes_back(name in ".*") {
            prop_assert_eq!(name_of_label(&bus_label(&name)), Some(name));
        }
    }
}
