//! Whatever a provider answers, `anthropic` gives a result or a typed error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use understudy_fuzz::answers::{resume, seeds};
use understudy_plugin_anthropic::Anthropic;

fuzz_target!(init: seeds::<Anthropic>("anthropic"), |bytes: &[u8]| resume::<Anthropic>("anthropic", bytes));
