//! `PATH`, for programs that we start of our own accord: without the entries that mean another folder wherever we run.

use std::ffi::{OsStr, OsString};

/// Where programs are looked for when nothing is left.
const NO_OTHER: &str = "/usr/bin:/bin";

/// `PATH` without its empty and relative entries; `None` where it isn't set, and then the system looks in folders of its own.
#[must_use]
pub fn search_path() -> Option<OsString> {
    std::env::var_os("PATH").map(|path| absolute(&path))
}

/// Whether `PATH` has an entry that means another folder wherever we run.
pub(crate) fn depends_on_folder() -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.is_relative()))
}

fn absolute(path: &OsStr) -> OsString {
    let kept = std::env::split_paths(path).filter(|folder| folder.is_absolute());
    // What was split can be joined. An empty one would mean the current folder again.
    let kept = std::env::join_paths(kept).unwrap_or_default();
    if kept.is_empty() { NO_OTHER.into() } else { kept }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_started_from_a_folder_that_we_happen_to_run_in() {
        for (path, kept) in [
            ("/usr/bin:/bin", "/usr/bin:/bin"),
            (".:/bin", "/bin"),
            (":/bin", "/bin"),
            ("/bin:", "/bin"),
            ("/a::/b", "/a:/b"),
            ("node_modules/.bin:/bin:../x", "/bin"),
            ("", NO_OTHER),
            (".", NO_OTHER),
        ] {
            assert_eq!(absolute(OsStr::new(path)), OsStr::new(kept), "{path}");
        }
    }
}
