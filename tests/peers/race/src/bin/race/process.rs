//! What the system says of a process, without its children.

use std::process::Command;

/// Its resident memory in bytes.
pub(crate) fn memory(id: u32) -> f64 {
    status(id, "VmRSS:").unwrap_or_else(|| {
        // Where there is no `/proc`.
        let told = Command::new("ps").args(["-o", "rss=", "-p", &id.to_string()]).output().expect("ps");
        let told = String::from_utf8_lossy(&told.stdout).trim().parse::<f64>();
        told.expect("its resident memory in KiB") * 1024.0
    })
}

/// The most that was ever resident, in bytes; none where the system doesn't say.
pub(crate) fn peak(id: u32) -> Option<f64> {
    status(id, "VmHWM:")
}

/// How many files it has open, pipes and connections included; none where the system doesn't say.
pub(crate) fn descriptors(id: u32) -> Option<u32> {
    let open = std::fs::read_dir(format!("/proc/{id}/fd")).ok()?.count();
    u32::try_from(open).ok()
}

/// A line of its status that is a number of KiB, in bytes.
fn status(id: u32, line: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let value = status.lines().find_map(|text| text.strip_prefix(line))?;
    let value: f64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(value * 1024.0)
}
