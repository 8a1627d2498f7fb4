//! Refusals as D-Bus errors.

use std::borrow::Cow;

use zbus::DBusError;
use zbus::Message;
use zbus::message::Header;
use zbus::names::ErrorName;

use crate::service::Refusal;

impl Refusal {
    fn parts(&self) -> (&'static str, &str) {
        match self {
            Refusal::InvalidInputs(text) => ("org.pushflow.Error.InvalidInputs", text),
            Refusal::NoSuchRun(text) => ("org.pushflow.Error.NoSuchRun", text),
            Refusal::NoSuchProcess(text) => ("org.pushflow.Error.NoSuchProcess", text),
            Refusal::InvalidArguments(text) => ("org.freedesktop.DBus.Error.InvalidArgs", text),
            Refusal::QueueFull(text) => ("org.pushflow.Error.QueueFull", text),
            Refusal::NotKept(text) => ("org.pushflow.Error.NotKept", text),
            Refusal::ShuttingDown(text) => ("org.pushflow.Error.ShuttingDown", text),
            Refusal::InvalidFile(text) => ("org.pushflow.Error.InvalidFile", text),
            Refusal::NotSupported(text) => ("org.freedesktop.DBus.Error.NotSupported", text),
            Refusal::AccessDenied(text) => ("org.freedesktop.DBus.Error.AccessDenied", text),
            Refusal::AuthorizationRequired(text) => {
                ("org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", text)
            }
            Refusal::Failed(text) => ("org.freedesktop.DBus.Error.Failed", text),
        }
    }
}

impl Refusal {
    /// Why, for people.
    pub(super) fn text(&self) -> &str {
        self.parts().1
    }
}

impl DBusError for Refusal {
    fn create_reply(&self, call: &Header<'_>) -> zbus::Result<Message> {
        Message::error(call, self.name()).build(&text(self.parts().1))
    }

    fn name(&self) -> ErrorName<'_> {
        ErrorName::from_static_str_unchecked(self.parts().0)
    }

    fn description(&self) -> Option<&str> {
        Some(self.parts().1)
    }
}

/// A text as the bus takes it: whoever sends a zero byte in one is disconnected.
pub(super) fn text(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{2400}").into() } else { text.into() }
}

impl From<zbus::Error> for Refusal {
    fn from(error: zbus::Error) -> Self {
        Refusal::Failed(error.to_string())
    }
}

/// The name and the text of an error that came over the bus, if that is where it came from.
pub fn answered(error: &zbus::Error) -> Option<(String, String)> {
    match error {
        zbus::Error::MethodError(name, text, _) => Some((name.to_string(), text.clone().unwrap_or_default())),
        zbus::Error::FDO(error) => Some((error.name().to_string(), error.description().unwrap_or_default().to_owned())),
        _ => None,
    }
}
