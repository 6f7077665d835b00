//! How the program is linked, and the one that is raced.

use std::env;
use std::process::Command;

/// The first glibc that loads a program whose relocations are packed.
const GLIBC: [u32; 2] = [2, 36];

/// A release that is made where it runs has its relocations packed: 1.2 MB less to read, and 2 MB less in memory.
fn main() {
    println!("cargo::rerun-if-changed=Cargo.toml");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    let is_gnu = is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu");
    if is("PROFILE", "release") && is_gnu && env::var("HOST") == env::var("TARGET") && glibc() >= Some(GLIBC) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The version of this machine's glibc: `getconf` says `glibc 2.36`. None if that can't be told.
fn glibc() -> Option<[u32; 2]> {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut numbers = text.trim().strip_prefix("glibc ")?.split('.').map(|number| number.parse().ok());
    Some([numbers.next()??, numbers.next()??])
}
