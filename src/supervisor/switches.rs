//! Environment variables that disable a mechanism, for tests and diagnosis.

/// Whether a mechanism is enabled: always, unless its variable is `off`.
pub(super) fn is_on(variable: &str) -> bool {
    std::env::var_os(variable).is_none_or(|value| value != "off")
}
