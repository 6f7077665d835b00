//! Whatever the config file holds: a config whose servers and plugins can be had, or an error that names the key.
#![no_main]

use libfuzzer_sys::fuzz_target;
use understudy_fuzz::config;

fuzz_target!(init: config::seeds(), |bytes: &[u8]| config::read(bytes));
