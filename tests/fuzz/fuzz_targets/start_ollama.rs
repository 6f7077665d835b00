//! Whatever the settings and the request, `ollama` converts it or refuses it with a typed error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use understudy_fuzz::sampling::{start_seeds, started_with};
use understudy_plugin_ollama::Ollama;

fuzz_target!(init: start_seeds("ollama"), |bytes: &[u8]| started_with::<Ollama>(bytes));
