//! Whatever a component says of itself: a plugin, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use understudy_fuzz::wit;

fuzz_target!(init: wit::description_seeds(), |bytes: &[u8]| wit::described(bytes));
