//! The numbers of parameters and results of a core module's functions.

use wasmparser::{
    BlockType, CompositeInnerType, FunctionSectionReader, ImportSectionReader, Result, TypeRef, TypeSectionReader,
};

/// Numbers of parameters and results: of each type, and the type of each function.
#[derive(Debug, Default)]
pub(super) struct Signatures {
    types: Vec<(u32, u32)>,
    functions: Vec<u32>,
    /// The function whose body comes next.
    next: u32,
}

impl Signatures {
    pub(super) fn types(&mut self, section: TypeSectionReader) -> Result<()> {
        for group in section {
            for ty in group?.into_types() {
                let count = |list: &[_]| u32::try_from(list.len()).unwrap_or(u32::MAX);
                self.types.push(match &ty.composite_type.inner {
                    CompositeInnerType::Func(function) => (count(function.params()), count(function.results())),
                    _ => (0, 0),
                });
            }
        }
        Ok(())
    }

    pub(super) fn imports(&mut self, section: ImportSectionReader) -> Result<()> {
        for import in section.into_imports() {
            if let TypeRef::Func(ty) | TypeRef::FuncExact(ty) = import?.ty {
                self.functions.push(ty);
                self.next += 1;
            }
        }
        Ok(())
    }

    pub(super) fn functions(&mut self, section: FunctionSectionReader) -> Result<()> {
        for ty in section {
            self.functions.push(ty?);
        }
        Ok(())
    }

    /// The number of the function whose body comes next.
    pub(super) fn next_body(&mut self) -> u32 {
        let index = self.next;
        self.next = index.saturating_add(1);
        index
    }

    /// An unknown type costs nothing: validation refuses it.
    pub(super) fn of_type(&self, index: u32) -> (u32, u32) {
        self.types.get(index as usize).copied().unwrap_or_default()
    }

    pub(super) fn of_function(&self, index: u32) -> (u32, u32) {
        self.functions.get(index as usize).map(|ty| self.of_type(*ty)).unwrap_or_default()
    }

    pub(super) fn of_block(&self, ty: BlockType) -> (u32, u32) {
        match ty {
            BlockType::Empty => (0, 0),
            BlockType::Type(_) => (0, 1),
            BlockType::FuncType(index) => self.of_type(index),
        }
    }
}
