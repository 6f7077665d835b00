//! The allocator of plugins. What an ordinary request needs is part of the memory that an instance begins with: it is there without a single
//! call of the host's, and the host need not change what is accessible for each call.

use std::alloc::Layout;
use std::arch::wasm32::memory_grow;
use std::mem::MaybeUninit;

use talc::base::Talc;
use talc::base::binning::Binning;
use talc::cell::TalcSyncCell;
use talc::source::Source;
use talc::wasm::WasmBinning;

/// What there is from the beginning, in bytes: enough for prompts of some kilobytes, as most are; one of 100 KB has it grow once.
const FIRST: usize = 1 << 20;
/// The least by which memory grows, in its pages.
const STEP: usize = 16;
const PAGE: usize = 64 << 10;

#[global_allocator]
static ALLOCATOR: TalcSyncCell<Memory, WasmBinning> = TalcSyncCell::new_wasm(Memory { has_begun: false });

/// Where the allocator's memory comes from.
#[derive(Debug)]
struct Memory {
    has_begun: bool,
}

#[expect(unsafe_code, reason = "an allocator hands out memory")]
// SAFETY: it allocates nothing itself.
unsafe impl Source for Memory {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        static mut ARENA: [MaybeUninit<u8>; FIRST] = [MaybeUninit::uninit(); FIRST];
        let (base, size) = if talc.source.has_begun {
            // As much more as the allocator's own notes may take.
            let wanted = layout.size().saturating_add(layout.align()).saturating_add(PAGE);
            let pages = wanted.div_ceil(PAGE).max(STEP);
            match memory_grow::<0>(pages) {
                usize::MAX => return Err(()),
                before => ((before * PAGE) as *mut u8, pages * PAGE),
            }
        } else {
            talc.source.has_begun = true;
            ((&raw mut ARENA).cast(), FIRST)
        };
        // SAFETY: nobody else knows of this memory, and it is given once.
        unsafe { talc.claim(base, size) }.map(|_| ()).ok_or(())
    }
}
