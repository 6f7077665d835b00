//! Whatever a provider answers, `gemini` gives a result or a typed error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use understudy_fuzz::answers::{resume, seeds};
use understudy_plugin_gemini::Gemini;

fuzz_target!(init: seeds::<Gemini>("gemini"), |bytes: &[u8]| resume::<Gemini>("gemini", bytes));
