//! The bearer token that requests at `serve` must carry.
//!
//! Where the config names none, there is one all the same: any user of this machine can connect to a loopback address. It is kept,
//! for this user alone, since clients have it in their settings.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};

use crate::args::UsageError;
use understudy::config::{self, Config, ListenAddress, Serve, TOKEN_KEY as KEY, TokenSource};
use understudy::environment::Environment;
use understudy::private;
use understudy::runtime::read_secret;

/// How many random bytes a token has.
const SIZE: usize = 32;

/// The token that holds.
pub(super) enum RequiredToken {
    /// None: every connection is let in.
    None,
    /// The one that the config names.
    Configured(SecretString),
    /// One that was made here, and the file that keeps it, if one does.
    Made(SecretString, Option<PathBuf>),
}

impl RequiredToken {
    /// The token.
    pub(super) fn token(&self) -> Option<SecretString> {
        match self {
            Self::None => None,
            Self::Configured(token) | Self::Made(token, _) => Some(token.clone()),
        }
    }
}

/// The token that config and command line want.
pub(super) async fn wanted(config: &Config, serve: &Serve, is_open: bool, is_new: bool) -> Result<RequiredToken> {
    let needed = format!(
        "{} can be reached from other machines, so requests must carry a token; write `\"token\": {{\"env\": NAME}}`, or \
         listen on 127.0.0.1",
        serve.listen
    );
    if is_open && !serve.listen.is_local() {
        return Err(UsageError(format!("`--no-token` doesn't go with this address: {needed}")).into());
    }
    match &serve.token {
        _ if is_open => Ok(RequiredToken::None),
        TokenSource::From(_) if is_new => {
            let reason = "`--new-token` makes a new token in the place of the one that Understudy keeps; the config names another, in `serve.token`";
            Err(UsageError(reason.to_owned()).into())
        }
        TokenSource::From(source) => {
            let token = read_secret(config, KEY, source, &Environment::process()).await?;
            if !token.expose_secret().bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(config::wrong(KEY, "holds characters that no header can: it must be visible ASCII").into());
            }
            Ok(RequiredToken::Configured(token))
        }
        TokenSource::Unsaid if !serve.listen.is_local() => {
            Err(config::wrong(KEY, &format!("is missing: {needed}")).into())
        }
        TokenSource::None if !serve.listen.is_local() => {
            Err(config::wrong(KEY, &format!("is `false`: {needed}")).into())
        }
        TokenSource::None if is_new => {
            Err(UsageError("`--new-token` makes a token, and the config wants none (`serve.token`)".to_owned()).into())
        }
        TokenSource::None => Ok(RequiredToken::None),
        // Nobody else can connect.
        TokenSource::Unsaid if matches!(serve.listen, ListenAddress::Unix(_)) && !is_new => Ok(RequiredToken::None),
        TokenSource::Unsaid => tokio::task::spawn_blocking(move || kept(place(), is_new)).await?,
    }
}

/// The file that keeps the token, if there is a place for it.
fn place() -> Option<PathBuf> {
    let folder = dirs::state_dir().or_else(dirs::data_local_dir)?;
    Some(folder.join("understudy").join("serve-token"))
}

/// The token in a file, or a new one. One that can't be kept holds until this process ends.
fn kept(place: Option<PathBuf>, is_new: bool) -> Result<RequiredToken> {
    let unkept = |reason: String| {
        tracing::warn!("the token is not kept, and the next start makes another one: {reason}");
    };
    let Some(path) = place else {
        unkept("there is no folder for this user's state".to_owned());
        return Ok(RequiredToken::Made(random()?, None));
    };
    let _turn = turn(&path).map_err(|error| tracing::debug!("`{}` can't be locked: {error}", path.display()));
    if !is_new && path.exists() {
        match read(&path) {
            Ok(token) => return Ok(RequiredToken::Made(token, Some(path))),
            Err(reason) => tracing::warn!("a new token is made, since the one that was kept can't be used: {reason}"),
        }
    }
    let token = random()?;
    let written = private::write(&path, &[token.expose_secret().as_bytes()]);
    // What lies where others may write is theirs.
    match written.map_err(|error| format!("`{}`: {error}", path.display())).and_then(|()| read(&path)) {
        Ok(_) => Ok(RequiredToken::Made(token, Some(path))),
        Err(reason) => {
            unkept(reason);
            Ok(RequiredToken::Made(token, None))
        }
    }
}

/// Of two processes that start at once, one makes the token and the other reads it.
fn turn(path: &Path) -> std::io::Result<File> {
    private::make_folder(path.parent().unwrap_or(path))?;
    let file = File::options().create(true).append(true).open(path.with_extension("lock"))?;
    file.lock()?;
    Ok(file)
}

fn read(path: &Path) -> Result<SecretString, String> {
    let bytes = private::read(path)?.ok_or_else(|| format!("`{}` is gone", path.display()))?;
    let token = String::from_utf8(bytes).ok().filter(|token| is_token(token));
    token.map(SecretString::from).ok_or_else(|| format!("`{}` holds no token", path.display()))
}

/// Whether this is as `random` makes them. A file that broke off doesn't become a short token.
fn is_token(text: &str) -> bool {
    URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == SIZE)
}

fn random() -> Result<SecretString> {
    let mut bytes = [0; SIZE];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("no random numbers for a token: {error}"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes).into())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn token(path: &Path, is_new: bool) -> (String, bool) {
        let RequiredToken::Made(token, file) = kept(Some(path.to_owned()), is_new).unwrap() else { panic!("no token") };
        (token.expose_secret().to_owned(), file.is_some())
    }

    #[test]
    fn a_token_survives_a_start_and_is_the_users_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("understudy").join("serve-token");
        let (first, is_kept) = token(&path, false);
        assert!(is_token(&first) && is_kept && first.len() == 43, "{first}");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(token(&path, false).0, first);
        let (second, _) = token(&path, true);
        assert_ne!(second, first);
        assert_eq!(token(&path, false).0, second);
    }

    #[test]
    fn what_others_may_know_or_have_written_is_no_token() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("serve-token");
        for mode in [0o644, 0o640, 0o606, 0o660] {
            let (known, _) = token(&path, false);
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_ne!(token(&path, false).0, known, "{mode:o}");
        }
        for text in ["", "a", "correct horse", "AAAA"] {
            fs::write(&path, text).unwrap();
            assert!(is_token(&token(&path, false).0), "{text}");
        }
        let theirs = folder.path().join("theirs");
        fs::write(&theirs, &token(&path, false).0).unwrap();
        fs::set_permissions(&theirs, Permissions::from_mode(0o600)).unwrap();
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&theirs, &path).unwrap();
        assert_ne!(token(&path, false).0, fs::read_to_string(&theirs).unwrap());
        // Where others may write, it isn't kept.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
        let (one, is_kept) = token(&path, false);
        assert!(!is_kept);
        assert_ne!(token(&path, false).0, one);
    }

    #[test]
    fn without_a_place_there_is_a_token_all_the_same() {
        assert!(matches!(kept(None, false).unwrap(), RequiredToken::Made(_, None)));
    }
}
