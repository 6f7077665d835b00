//! Whatever a component returns: a result, a typed error, a limit or a trap.
#![no_main]

use libfuzzer_sys::fuzz_target;
use understudy_fuzz::wit;

fuzz_target!(init: wit::result_seeds(), |bytes: &[u8]| wit::returned(bytes));
