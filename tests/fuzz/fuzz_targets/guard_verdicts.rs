//! Whatever a guard makes of a request or an answer: refused, or as valid as before.
#![no_main]

use libfuzzer_sys::fuzz_target;
use understudy_fuzz::guards;

fuzz_target!(init: guards::verdict_seeds(), |bytes: &[u8]| guards::judged(bytes));
