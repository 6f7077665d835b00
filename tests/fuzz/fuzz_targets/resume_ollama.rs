//! Whatever a provider answers, `ollama` gives a result or a typed error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use understudy_plugin_ollama::Ollama;

fuzz_target!(init: understudy_fuzz::seeds::<Ollama>("ollama"), |bytes: &[u8]| understudy_fuzz::resume::<Ollama>("ollama", bytes));
