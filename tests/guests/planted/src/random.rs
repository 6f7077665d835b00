//! Generated code, and nothing else: random numbers.
#![allow(missing_docs, unsafe_code, unreachable_pub, dead_code, clippy::all, clippy::pedantic, reason = "generated")]

wit_bindgen::generate!({
    inline: r"
        package test:planted;

        world planted {
            import wasi:random/random@0.2.0;
        }

        package wasi:random@0.2.0 {
            interface random {
                get-random-u64: func() -> u64;
            }
        }
    ",
    generate_all,
});
