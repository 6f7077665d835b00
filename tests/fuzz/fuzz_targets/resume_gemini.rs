//! Whatever a provider answers, `gemini` gives a result or a typed error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use understudy_plugin_gemini::Gemini;

fuzz_target!(init: understudy_fuzz::seeds::<Gemini>("gemini"), |bytes: &[u8]| understudy_fuzz::resume::<Gemini>("gemini", bytes));
