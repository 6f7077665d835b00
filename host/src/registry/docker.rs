//! The user's login at a registry, as Docker's config has it: a name and a password, or what a credential helper says.
//!
//! Helpers are started here and not by the crate that reads the rest of the config: it would hand all our environment on to them.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use docker_credential::{CredentialRetrievalError, DockerCredential};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::io::AsyncWriteExt;

use super::login::RegistryLogin;
use crate::children::{self, Withheld};
use crate::search_path;

/// How long a helper may take: it may have to ask its user first.
const PATIENCE: Duration = Duration::from_mins(5);

/// What a helper says of a login.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// What Docker's config says of a registry.
///
/// # Errors
/// If there is a login that can't be used.
pub(super) async fn login(registry: &str, withheld: &Withheld) -> Result<Option<RegistryLogin>, String> {
    safe_to_ask()?;
    // Docker Hub's entry has an older name than the registry.
    let key =
        if matches!(registry, "docker.io" | "index.docker.io") { "https://index.docker.io/v1/" } else { registry };
    let Some(path) = config().filter(|path| path.exists()) else { return Ok(None) };
    let unreadable = || format!("`{}`, where Docker keeps logins, can't be read", path.display());
    let bytes = std::fs::read(&path).map_err(|_| unreadable())?;
    let mut config: Map<String, Value> = serde_json::from_slice(&bytes).map_err(|_| unreadable())?;
    // With these the crate would start the helper.
    let (helpers, store) = (config.remove("credHelpers"), config.remove("credsStore"));
    let named = |name: &Value| name.as_str().filter(|name| !name.is_empty()).map(str::to_owned);
    if let Some(helper) = helpers.as_ref().and_then(|helpers| named(helpers.get(key)?)) {
        return ask(&helper, key, registry, withheld).await;
    }
    let config = Value::Object(config).to_string();
    match docker_credential::get_credential_from_reader(config.as_bytes(), key) {
        Ok(DockerCredential::UsernamePassword(user, password)) => Ok(Some(RegistryLogin { user, password })),
        Ok(DockerCredential::IdentityToken(_)) => Err(identity_token(registry)),
        Err(CredentialRetrievalError::NoCredentialConfigured) => match store.as_ref().and_then(named) {
            Some(helper) => ask(&helper, key, registry, withheld).await,
            None => Ok(None),
        },
        Err(CredentialRetrievalError::ConfigReadError) => Err(unreadable()),
        Err(other) => Err(format!("its login in Docker's config can't be used: {other}")),
    }
}

fn identity_token(registry: &str) -> String {
    format!(
        "Docker's config holds an identity token for it, which can't be used here; log in with an access token (`docker login --username NAME {registry}`)"
    )
}

/// Runs a credential helper. Its error output could hold a password, so it isn't shown.
async fn ask(helper: &str, key: &str, registry: &str, withheld: &Withheld) -> Result<Option<RegistryLogin>, String> {
    if !is_plain(helper) {
        let helper = crate::text::one_line(helper, 60);
        return Err(format!("Docker's config names the credential helper `{helper}`, which is no program's name"));
    }
    let program = format!("docker-credential-{helper}");
    let failed = |why: &str| format!("Docker's credential helper `{program}` {why}");
    let output = match tokio::time::timeout(PATIENCE, run(&program, key, withheld)).await {
        Ok(output) => output.map_err(|e| failed(&format!("can't be run: {e}")))?,
        Err(_) => return Err(failed(&format!("took longer than {PATIENCE:?}"))),
    };
    if !output.status.success() {
        // By these words helpers say that they have none.
        let has_none = String::from_utf8_lossy(&output.stdout).contains("credentials not found");
        return if has_none { Ok(None) } else { Err(failed("failed")) };
    }
    let answer: Answer = serde_json::from_slice(&output.stdout).map_err(|_| failed("gave no login"))?;
    // By this name it says that the secret is one.
    if answer.username == "<token>" {
        return Err(identity_token(registry));
    }
    Ok(Some(RegistryLogin { user: answer.username, password: answer.secret }))
}

async fn run(program: &str, key: &str, withheld: &Withheld) -> std::io::Result<Output> {
    let mut command = tokio::process::Command::from(children::command(program, withheld));
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // It may not want to read it.
        let _ = stdin.write_all(key.as_bytes()).await;
    }
    child.wait_with_output().await
}

/// Docker's config, and a credential helper that it names, are the user's, and not the current folder's.
fn safe_to_ask() -> Result<(), String> {
    let Some(path) = config() else { return Ok(()) };
    if path.is_relative() {
        let why = "`DOCKER_CONFIG` is no absolute path, and so means another folder wherever this runs";
        return Err(format!("{why}; write one, or unset it"));
    }
    let helpers =
        || std::fs::read_to_string(&path).is_ok_and(|text| text.contains("credsStore") || text.contains("credHelpers"));
    if search_path::depends_on_folder() && helpers() {
        let why = "`PATH` has an entry that is no absolute path, where any folder could bring a credential helper of Docker's";
        return Err(format!("{why}; take it out"));
    }
    Ok(())
}

/// Docker's config.
fn config() -> Option<PathBuf> {
    let folder = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    Some(folder.or_else(|| Some(dirs::home_dir()?.join(".docker")))?.join("config.json"))
}

/// Whether a helper's name is the end of a program's name, and no path.
fn is_plain(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    name.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_helpers_name_is_no_path() {
        assert!(is_plain("osxkeychain") && is_plain("ecr-login") && is_plain("wincred.exe"));
        assert!(!is_plain("../../tmp/x") && !is_plain("a b") && !is_plain("x\\y") && !is_plain("x\0"));
    }
}
