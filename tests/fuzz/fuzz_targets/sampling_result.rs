//! Whatever a plugin answers, the server gets a result of the specification's shape, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use understudy_fuzz::sampling::answered;

fuzz_target!(|bytes: &[u8]| answered(bytes));
