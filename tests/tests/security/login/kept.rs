//! Files of logins: the user's alone, or not used.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::stage::Stage;

fn set(path: &Path, mode: u32) {
    set_permissions(path, Permissions::from_mode(mode)).unwrap_or_else(|e| panic!("{e}"));
}

/// The login isn't used, and the error says why.
fn is_refused(stage: &Stage, said: &str) {
    let before = stage.server.seen().len();
    let run = stage.tools();
    assert!(!run.status.success() && run.stderr.contains(said), "`{said}`: {}", run.stderr);
    let seen = stage.server.seen();
    assert!(seen[before..].iter().all(|request| !request.headers.contains_key("authorization")), "it was used");
    assert_eq!(stage.asked_for_tokens().len(), 1, "it was renewed");
}

#[test]
fn a_login_that_others_can_read_or_write_is_not_used_and_the_remedy_is_named() {
    let stage = Stage::new();
    stage.log_in(true);
    let file = stage.file();
    let folder = file.parent().unwrap_or(&file).to_path_buf();
    for mode in [0o644, 0o640, 0o604, 0o620, 0o602, 0o666, 0o601] {
        set(&file, mode);
        is_refused(&stage, &format!("`chmod 600 {}`", file.display()));
    }
    set(&file, 0o600);
    for mode in [0o755, 0o777, 0o750, 0o701] {
        set(&folder, mode);
        is_refused(&stage, &format!("`chmod 700 {}`", folder.display()));
    }
    set(&folder, 0o700);
    let _ = stage.tools().ok();
    // Only root can give a file away.
    if rustix::process::geteuid().is_root() {
        for path in [&file, &folder] {
            std::os::unix::fs::chown(path, Some(65534), None).unwrap_or_else(|e| panic!("{e}"));
            is_refused(&stage, "belongs to another user (uid 65534)");
            std::os::unix::fs::chown(path, Some(0), None).unwrap_or_else(|e| panic!("{e}"));
        }
    }
    let _ = stage.tools().ok();
}

#[test]
fn a_link_is_not_a_login() {
    let stage = Stage::new();
    stage.log_in(false);
    let file = stage.file();
    let aside = stage.place.path().join("aside");
    std::fs::rename(&file, &aside).unwrap_or_else(|e| panic!("{e}"));
    symlink(&aside, &file).unwrap_or_else(|e| panic!("{e}"));
    is_refused(&stage, "is a symbolic link");
}

#[test]
fn a_login_is_not_made_where_others_could_read_it() {
    let stage = Stage::new();
    let folder = stage.place.path().join("understudy/logins");
    std::fs::create_dir_all(&folder).unwrap_or_else(|e| panic!("{e}"));
    set(&folder, 0o755);
    let refused = stage.auth(&[]);
    assert!(!refused.status.success());
    assert!(refused.stderr.contains(&format!("`chmod 700 {}`", folder.display())), "{}", refused.stderr);
}
