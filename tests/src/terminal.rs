//! A terminal for programs that look whether they have one.

use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;

/// Runs a command on a terminal; what it shows.
#[must_use]
pub fn run(mut command: Command) -> String {
    let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY);
    let master = master.unwrap_or_else(|e| panic!("no terminal: {e}"));
    let ready = rustix::pty::grantpt(&master).and_then(|()| rustix::pty::unlockpt(&master));
    let name = ready.and_then(|()| rustix::pty::ptsname(&master, Vec::new()));
    let name = name.unwrap_or_else(|e| panic!("no terminal: {e}"));
    let slave = rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty());
    let slave = slave.unwrap_or_else(|e| panic!("no terminal: {e}"));
    let error = slave.try_clone().unwrap_or_else(|e| panic!("no terminal: {e}"));
    let mut child =
        command.stdin(Stdio::null()).stdout(slave).stderr(error).spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    // The command holds the other end, too; without it, the end of what the program shows is never seen.
    drop(command);
    let mut shown = Vec::new();
    // A terminal whose program has gone ends with an error.
    let _ = File::from(master).read_to_end(&mut shown);
    let _ = child.wait();
    String::from_utf8_lossy(&shown).into_owned()
}
