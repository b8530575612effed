//! Bindings as functions of scripts: `aws::ec2::vpc(#{ … })`.

use super::{
    Diagnostic, Host,
    convert::{from_json, to_json},
    current::Current,
    fault::Fault,
    schema,
    units::Units,
};
use crate::{
    bind::{ArgumentError, Binding, Entry, Registry},
    error::Class,
    error::Error,
};
use rhai::{Dynamic, Engine, EvalAltResult, Module, NativeCallContext};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};

type Res<T> = Result<T, Box<EvalAltResult>>;

/// Registers a module for each prefix of the names in `registry`.
/// `read` is told of each file that a binding reads for a script.
pub(super) fn register(
    engine: &mut Engine,
    registry: &Registry,
    host: &Arc<dyn Host>,
    read: &Arc<dyn Fn(&str) + Send + Sync>,
) {
    let mut modules: BTreeMap<&'static str, Module> = BTreeMap::new();
    for entry in registry.iter() {
        let Some((space, name)) = entry.name.rsplit_once("::") else { continue };
        let module = modules.entry(space).or_default();
        let (own, to, read) = (entry.clone(), host.clone(), read.clone());
        module.set_native_fn(name, move |context: NativeCallContext, arguments: Dynamic| -> Res<Dynamic> {
            call(&own, to.as_ref(), read.as_ref(), &context, &arguments)
        });
        let (own, to) = (entry.clone(), host.clone());
        module.set_native_fn(name, move |context: NativeCallContext| -> Res<Dynamic> {
            call(&own, to.as_ref(), &|_| (), &context, &Dynamic::from_map(rhai::Map::new()))
        });
    }
    for (space, module) in modules {
        engine.register_static_module(space, module.into());
    }
}

fn call(
    entry: &Entry,
    host: &dyn Host,
    read: &dyn Fn(&str),
    context: &NativeCallContext,
    arguments: &Dynamic,
) -> Res<Dynamic> {
    let position = context.call_position();
    let name = entry.name;
    let Some(current) = Current::get().filter(|current| current.step.is_some()) else {
        let fault = Fault::usage(format!("`{name}` can be called inside a step only"));
        return Err(fault.hint("put the call into the closure of a `step`").raise(position));
    };
    if let Some(why) = current.stopped() {
        return Err(EvalAltResult::ErrorTerminated(Dynamic::from(why), position).into());
    }
    let arguments =
        to_json(arguments).map_err(|why| Fault::usage(format!("`{name}` takes data: {why}")).raise(position))?;
    if !arguments.is_object() {
        let hint = format!("write `{name}(#{{ … }})`");
        return Err(Fault::usage(format!("`{name}` takes one map")).hint(hint).raise(position));
    }
    check(entry, &arguments).map_err(|mut fault| {
        fault.error.of_arguments = true;
        // The cloud would call it invalid; here it is a mistake of whoever wrote it down.
        fault.error.class = Class::Usage;
        fault.raise(position)
    })?;
    if let Binding::Composite(composite) = &entry.binding
        && let Some(path) = composite.reads(&arguments)
    {
        read(&path);
    }
    let at = Units::position(context.call_source().unwrap_or_default(), position);
    let step = current.step.as_deref().unwrap_or_default();
    let output =
        current.away(|| host.call(step, name, arguments, &at)).map_err(|why| Fault::from(why).raise(position))?;
    Ok(from_json(&output))
}

/// Checks arguments against the binding's type, and a resource's against its own rules.
fn check(entry: &Entry, arguments: &Value) -> Result<(), Fault> {
    let checked = match &entry.binding {
        Binding::Resource(kind) => kind.check(arguments)?,
        Binding::Lookup(lookup) => lookup.check(arguments),
        Binding::Wait(wait) => wait.check(arguments),
        Binding::Action(action) => action.check(arguments),
        Binding::Composite(composite) => composite.check(arguments),
    };
    checked.map_err(|mistake| reworded(entry, arguments, &mistake))
}

/// A mistake in the arguments, in our words: where, what, and what was probably meant.
fn reworded(entry: &Entry, arguments: &Value, mistake: &ArgumentError) -> Fault {
    // The schema names all mistakes about fields; the typed check is left with wrong types and values.
    if let Some(first) = schema::mistakes(&(entry.args)(), arguments).into_iter().next() {
        let error = Error::usage(format!("`{}`: {}", entry.name, first.message));
        return Fault::from(error).hint(first.hint);
    }
    let place = if mistake.path.is_empty() { String::new() } else { format!(" at `{}`", mistake.path) };
    let message = mistake.message.replace(" at line 0 column 0", "");
    let error = Error::usage(format!("`{}`: bad argument{place}", entry.name)).because(crate::secret::hide(&message));
    Fault::from(error)
}

/// A diagnostic for a binding that nobody knows, with the nearest one.
pub(super) fn unknown(registry: &Registry, name: &str) -> Diagnostic {
    let nearest = super::suggest::nearest(name, registry.iter().map(|entry| entry.name));
    let hint = nearest.map(|known| format!("did you mean `{known}`?")).unwrap_or_default();
    Diagnostic::usage(format!("there is no function `{name}`")).hint(hint)
}
