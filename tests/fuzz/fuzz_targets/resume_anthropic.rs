//! Whatever a provider answers, `anthropic` gives a result or a typed error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use understudy_plugin_anthropic::Anthropic;

fuzz_target!(init: understudy_fuzz::seeds::<Anthropic>("anthropic"), |bytes: &[u8]| understudy_fuzz::resume::<Anthropic>("anthropic", bytes));
