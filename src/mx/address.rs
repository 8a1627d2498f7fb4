//! The server's address, from a credential, a file or the environment. It is never shown.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use mongodb::options::{ClientOptions, ServerAddress};
use pushflow::graph::RecordUrl;

/// Why there is no address.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// There is no such credential.
    #[error(
        "there is no credential {0}: give the service LoadCredential={0}:FILE, or say [record] url_file in the workflow file"
    )]
    NoCredential(String),
    /// The file cannot be read.
    #[error("cannot read the server's address from {}: {error}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is empty.
    #[error("there is no server's address in {0}")]
    Empty(String),
    /// It is not an address.
    #[error("what is in {place} is no address of a MongoDB server: {why}")]
    Wrong {
        /// Where it was read.
        place: String,
        /// Why.
        why: String,
    },
}

/// An address. It has no `Debug` or `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    text: String,
    place: String,
}

impl Address {
    /// Reads it. Calls `warn` if everybody on the host can read the file.
    pub fn read(url: &RecordUrl, warn: impl FnOnce(&Path)) -> Result<Self, AddressError> {
        let (text, place) = match url {
            RecordUrl::Environment(variable) => {
                (std::env::var(variable).unwrap_or_default(), format!("the environment variable {variable}"))
            }
            RecordUrl::File(path) => {
                if fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0) {
                    warn(path);
                }
                (read(path)?, path.display().to_string())
            }
            RecordUrl::Credential(name) => {
                let folder = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
                let path = folder.map(|folder| folder.join(name)).filter(|path| path.exists());
                let path = path.ok_or_else(|| AddressError::NoCredential(name.clone()))?;
                (read(&path)?, format!("the credential {name}"))
            }
        };
        let text = text.trim().to_owned();
        if text.is_empty() {
            return Err(AddressError::Empty(place));
        }
        Ok(Address { text, place })
    }

    /// The driver's options for it.
    pub async fn options(&self) -> Result<ClientOptions, AddressError> {
        ClientOptions::parse(&self.text).await.map_err(|error| self.wrong(&error))
    }

    /// The error that the driver does not accept it.
    pub fn wrong(&self, error: &mongodb::error::Error) -> AddressError {
        AddressError::Wrong { place: self.place.clone(), why: without_secrets(&error.to_string(), &self.text) }
    }
}

fn read(path: &Path) -> Result<String, AddressError> {
    fs::read_to_string(path).map_err(|error| AddressError::Unreadable { path: path.to_owned(), error })
}

/// The servers for messages, without user and password.
pub fn hosts(options: &ClientOptions) -> String {
    let hosts: Vec<String> = options.hosts.iter().map(ServerAddress::to_string).collect();
    hosts.join(",")
}

/// A message of the driver, unless it contains a part of the user or password.
fn without_secrets(message: &str, address: &str) -> String {
    let after_scheme = address.split_once("://").map_or(address, |(_, rest)| rest);
    let Some((user, _)) = after_scheme.rsplit_once('@') else {
        // Without a scheme or an @ nobody knows what is what.
        return if address.contains("://") { message.to_owned() } else { "it has no mongodb:// before it".to_owned() };
    };
    let secret = |part: &str| part.len() > 2 && message.contains(part);
    if user.split(':').any(secret) || message.contains(address) {
        return "it cannot be read (why, says the driver with parts of it, which are not shown)".to_owned();
    }
    message.to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address { text: text.to_owned(), place: "a file".to_owned() }
    }

    fn parsed(text: &str) -> Result<ClientOptions, AddressError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(address(text).options())
    }

    #[test]
    fn messages_show_the_servers_and_never_the_password() {
        let options = parsed("mongodb://user:s3cret@one,two:27018/bes?replicaSet=r").unwrap();
        assert_eq!(hosts(&options), "one:27017,two:27018");
        for wrong in [
            "mongodb://user:s3cret%zz@host",
            "mongodb://user:s3cret@host:port",
            "mongodb://us/er:s3cret@host",
            "mongo://user:s3cret@host",
            "user:s3cret@host",
            "s3cret",
            "mongodb://user:s3cret@host/?authMechanism=NONE",
            "mongodb://s3cret@",
        ] {
            let message = parsed(wrong).unwrap_err().to_string();
            assert!(!message.contains("s3cret"), "{wrong}: {message}");
            assert!(message.starts_with("what is in a file is no address of a MongoDB server: "), "{message}");
        }
    }

    #[test]
    fn a_file_that_everyone_can_read_is_used_with_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("url");
        fs::write(&path, "mongodb://host\n").unwrap();
        let warned = |mode| {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let mut warned = false;
            let read = Address::read(&RecordUrl::File(path.clone()), |_| warned = true).unwrap();
            assert_eq!(read.text, "mongodb://host");
            warned
        };
        assert_eq!((warned(0o600), warned(0o640), warned(0o644)), (false, false, true));
        fs::write(&path, " \n").unwrap();
        let error = Address::read(&RecordUrl::File(path.clone()), |_| {}).err().unwrap().to_string();
        assert_eq!(error, format!("there is no server's address in {}", path.display()));
    }
}
