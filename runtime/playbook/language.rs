//! The script engine of one playbook: its limits, its functions, and where imports come from.

use super::{
    Host, Limits, bindings,
    book::SharedBook,
    current::{Current, Stopped},
    declare, fault, functions, guard, settings_value, tainted,
    units::Units,
};
use crate::bind::Registry;
use rhai::{Engine, EvalAltResult, Module, ModuleResolver, OptimizationLevel, Position, Scope, Shared};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock},
};

/// What the engine is made of.
pub(super) struct Parts<'a> {
    pub units: &'a Arc<Units>,
    pub book: &'a SharedBook,
    pub registry: &'a Registry,
    pub host: &'a Arc<dyn Host>,
    pub limits: &'a Limits,
    pub allow_read: &'a [PathBuf],
}

/// Makes the engine.
pub(super) fn engine(parts: &Parts<'_>) -> Engine {
    let mut engine = bare(parts.limits);
    let plain = Arc::new(bare(parts.limits));
    guard::register(&mut engine, &plain);
    let names: Arc<OnceLock<BTreeSet<String>>> = Arc::default();
    tainted::register(&mut engine, &names);
    fault::register(&mut engine);
    settings_value::register(&mut engine);
    functions::register(&mut engine, parts.units, parts.host, parts.allow_read);
    declare::register(&mut engine, parts.book, parts.units, parts.limits);
    bindings::register(&mut engine, parts.registry, parts.host, &functions::reading(parts.units, parts.allow_read));
    engine.set_module_resolver(Resolver { units: parts.units.clone(), done: Mutex::default(), open: Mutex::default() });
    let known = engine.collect_fn_metadata(None, |found| Some(found.metadata.name.to_string()), true);
    let _ = names.set(known.into_iter().collect());
    engine
}

/// An engine with our limits and nothing else.
fn bare(limits: &Limits) -> Engine {
    let mut engine = Engine::new();
    engine
        // Positions and comments of constant maps get lost when they are folded.
        .set_optimization_level(OptimizationLevel::None)
        // Built-in shortcuts for operators would not see marked texts.
        .set_fast_operators(false)
        .set_strict_variables(true)
        .set_fail_on_invalid_map_property(true)
        .set_max_operations(limits.operations_at_load.max(limits.operations_per_step))
        .set_max_call_levels(limits.call_levels)
        .set_max_expr_depths(limits.expression_depth, limits.expression_depth)
        .set_max_string_size(limits.text_bytes)
        .set_max_array_size(limits.list_items)
        .set_max_map_size(limits.map_keys)
        .set_max_modules(limits.modules)
        // One lock for all texts of all threads: parallel steps would wait for each other.
        .set_max_strings_interned(0)
        .disable_symbol("eval");
    engine.on_progress(|_| Current::tick());
    engine
}

struct Resolver {
    units: Arc<Units>,
    done: Mutex<BTreeMap<Arc<str>, Shared<Module>>>,
    /// Files that are being read, outermost first.
    open: Mutex<Vec<Arc<str>>>,
}

impl ModuleResolver for Resolver {
    fn resolve(
        &self,
        engine: &Engine,
        source: Option<&str>,
        path: &str,
        position: Position,
    ) -> Result<Shared<Module>, Box<EvalAltResult>> {
        let raise = |found: super::Diagnostic| fault::Fault::from(found).raise(position);
        let stopped = || EvalAltResult::ErrorTerminated(rhai::Dynamic::from(Stopped::Cancelled), position);
        let id = self.units.locate(source.unwrap_or_default(), path).map_err(raise)?;
        if let Some(module) = self.done.lock().ok().and_then(|done| done.get(&id).cloned()) {
            return Ok(module);
        }
        {
            let mut open = self.open.lock().map_err(|_| stopped())?;
            if let Some(start) = open.iter().position(|other| *other == id) {
                let round: Vec<&str> = open[start..].iter().chain([&id]).map(AsRef::as_ref).collect();
                let fault = fault::Fault::usage(format!("files import each other: {}", round.join(" → ")));
                return Err(fault.raise(position));
            }
            open.push(id.clone());
        }
        let made = self.units.compile(engine, &id).map_err(raise).and_then(|unit| {
            Module::eval_ast_as_new(Scope::new(), &unit.ast, engine)
                .map_err(|why| EvalAltResult::ErrorInModule(id.to_string(), why, position).into())
        });
        if let Ok(mut open) = self.open.lock() {
            open.pop();
        }
        let module: Shared<Module> = made?.into();
        if let Ok(mut done) = self.done.lock() {
            done.insert(id, module.clone());
        }
        Ok(module)
    }
}
