//! `~` and `~user` at the beginning of a path, with the meaning that they have in a shell.

use std::path::PathBuf;

use nix::unistd::User;

/// Why a home folder is unknown.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum HomeError {
    #[error("HOME is not set")]
    NoHome,
    #[error("there is no user {0} on this host")]
    NoUser(String),
    #[error("cannot look up the user {user}: {error}")]
    Lookup { user: String, error: nix::Error },
}

/// Expands `~/env` to a path in the user's home folder, and `~anna/env` to one in the home folder of the user anna.
///
/// # Errors
/// If that home folder is unknown.
pub(super) fn expand(text: &str) -> Result<PathBuf, HomeError> {
    let Some(rest) = text.strip_prefix('~') else { return Ok(PathBuf::from(text)) };
    let (name, below) = rest.split_once('/').unwrap_or((rest, ""));
    let home = match name {
        "" => std::env::home_dir().filter(|home| home.is_absolute()).ok_or(HomeError::NoHome),
        name => match User::from_name(name) {
            Ok(Some(user)) => Ok(user.dir),
            Ok(None) => Err(HomeError::NoUser(name.to_owned())),
            Err(error) => Err(HomeError::Lookup { user: name.to_owned(), error }),
        },
    };
    Ok(home?.join(below.trim_start_matches('/')))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_tilde_is_a_home_folder_only_at_the_beginning() {
        let root = User::from_name("root").unwrap().unwrap().dir;
        assert_eq!(expand("~root/env/bin").unwrap(), root.join("env/bin"));
        assert_eq!(expand("~root").unwrap(), root);
        for text in ["env", "/opt/env", "./~/env", "a~b", "a/~"] {
            assert_eq!(expand(text).unwrap(), PathBuf::from(text));
        }
        if let Some(home) = std::env::home_dir().filter(|home| home.is_absolute()) {
            assert_eq!(expand("~/env").unwrap(), home.join("env"));
        }
    }

    #[test]
    fn a_user_that_does_not_exist_is_named() {
        assert_eq!(expand("~no-such-user/env").unwrap_err().to_string(), "there is no user no-such-user on this host");
    }
}
