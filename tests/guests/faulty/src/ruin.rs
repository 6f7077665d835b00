//! What a guest can do to itself and to whoever reads what it hands over: time, memory, and values that break the canonical ABI.

use std::hint::black_box;

use understudy_plugin::types::Header;

use crate::MIB;

#[expect(clippy::panic, reason = "that is the fault")]
pub(crate) fn panics() -> ! {
    panic!("the guest panics")
}

pub(crate) fn endless() -> ! {
    let mut n = 0_u64;
    loop {
        n = black_box(n.wrapping_add(1));
    }
}

#[expect(unconditional_recursion, reason = "that is the fault")]
pub(crate) fn recurse(n: u64) -> u64 {
    black_box(recurse(black_box(n + 1)) + n)
}

/// Takes so many MiB; how many it got.
pub(crate) fn eat(most: usize) -> usize {
    let mut eaten: Vec<Vec<u8>> = Vec::new();
    while black_box(&eaten).len() < most {
        eaten.push(vec![1; MIB]);
    }
    eaten.len()
}

/// How much one instruction does, and so how long it takes: some milliseconds.
const BULK: usize = 16 * MIB;

pub(crate) fn fill() -> ! {
    let mut memory = vec![0_u8; BULK];
    for byte in (0..=u8::MAX).cycle() {
        black_box(&mut memory).fill(byte);
    }
    endless()
}

pub(crate) fn copy() -> ! {
    let mut memory = vec![0_u8; BULK + 1];
    loop {
        black_box(&mut memory).copy_within(1.., 0);
    }
}

pub(crate) fn string_beyond_memory() -> String {
    let text = String::from("x");
    let pointer = text.leak().as_mut_ptr();
    #[expect(unsafe_code, clippy::same_length_and_capacity, reason = "that is the fault")]
    // SAFETY: there is none; nobody in the guest reads it.
    unsafe {
        String::from_raw_parts(pointer, 0x7000_0000, 0x7000_0000)
    }
}

pub(crate) fn invalid_utf8() -> String {
    #[expect(unsafe_code, reason = "that is the fault")]
    // SAFETY: there is none; nobody in the guest reads it.
    unsafe {
        String::from_utf8_unchecked(vec![b'a', 0xff, 0xfe, 0xc0, 0x80])
    }
}

/// A hundred thousand headers, all of them the same megabyte.
pub(crate) fn aliased_headers() -> Vec<Header> {
    let megabyte = "x".repeat(MIB).leak().as_mut_ptr();
    let alias = || {
        #[expect(unsafe_code, clippy::same_length_and_capacity, reason = "that is the fault")]
        // SAFETY: there is none; what is freed twice is freed when nobody looks any more.
        unsafe {
            String::from_raw_parts(megabyte, MIB, MIB)
        }
    };
    (0..100_000).map(|_| Header { name: alias(), value: alias() }).collect()
}

/// All of the guest's memory but its first bytes, which Rust can't look at.
pub(crate) fn memory() -> Vec<u8> {
    #[cfg(target_family = "wasm")]
    {
        let size = core::arch::wasm32::memory_size(0) * 65536;
        #[expect(unsafe_code, reason = "that is the fault")]
        // SAFETY: all of it is there, whatever it means.
        unsafe {
            std::slice::from_raw_parts(16 as *const u8, size - 16).to_vec()
        }
    }
    #[cfg(not(target_family = "wasm"))]
    Vec::new()
}
