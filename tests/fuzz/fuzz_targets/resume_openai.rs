//! Whatever a provider answers, `openai` gives a result or a typed error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use understudy_plugin_openai::OpenAi;

fuzz_target!(init: understudy_fuzz::seeds::<OpenAi>("openai"), |bytes: &[u8]| understudy_fuzz::resume::<OpenAi>("openai", bytes));
