//! Whatever the settings and the request, `openai` converts it or refuses it with a typed error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use understudy_fuzz::sampling::{start_seeds, started_with};
use understudy_plugin_openai::OpenAi;

fuzz_target!(init: start_seeds("openai"), |bytes: &[u8]| started_with::<OpenAi>(bytes));
