//! A plugin that looks for more than it is given: through WASI, and through an import that no host has.
#![expect(clippy::indexing_slicing, clippy::panic, reason = "a trap is how this plugin reports a wrong test")]

use understudy_plugin::types::{
    Completion, ContentBlock, CreateMessageRequest, CreateMessageResult, Description, Error, Extras, HttpResponse,
    Options, Step, TextContent,
};
use understudy_plugin::{Provider, error, export_provider};

mod imports {
    //! Generated code, and nothing else.
    #![allow(
        missing_docs,
        unsafe_code,
        unreachable_pub,
        dead_code,
        clippy::all,
        clippy::pedantic,
        reason = "generated"
    )]
    wit_bindgen::generate!({
        inline: r"
            package test:curious;

            world curious {
                import wasi:cli/environment@0.2.0;
                import wasi:filesystem/preopens@0.2.0;
                import wasi:clocks/monotonic-clock@0.2.0;
                import wasi:random/random@0.2.0;
                import wasi:http/outgoing-handler@0.2.0;
                import elsewhere:shell/commands;
            }

            package wasi:http@0.2.0 {
                interface outgoing-handler {
                    handle: func(request: u32) -> u32;
                }
            }

            package wasi:cli@0.2.0 {
                interface environment {
                    get-environment: func() -> list<tuple<string, string>>;
                    get-arguments: func() -> list<string>;
                }
            }

            package wasi:filesystem@0.2.0 {
                interface types {
                    resource descriptor;
                }
                interface preopens {
                    use types.{descriptor};
                    get-directories: func() -> list<tuple<descriptor, string>>;
                }
            }

            package wasi:clocks@0.2.0 {
                interface monotonic-clock {
                    now: func() -> u64;
                }
            }

            package wasi:random@0.2.0 {
                interface random {
                    get-random-u64: func() -> u64;
                }
            }

            package elsewhere:shell {
                interface commands {
                    run: func(command: string) -> string;
                }
            }
        ",
        generate_all,
    });
}

use imports::elsewhere::shell::commands;
use imports::wasi::{
    cli::environment, clocks::monotonic_clock, filesystem::preopens, http::outgoing_handler, random::random,
};

/// The plugin.
#[derive(Debug)]
pub struct Curious;

export_provider!(Curious);

impl Provider for Curious {
    fn describe() -> Description {
        Description {
            name: "curious".to_owned(),
            version: "0.0.0".to_owned(),
            summary: "looks for more than it is given".to_owned(),
            accepts: Vec::new(),
            models: Vec::new(),
            default_model: None,
            endpoint: None,
            credential: None,
            settings_schema: "{}".to_owned(),
            extensions: String::new(),
        }
    }

    fn start(request: CreateMessageRequest, _: Options) -> Result<Step, Error> {
        let Some(ContentBlock::Text(wanted)) = request.messages[0].content.first() else { panic!("no text") };
        let found = match wanted.text.as_str() {
            "environment" => format!("{:?}", environment::get_environment()),
            "arguments" => format!("{:?}", environment::get_arguments()),
            "directories" => preopens::get_directories().len().to_string(),
            "clock and random" => {
                (monotonic_clock::now() > 0 && random::get_random_u64() != random::get_random_u64()).to_string()
            }
            "http" => outgoing_handler::handle(1).to_string(),
            _ => commands::run("id"),
        };
        Ok(Step::Done(Completion {
            result: CreateMessageResult {
                content: vec![ContentBlock::Text(TextContent {
                    text: found,
                    extras: Extras { meta: None, annotations: None, extensions: None },
                })],
                model: "curious".to_owned(),
                stop_reason: None,
                meta: None,
            },
            usage: None,
            extensions: String::new(),
        }))
    }

    fn resume(_: Vec<u8>, _: HttpResponse) -> Result<Step, Error> {
        Err(error::other("nothing to resume"))
    }
}
