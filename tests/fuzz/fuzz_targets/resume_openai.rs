//! Whatever a provider answers, `openai` gives a result or a typed error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use understudy_fuzz::answers::{resume, seeds};
use understudy_plugin_openai::OpenAi;

fuzz_target!(init: seeds::<OpenAi>("openai"), |bytes: &[u8]| resume::<OpenAi>("openai", bytes));
