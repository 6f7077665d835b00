//! Whatever a provider streams, and however it is cut: the same events, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use understudy_fuzz::stream;

fuzz_target!(init: stream::seeds(), |bytes: &[u8]| stream::read(bytes));
