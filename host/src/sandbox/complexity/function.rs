//! The cost of compiling one function, beyond its size.
//!
//! Cranelift turns a function's locals into values. Where control flow joins, each branch passes each local that may differ as a parameter; the
//! register allocator's time grows faster than the number of these. A few bytes of code can cause thousands: nested loops whose innermost body
//! branches to each of them and changes all locals.

use wasmparser::{BlockType, FunctionBody, Operator, Result};

use super::signatures::Signatures;

/// The cost of compiling a function, or a whole component.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cost {
    /// Values passed to the beginnings of loops.
    pub(super) loops: u64,
    /// Values passed to the ends of blocks and conditions. An upper bound: values that are never read there count too.
    pub(super) joins: u64,
    /// For each read of a local, the blocks between it and the use before.
    pub(super) reach: u64,
    /// Parameters and results of calls, blocks and branches.
    pub(super) passed: u64,
}

impl Cost {
    pub(super) fn add(&mut self, other: Self) {
        self.loops = self.loops.saturating_add(other.loops);
        self.joins = self.joins.saturating_add(other.joins);
        self.reach = self.reach.saturating_add(other.reach);
        self.passed = self.passed.saturating_add(other.passed);
    }
}

/// The most locals of a function, parameters included, that validation allows.
const LOCALS: u32 = 50_000;

/// The cost of a function, in one pass: the number of steps for an operator doesn't depend on the others.
pub(super) fn cost(body: &FunctionBody, index: u32, signatures: &Signatures) -> Result<Cost> {
    let (params, results) = signatures.of_function(index);
    let mut locals = params;
    for declared in body.get_locals_reader()? {
        locals = locals.saturating_add(declared?.0);
    }
    let mut walk = Walk::new(locals.min(LOCALS), results);
    let mut operators = body.get_operators_reader()?;
    while !operators.eof() {
        walk.step(&operators.read()?, signatures);
    }
    Ok(walk.cost)
}

/// The state of the pass. Positions are numbers of operators, from 1 on.
struct Walk {
    now: u32,
    /// Basic blocks so far.
    block: u32,
    open: Vec<Construct>,
    locals: Vec<Local>,
    /// Written locals, each with the certain write before: it is restored at the end of the construct in which the local was written.
    writes: Vec<(u32, u32)>,
    cost: Cost,
}

#[derive(Debug, Clone, Copy, Default)]
struct Local {
    written: u32,
    /// The last write that is on every path to here; 0 is the function's beginning.
    certain: u32,
    read: u32,
    /// The block of its last use.
    block: u32,
}

/// A block, loop or condition whose end has not been reached.
#[derive(Debug, Clone, Copy, Default)]
struct Construct {
    start: u32,
    kind: ConstructKind,
    /// How many values a branch to it carries, and what else of it is on the stack.
    carries: u32,
    takes: u32,
    branches: u64,
    written: Count,
    /// Locals whose value from before the construct is read in it.
    from_before: Count,
    /// Where its `writes` begin.
    writes: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum ConstructKind {
    #[default]
    Block,
    Loop,
    If,
}

/// The number of locals that are read or written within a construct, and how many of them the construct around it has already counted.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    all: u64,
    known_around: u64,
}

impl Count {
    /// Adds an inner construct that has ended.
    fn join(&mut self, inner: Self) {
        self.all = self.all.saturating_add(inner.all.saturating_sub(inner.known_around));
    }
}

impl Walk {
    fn new(locals: u32, results: u32) -> Self {
        let body = Construct { carries: results, ..Construct::default() };
        Self {
            now: 0,
            block: 0,
            open: vec![body],
            locals: vec![Local::default(); locals as usize],
            writes: Vec::new(),
            cost: Cost::default(),
        }
    }

    fn step(&mut self, operator: &Operator, signatures: &Signatures) {
        self.now = self.now.saturating_add(1);
        match operator {
            Operator::LocalGet { local_index } => self.read(*local_index),
            Operator::LocalSet { local_index } | Operator::LocalTee { local_index } => self.write(*local_index),
            Operator::Block { blockty } => self.begin(ConstructKind::Block, *blockty, signatures),
            Operator::Loop { blockty } => self.begin(ConstructKind::Loop, *blockty, signatures),
            Operator::If { blockty } => self.begin(ConstructKind::If, *blockty, signatures),
            Operator::Else => self.otherwise(),
            Operator::End => self.end(),
            Operator::Br { relative_depth } | Operator::BrIf { relative_depth } => self.branch(*relative_depth),
            Operator::BrTable { targets } => {
                self.branch(targets.default());
                targets.targets().flatten().for_each(|depth| self.branch(depth));
            }
            Operator::Call { function_index } => self.pass(signatures.of_function(*function_index)),
            Operator::CallIndirect { type_index, .. } => self.pass(signatures.of_type(*type_index)),
            _ => {}
        }
    }

    fn begin(&mut self, kind: ConstructKind, of: BlockType, signatures: &Signatures) {
        let (params, results) = signatures.of_block(of);
        let (carries, takes) = if kind == ConstructKind::Loop { (params, results) } else { (results, params) };
        let (start, writes) = (self.now, self.writes.len());
        self.open.push(Construct { start, kind, carries, takes, writes, ..Construct::default() });
        self.block = self.block.saturating_add(1);
    }

    fn otherwise(&mut self) {
        let Some(from) = self.open.last().map(|construct| construct.writes) else { return };
        self.forget(from);
        self.block = self.block.saturating_add(1);
    }

    fn end(&mut self) {
        let Some(done) = self.open.pop() else { return };
        let (written, from_before) = (done.written.all, done.from_before.all);
        // The beginning of a loop is also entered from before it, and the end of a condition from both of its sides.
        let ways = |beside: u64| if done.branches + beside > 1 { done.branches + beside } else { 0 };
        let (ways, joins) = match done.kind {
            ConstructKind::Loop if done.branches > 0 => (ways(1), written.min(from_before)),
            ConstructKind::Loop => (0, 0),
            ConstructKind::Block => (ways(1), written),
            ConstructKind::If => (ways(2), written),
        };
        let values = ways.saturating_mul(joins.saturating_add(u64::from(done.carries)));
        let sum = if done.kind == ConstructKind::Loop { &mut self.cost.loops } else { &mut self.cost.joins };
        *sum = sum.saturating_add(values);
        self.cost.passed = self.cost.passed.saturating_add(u64::from(done.carries) + u64::from(done.takes));
        // Control flow reaches the code after a loop through the loop's end only; so it does after a block that nothing branches to.
        let is_join = done.kind == ConstructKind::If || done.kind == ConstructKind::Block && done.branches > 0;
        if is_join {
            self.forget(done.writes);
        }
        self.block = self.block.saturating_add(1);
        if let Some(around) = self.open.last_mut() {
            around.written.join(done.written);
            around.from_before.join(done.from_before);
        }
    }

    fn branch(&mut self, depth: u32) {
        self.block = self.block.saturating_add(1);
        let index = self.open.len().checked_sub(1).and_then(|last| last.checked_sub(depth as usize));
        if let Some(target) = index.and_then(|index| self.open.get_mut(index)) {
            target.branches += 1;
        }
    }

    fn pass(&mut self, (params, results): (u32, u32)) {
        self.cost.passed = self.cost.passed.saturating_add(u64::from(params) + u64::from(results));
    }

    fn write(&mut self, index: u32) {
        let Some(local) = self.locals.get_mut(index as usize) else { return };
        count(&mut self.open, local.written, |construct| &mut construct.written);
        self.writes.push((index, local.certain));
        (local.written, local.certain, local.block) = (self.now, self.now, self.block);
    }

    fn read(&mut self, index: u32) {
        let Some(local) = self.locals.get_mut(index as usize) else { return };
        count(&mut self.open, local.certain.max(local.read), |construct| &mut construct.from_before);
        self.cost.reach = self.cost.reach.saturating_add(u64::from(self.block - local.block));
        (local.read, local.block) = (self.now, self.block);
    }

    /// The writes from there on are not certain.
    fn forget(&mut self, from: usize) {
        while self.writes.len() > from {
            let Some((index, certain)) = self.writes.pop() else { return };
            if let Some(local) = self.locals.get_mut(index as usize) {
                local.certain = certain;
                local.read = local.read.min(certain);
            }
        }
    }
}

/// Counts a local in each construct that has begun after it was last counted.
fn count(open: &mut [Construct], last: u32, of: impl Fn(&mut Construct) -> &mut Count) {
    let first = if last == 0 { 0 } else { open.partition_point(|construct| construct.start <= last) };
    if let Some(construct) = open.get_mut(first) {
        of(construct).known_around += 1;
        if let Some(innermost) = open.last_mut() {
            of(innermost).all += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use wasm_encoder::{BlockType as Type, Function, Instruction, ValType};
    use wasmparser::BinaryReader;

    use super::*;

    fn of(function: &Function) -> Cost {
        let body = function.clone().into_raw_body();
        let signatures = Signatures::default();
        cost(&FunctionBody::new(BinaryReader::new(&body, 0)), 0, &signatures).unwrap()
    }

    fn function(locals: u32, instructions: &[Instruction]) -> Function {
        let mut function = Function::new([(locals, ValType::I64)]);
        for instruction in instructions {
            function.instruction(instruction);
        }
        function.instruction(&Instruction::End);
        function
    }

    fn change(local: u32) -> [Instruction<'static>; 4] {
        use Instruction::{I64Add, I64Const, LocalGet, LocalSet};
        [LocalGet(local), I64Const(1), I64Add, LocalSet(local)]
    }

    /// `depth` nested loops. `locals` change in the innermost, which branches to each loop.
    fn nest(depth: u32, locals: u32) -> Function {
        let mut all = vec![Instruction::Loop(Type::Empty); depth as usize];
        all.extend((0..locals).flat_map(change));
        for loop_ in 0..depth {
            all.extend([Instruction::I32Const(1), Instruction::BrIf(loop_)]);
        }
        all.extend(vec![Instruction::End; depth as usize]);
        function(locals, &all)
    }

    #[test]
    fn loops_in_one_another_cost_the_product_of_their_number_and_of_the_locals_that_change() {
        assert_eq!(of(&nest(1, 1)).loops, 2);
        assert_eq!(of(&nest(10, 20)).loops, 10 * 20 * 2);
        assert_eq!(of(&nest(300, 300)).loops, 300 * 300 * 2);
    }

    #[test]
    fn a_local_that_is_always_written_before_it_is_read_costs_no_loop_anything() {
        use Instruction::{Block, BrIf, Drop, End, I32Const, I64Const, LocalGet, LocalSet, Loop};
        let set = [I64Const(1), LocalSet(0)];
        let used = [LocalGet(0), Drop];
        let around = |inner: &[Instruction<'static>]| {
            let all: Vec<_> =
                [Loop(Type::Empty)].iter().chain(inner).chain(&[I32Const(1), BrIf(0), End]).cloned().collect();
            of(&function(1, &all)).loops
        };
        assert_eq!(around(&[set.as_slice(), &used].concat()), 0);
        assert_eq!(around(&[used.as_slice(), &set].concat()), 2);
        // A branch may skip it.
        let maybe = [[Block(Type::Empty), I32Const(1), BrIf(0)].as_slice(), &set, &[End], &used].concat();
        assert_eq!(around(&maybe), 2);
        let read_within = [[Block(Type::Empty), I32Const(1), BrIf(0)].as_slice(), &set, &used, &[End], &used].concat();
        assert_eq!(around(&read_within), 2);
        let certainly = [[Block(Type::Empty)].as_slice(), &set, &[End], &used].concat();
        assert_eq!(around(&certainly), 0);
    }

    #[test]
    fn blocks_in_one_another_cost_what_may_differ_at_their_ends() {
        use Instruction::{Block, BrIf, BrTable, Drop, End, I32Const, LocalGet};
        let targets: Vec<u32> = (0..10).collect();
        let mut all = vec![Block(Type::Empty); 10];
        all.extend([I32Const(0), BrTable(targets.into(), 9)]);
        for local in 0..10 {
            all.push(End);
            all.extend(change(local));
        }
        // At the end of each, all that were changed since the innermost ended; the outermost has one more branch.
        assert_eq!(of(&function(10, &all)).joins, (0..9).map(|before| before * 2).sum::<u64>() + 9 * 3);
        let all = [Block(Type::Empty), I32Const(1), BrIf(0), End, LocalGet(0), Drop];
        assert_eq!(of(&function(1, &all)), Cost { reach: 3, ..Cost::default() });
    }

    #[test]
    fn the_time_that_it_takes_is_that_of_reading() {
        let mut all = vec![Instruction::Loop(Type::Empty); 100_000];
        for local in 0..50_000 {
            all.extend(change(local));
        }
        all.extend(vec![Instruction::End; 100_000]);
        // Nothing branches back to their beginnings.
        assert_eq!(of(&function(50_000, &all)).loops, 0);
    }
}
