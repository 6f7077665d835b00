//! Whatever a provider answers, `ollama` gives a result or a typed error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use understudy_fuzz::answers::{resume, seeds};
use understudy_plugin_ollama::Ollama;

fuzz_target!(init: seeds::<Ollama>("ollama"), |bytes: &[u8]| resume::<Ollama>("ollama", bytes));
