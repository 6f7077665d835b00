//! Whatever client and server say: what isn't sampling passes as it is and in order, and each sampling request gets one answer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use understudy_fuzz::relay;

fuzz_target!(init: relay::seeds(), |bytes: &[u8]| relay::played(bytes));
