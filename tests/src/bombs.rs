//! Components that are small, valid, and dear to compile.

use std::borrow::Cow;

use wasm_encoder::{
    BlockType, CodeSection, Component, CustomSection, Function, FunctionSection, Instruction, Module, ModuleSection,
    NestedComponentSection, TypeSection, ValType,
};

/// What makes it dear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Loops in one another, all repeated from the innermost, in which so many locals change.
    LocalsOfLoops,
    /// The same with values that the loops take, instead of locals.
    ParametersOfLoops,
    /// The same, by one `br_table` to all of them.
    TableOfLoops,
    /// Blocks in one another, left by one `br_table`; after the end of each a local changes.
    LocalsOfBlocks,
    /// Conditions in one another, in each of which a local changes that is read at the end.
    LocalsOfConditions,
    /// The same, each within the `else` of the one before, and in each all locals change.
    ChainOfElse,
    /// So many blocks one after the other, and locals that are read behind all of them.
    LongLives,
    /// Calls one after the other, which pass so many values each.
    Calls,
}

impl Shape {
    /// All of them, each with a number and a number that make it take tens of seconds or gigabytes, or would.
    pub const ALL: [(Self, u32, u32); 8] = [
        (Self::LocalsOfLoops, 300, 300),
        (Self::ParametersOfLoops, 300, 300),
        (Self::TableOfLoops, 300, 300),
        (Self::LocalsOfBlocks, 3_000, 3_000),
        (Self::LocalsOfConditions, 3_000, 3_000),
        (Self::ChainOfElse, 3_000, 600),
        (Self::LongLives, 100_000, 1_000),
        (Self::Calls, 50_000, 1_000),
    ];
}

/// A component with one such function.
#[must_use]
pub fn bomb(shape: Shape, depth: u32, width: u32) -> Vec<u8> {
    component(&module(shape, depth, width, 1))
}

/// A component with so many functions, each of which is let pass and takes seconds: 150 loops in one another, and as many locals. More than 44
/// aren't let pass together.
#[must_use]
pub fn many(functions: u32) -> Vec<u8> {
    component(&module(Shape::LocalsOfLoops, 150, 150, functions))
}

/// The bomb within components within a component.
#[must_use]
pub fn nested(shape: Shape, depth: u32, width: u32) -> Vec<u8> {
    let mut inner = Component::new();
    inner.section(&ModuleSection(&module(shape, depth, width, 1)));
    for _ in 0..3 {
        let mut outer = Component::new();
        outer.section(&NestedComponentSection(&inner));
        inner = outer;
    }
    inner.finish()
}

/// The core module of a bomb.
#[must_use]
pub fn core(shape: Shape, depth: u32, width: u32) -> Vec<u8> {
    module(shape, depth, width, 1).finish()
}

/// The component, as another one: nobody has compiled it before.
#[must_use]
pub fn never_seen(component: &[u8]) -> Vec<u8> {
    let data = fastrand::u128(..).to_le_bytes();
    let custom = CustomSection { name: Cow::Borrowed("never seen"), data: Cow::Borrowed(&data) };
    let mut bytes = component.to_vec();
    wasm_encoder::ComponentSection::append_to_component(&custom, &mut bytes);
    bytes
}

fn component(module: &Module) -> Vec<u8> {
    let mut component = Component::new();
    component.section(&ModuleSection(module));
    component.finish()
}

/// The types of the module: of the functions that are dear, and of what takes and gives `width` values.
const PLAIN: u32 = 0;
const WIDE: u32 = 1;

fn module(shape: Shape, depth: u32, width: u32, count: u32) -> Module {
    let (mut types, mut functions, mut code) = (TypeSection::new(), FunctionSection::new(), CodeSection::new());
    types.ty().function([], []);
    let wide = vec![ValType::I64; width.min(1000) as usize];
    types.ty().function(wide.clone(), wide.clone());
    // What calls pass values through.
    functions.function(WIDE);
    let mut through = Function::new([]);
    (0..width.min(1000)).for_each(|local| {
        through.instruction(&Instruction::LocalGet(local));
    });
    code.function(through.instruction(&Instruction::End));
    for _ in 0..count {
        functions.function(PLAIN);
        let mut function = Function::new([(width, ValType::I64)]);
        for instruction in body(shape, depth, width) {
            function.instruction(&instruction);
        }
        code.function(function.instruction(&Instruction::End));
    }
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&code);
    module
}

fn body(shape: Shape, depth: u32, width: u32) -> Vec<Instruction<'static>> {
    use Instruction::{
        BrIf, BrTable, Call, Drop, Else, End, I32WrapI64, I64Add, I64Const, If, LocalGet, LocalSet, Nop,
    };
    let change = |local: u32| [LocalGet(local), I64Const(1), I64Add, LocalSet(local)];
    let ask = |local: u32| [LocalGet(local % width), I32WrapI64];
    let read = |local: u32| [LocalGet(local), Drop];
    let begin = |block: fn(BlockType) -> Instruction<'static>, ty| vec![block(ty); depth as usize];
    let ends = vec![End; depth as usize];
    let table = || BrTable(Cow::Owned((0..depth).collect()), 0);
    let mut all = Vec::new();
    match shape {
        Shape::LocalsOfLoops | Shape::TableOfLoops => {
            all.extend(begin(Instruction::Loop, BlockType::Empty));
            all.extend((0..width).flat_map(change));
            if shape == Shape::TableOfLoops {
                all.extend(ask(0));
                all.push(table());
            } else {
                all.extend((0..depth).flat_map(|depth| ask(depth).into_iter().chain([BrIf(depth)])));
            }
            all.extend(ends);
            all.extend((0..width).flat_map(read));
        }
        Shape::ParametersOfLoops => {
            all.extend((0..width).map(LocalGet));
            all.extend(begin(Instruction::Loop, BlockType::FunctionType(WIDE)));
            all.push(Call(0));
            all.extend((0..depth).flat_map(|depth| ask(depth).into_iter().chain([BrIf(depth)])));
            all.extend(ends);
            all.extend(vec![Drop; width as usize]);
        }
        Shape::LocalsOfBlocks => {
            all.extend(begin(Instruction::Block, BlockType::Empty));
            all.extend(ask(0));
            all.push(table());
            for local in 0..depth {
                all.push(End);
                all.extend(change(local % width));
            }
            all.extend((0..width).flat_map(read));
        }
        Shape::LocalsOfConditions => {
            for local in 0..depth {
                all.extend(ask(local));
                all.push(If(BlockType::Empty));
                all.extend(change(local % width));
            }
            all.extend(ends);
            all.extend((0..width).flat_map(read));
        }
        Shape::ChainOfElse => {
            for local in 0..depth {
                all.extend(ask(local));
                all.push(If(BlockType::Empty));
                all.extend(change(local % width));
                all.push(Else);
            }
            all.extend((0..width).flat_map(change));
            all.extend(ends);
            all.extend((0..width).flat_map(read));
        }
        Shape::LongLives => {
            all.extend((0..width).flat_map(change));
            for local in 0..depth {
                all.extend(ask(local % 2));
                all.extend([If(BlockType::Empty), Nop, End]);
            }
            all.extend((0..width).flat_map(read));
        }
        Shape::Calls => {
            all.extend((0..width).map(LocalGet));
            all.extend(vec![Call(0); depth as usize]);
            all.extend(vec![Drop; width as usize]);
        }
    }
    all
}
