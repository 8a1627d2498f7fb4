//! `~` at the beginning of a path, as a shell means it: TOML has no shell in front of it.

use std::path::PathBuf;

use nix::unistd::User;

/// The path that a text means: `~/env` is below this user's home folder, `~anna/env` below that of the user anna.
///
/// # Errors
/// Why that folder is not known.
pub(super) fn expand(text: &str) -> Result<PathBuf, String> {
    let Some(rest) = text.strip_prefix('~') else { return Ok(PathBuf::from(text)) };
    let (name, below) = rest.split_once('/').unwrap_or((rest, ""));
    let home = match name {
        "" => std::env::home_dir()
            .filter(|home| home.is_absolute())
            .ok_or_else(|| "the home folder of this user is not known: HOME is not set".to_owned()),
        name => match User::from_name(name) {
            Ok(Some(user)) => Ok(user.dir),
            Ok(None) => Err(format!("there is no user {name} on this host")),
            Err(error) => Err(format!("the home folder of the user {name} is not known: {error}")),
        },
    };
    Ok(home?.join(below.trim_start_matches('/')))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_tilde_is_a_home_folder_only_where_a_path_begins_with_it() {
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
        assert_eq!(expand("~no-such-user/env").unwrap_err(), "there is no user no-such-user on this host");
    }
}
