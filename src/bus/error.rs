//! Errors of requests as D-Bus errors.

use std::borrow::Cow;

use zbus::message::Header;
use zbus::names::ErrorName;
use zbus::{DBusError, Message, fdo};

use crate::service::RequestError;

impl RequestError {
    fn parts(&self) -> (&'static str, &str) {
        match self {
            RequestError::InvalidInputs(text) => ("org.pushflow.Error.InvalidInputs", text),
            RequestError::NoSuchRun(text) => ("org.pushflow.Error.NoSuchRun", text),
            RequestError::NoSuchProcess(text) => ("org.pushflow.Error.NoSuchProcess", text),
            RequestError::InvalidArguments(text) => ("org.freedesktop.DBus.Error.InvalidArgs", text),
            RequestError::QueueFull(text) => ("org.pushflow.Error.QueueFull", text),
            RequestError::NotKept(text) => ("org.pushflow.Error.NotKept", text),
            RequestError::ShuttingDown(text) => ("org.pushflow.Error.ShuttingDown", text),
            RequestError::InvalidFile(text) => ("org.pushflow.Error.InvalidFile", text),
            RequestError::NotSupported(text) => ("org.freedesktop.DBus.Error.NotSupported", text),
            RequestError::AccessDenied(text) => ("org.freedesktop.DBus.Error.AccessDenied", text),
            RequestError::AuthorizationRequired(text) => {
                ("org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", text)
            }
            RequestError::Failed(text) => ("org.freedesktop.DBus.Error.Failed", text),
        }
    }
}

impl DBusError for RequestError {
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

/// A text without zero bytes: the bus disconnects a client that sends one.
pub(super) fn text(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{2400}").into() } else { text.into() }
}

impl From<zbus::Error> for RequestError {
    fn from(error: zbus::Error) -> Self {
        RequestError::Failed(error.to_string())
    }
}

/// An error that another process on the bus has replied with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodError {
    /// Its D-Bus name.
    pub name: String,
    /// The text for people.
    pub text: String,
}

/// The error that came over the bus, if that is where it came from.
pub fn method_error(error: &zbus::Error) -> Option<MethodError> {
    match error {
        zbus::Error::MethodError(name, text, _) => {
            Some(MethodError { name: name.to_string(), text: text.clone().unwrap_or_default() })
        }
        zbus::Error::FDO(error) => fdo_error(error),
        _ => None,
    }
}

/// The same of an error of the bus itself.
pub fn fdo_error(error: &fdo::Error) -> Option<MethodError> {
    match error {
        fdo::Error::ZBus(error) => method_error(error),
        error => {
            let text = error.description().unwrap_or_default().to_owned();
            Some(MethodError { name: error.name().to_string(), text })
        }
    }
}
