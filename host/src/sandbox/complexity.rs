//! An estimate of what a component costs the compiler: one pass before the compilation, at a hundredth of its cost.
//!
//! It refuses components that are known to take long. The bound itself is the limits of the compiler's own process (`compiler`).
//!
//! The largest component that is known to be a plugin (componentize-py's 0.25.1, 18 MB) has 13,482 functions, the largest of 427 KB, 40 parts, 109
//! instances and 9,795 items: not a quarter of any of these.

mod function;
mod signatures;

use wasmparser::{Encoding, Parser, Payload};

use function::{Cost, cost};
use signatures::Signatures;

/// The functions of all its core modules together.
const FUNCTIONS: u64 = 250_000;
/// The bytes of one function's body: the compiler's time grows faster than they do.
const BODY: usize = 2 << 20;
/// Core modules and components, one in another included.
const PARTS: usize = 1_000;
/// Instances that a component makes of them, core instances included.
const INSTANCES: u64 = 10_000;
/// Types, imports, exports, aliases and canonical functions of the whole component.
const ITEMS: u64 = 1_000_000;

/// The most that one function may cost, and all functions of a component together, where the compiler has a process of its own. In components of the
/// toolchains for JavaScript, Python and Go, the largest function costs 14,161 `loops`, 114,076 `joins`, 293,502 `reach` and 7,780 `passed`, and all
/// functions together 327,302, 2,137,650, 5,210,457 and 345,065. A function with 45,000 `loops` compiles in one or two seconds, one with 180,000 in
/// more than ten.
const MOST_OF_ONE: Cost = Cost { loops: 50_000, joins: 1_000_000, reach: 5_000_000, passed: 200_000 };
const MOST_OF_ALL: Cost = Cost { loops: 2_000_000, joins: 20_000_000, reach: 50_000_000, passed: 4_000_000 };

/// Where a component is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CompileSite {
    /// In a child, which has limits.
    Child,
    /// In this process.
    Here,
}

impl CompileSite {
    /// The most that a component may cost there.
    fn of(self, most: Cost) -> Cost {
        match self {
            Self::Child => most,
            Self::Here => most.half(),
        }
    }
}

/// Why a component isn't compiled.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ComplexityError {
    /// It costs the compiler more than a bound allows.
    TooMuch(String),
    /// It can't be read.
    Broken(String),
}

/// Checks a component.
///
/// # Errors
/// [`ComplexityError::TooMuch`] names the bound that is exceeded; [`ComplexityError::Broken`] says why the bytes are no component.
pub(super) fn check(bytes: &[u8], site: CompileSite) -> Result<(), ComplexityError> {
    let (mut functions, mut parts, mut instances, mut items) = (0_u64, 0, 0_u64, 0_u64);
    let (mut signatures, mut all) = (Signatures::default(), Cost::default());
    let (most_of_one, most_of_all) = (site.of(MOST_OF_ONE), site.of(MOST_OF_ALL));
    let broken = |e: wasmparser::BinaryReaderError| ComplexityError::Broken(e.to_string());
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(broken)? {
            Payload::Version { encoding: Encoding::Module, .. } => signatures = Signatures::default(),
            Payload::CodeSectionStart { count, .. } => functions += u64::from(count),
            Payload::CodeSectionEntry(body) if body.range().len() > BODY => {
                let size = body.range().len();
                let reason = format!("one of its functions holds {size} bytes, and {BODY} is the most");
                return Err(ComplexityError::TooMuch(reason));
            }
            Payload::CodeSectionEntry(body) => {
                let of_this = cost(&body, signatures.next_body(), &signatures).map_err(broken)?;
                of_this.hold("one of its functions", most_of_one)?;
                all.add(of_this);
                all.hold("all of it", most_of_all)?;
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => parts += 1,
            Payload::InstanceSection(section) => instances += u64::from(section.count()),
            Payload::ComponentInstanceSection(section) => instances += u64::from(section.count()),
            Payload::TypeSection(section) => {
                items += u64::from(section.count());
                signatures.types(section).map_err(broken)?;
            }
            Payload::CoreTypeSection(section) => items += u64::from(section.count()),
            Payload::ComponentTypeSection(section) => items += u64::from(section.count()),
            Payload::ImportSection(section) => {
                items += u64::from(section.count());
                signatures.imports(section).map_err(broken)?;
            }
            Payload::FunctionSection(section) => signatures.functions(section).map_err(broken)?,
            Payload::ComponentImportSection(section) => items += u64::from(section.count()),
            Payload::ExportSection(section) => items += u64::from(section.count()),
            Payload::ComponentExportSection(section) => items += u64::from(section.count()),
            Payload::ComponentAliasSection(section) => items += u64::from(section.count()),
            Payload::ComponentCanonicalSection(section) => items += u64::from(section.count()),
            _ => {}
        }
        let most = |what: &str, most: u64| Err(ComplexityError::TooMuch(format!("it holds more than {most} {what}")));
        if functions > FUNCTIONS {
            return most("functions", FUNCTIONS);
        }
        if parts > PARTS {
            return most("modules and components", PARTS as u64);
        }
        if instances > INSTANCES {
            return most("instances", INSTANCES);
        }
        if items > ITEMS {
            return most("types, imports, exports and aliases", ITEMS);
        }
    }
    Ok(())
}

impl Cost {
    fn half(self) -> Self {
        Self { loops: self.loops / 2, joins: self.joins / 2, reach: self.reach / 2, passed: self.passed / 2 }
    }

    /// Refuses what costs more than `most`.
    fn hold(self, what: &str, most: Self) -> Result<(), ComplexityError> {
        let parts = [
            (self.loops, most.loops, "values are passed to the beginnings of loops"),
            (self.joins, most.joins, "values are passed to the ends of blocks"),
            (self.reach, most.reach, "blocks are crossed by its locals"),
            (self.passed, most.passed, "parameters and results are passed"),
        ];
        match parts.into_iter().find(|(found, most, _)| found > most) {
            Some((found, most, how)) => {
                Err(ComplexityError::TooMuch(format!("in {what}, {found} {how}, and {most} is the most")))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use wasm_encoder::{CodeSection, Component, Function, FunctionSection, Module, ModuleSection, TypeSection};

    use super::*;

    /// A component with this many modules of this many functions, each of this many instructions.
    fn component(modules: usize, functions: usize, instructions: usize) -> Vec<u8> {
        let mut module = Module::new();
        let (mut types, mut list, mut code) = (TypeSection::new(), FunctionSection::new(), CodeSection::new());
        types.ty().function([], []);
        for _ in 0..functions {
            list.function(0);
            let mut function = Function::new([]);
            function.raw(std::iter::repeat_n(0x01, instructions));
            function.raw([0x0b]);
            code.function(&function);
        }
        module.section(&types).section(&list).section(&code);
        let mut component = Component::new();
        for _ in 0..modules {
            component.section(&ModuleSection(&module));
        }
        component.finish()
    }

    #[test]
    fn what_would_keep_the_compiler_busy_is_refused() {
        assert_eq!(check(&component(3, 10, 10), CompileSite::Here), Ok(()));
        let too_much = |reason: &str| Err(ComplexityError::TooMuch(reason.to_owned()));
        assert_eq!(
            check(&component(1, 250_001, 0), CompileSite::Here),
            too_much("it holds more than 250000 functions")
        );
        assert_eq!(
            check(&component(1001, 1, 0), CompileSite::Here),
            too_much("it holds more than 1000 modules and components")
        );
        let reason = "one of its functions holds 2097154 bytes, and 2097152 is the most";
        assert_eq!(check(&component(1, 1, BODY), CompileSite::Here), too_much(reason));
        assert!(matches!(check(&component(1, 1, 10)[..20], CompileSite::Here), Err(ComplexityError::Broken(_))));
    }

    #[test]
    fn the_built_in_plugins_are_far_below() {
        for plugin in crate::builtins::BUILT_IN {
            assert_eq!(check(&plugin.component(), CompileSite::Here), Ok(()), "{}", plugin.name);
        }
    }
}
