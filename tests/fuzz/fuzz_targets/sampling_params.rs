//! Whatever a server asks: a rule that is broken, or a request that each plugin converts or refuses with a typed error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use understudy_fuzz::sampling::{asked, request_seeds};

fuzz_target!(init: request_seeds(), |bytes: &[u8]| asked(bytes));
