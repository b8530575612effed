//! Closures that are kept and called later, on any thread.

use super::{fault::Fault, units::Units};
use rhai::{Array, Dynamic, Engine, EvalAltResult, FnPtr, GlobalRuntimeState, Map, NativeCallContext, Position};
use std::sync::{Arc, RwLock};

/// A closure with everything it needs to be called long after its file was run.
#[derive(Clone)]
pub(super) struct Bound {
    /// The function, its captured values frozen.
    pub function: FnPtr,
    /// Imports, functions and constants as they were.
    global: Arc<GlobalRuntimeState>,
    /// The file whose code it is.
    pub unit: Arc<str>,
    /// Its parameters, without captured ones.
    pub params: Vec<String>,
    /// Where it was handed over.
    pub position: Position,
}

impl Bound {
    /// Keeps `function`, which a script handed to the native function of `context`.
    pub fn new(context: &NativeCallContext, units: &Units, function: &FnPtr) -> Result<Self, Box<EvalAltResult>> {
        let source = context.call_source().unwrap_or_default();
        let found = units.function(source, function.fn_name(), None);
        let Some((unit, number)) = found else {
            let fault = Fault::usage(format!("there is no function `{}`", function.fn_name()));
            return Err(fault.raise(context.call_position()));
        };
        let params = unit.functions[number].params.iter().skip(function.curry().len()).cloned().collect();
        let mut global = context.global_runtime_state().clone();
        global.num_operations = Default::default();
        global.level = 0;
        global.scope_level = 0;
        Ok(Self {
            function: freeze(function),
            global: Arc::new(global),
            unit: unit.id.clone(),
            params,
            position: context.call_position(),
        })
    }

    /// Calls it.
    pub fn call(&self, engine: &Engine, arguments: Vec<Dynamic>) -> Result<Dynamic, Box<EvalAltResult>> {
        let mut global = (*self.global).clone();
        // Reading a constant takes a lock for writing: each call has its own.
        if let Some(constants) = &global.constants {
            let own = constants.read().map(|constants| constants.clone()).unwrap_or_default();
            global.constants = Some(Arc::new(RwLock::new(own)));
        }
        let source = global.source.clone();
        let context = NativeCallContext::new_with_all_fields(engine, "step", source.as_deref(), &global, self.position);
        self.function.call_raw(&context, None, arguments)
    }
}

/// The same function with copies of the values it captured: what happens to the variables later does not matter to it.
fn freeze(function: &FnPtr) -> FnPtr {
    let mut function = function.clone();
    for value in function.iter_curry_mut() {
        *value = copied(value);
    }
    function
}

/// A copy that shares nothing with the original.
pub(super) fn copied(value: &Dynamic) -> Dynamic {
    let value = value.flatten_clone();
    if let Some(list) = value.read_lock::<Array>() {
        return list.iter().map(copied).collect::<Array>().into();
    }
    if let Some(map) = value.read_lock::<Map>() {
        return map.iter().map(|(key, value)| (key.clone(), copied(value))).collect::<Map>().into();
    }
    if let Some(function) = value.read_lock::<FnPtr>() {
        return freeze(&function).into();
    }
    value
}
