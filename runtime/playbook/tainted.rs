//! What operators and functions do with unknown and secret values: an unknown makes the result unknown, a secret stays
//! one, and where neither is possible the script stops with an error that names the value.

use super::{
    explain,
    fault::Fault,
    taint::{self, SecretText, Taint, Unknown},
};
use rhai::{Dynamic, Engine, EvalAltResult, FLOAT, INT, ImmutableString, NativeCallContext};
use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
};

type Res<T> = Result<T, Box<EvalAltResult>>;

const BINARY: &[&str] =
    &["+", "-", "*", "/", "%", "**", "==", "!=", "<", "<=", ">", ">=", "&", "|", "^", "<<", ">>", "max", "min"];
const COMPARING: &[&str] = &["==", "!=", "<", "<=", ">", ">="];
const CONVERTING: &[&str] = &["to_string", "to_debug"];

/// Registers both types with their operators. `names` are all functions that exist, once they are known.
pub(super) fn register(engine: &mut Engine, names: &Arc<OnceLock<BTreeSet<String>>>) {
    engine.register_type_with_name::<Unknown>("unknown").register_type_with_name::<SecretText>("secret");
    unknowns(engine, names.clone());
    secrets(engine);
    texts(engine);
}

fn unknowns(engine: &mut Engine, names: Arc<OnceLock<BTreeSet<String>>>) {
    for name in CONVERTING.iter().chain(&["print", "debug"]) {
        engine.register_fn(*name, |unknown: &mut Unknown| unknown.marked());
    }
    engine.register_indexer_get(|unknown: &mut Unknown, key: ImmutableString| unknown.part(&format!(".{key}")));
    engine.register_indexer_get(|unknown: &mut Unknown, index: INT| unknown.part(&format!("[{index}]")));
    engine.register_indexer_get(|unknown: &mut Unknown, _: Unknown| unknown.part("[?]"));
    for name in BINARY.iter().chain(&["contains", "..", "..="]) {
        engine.register_fn(*name, |unknown: Unknown, _: Dynamic| unknown);
        engine.register_fn(*name, |_: Dynamic, unknown: Unknown| unknown);
        engine.register_fn(*name, |unknown: Unknown, _: Unknown| unknown);
    }
    for name in ["!", "-", "+"] {
        engine.register_fn(name, |unknown: Unknown| unknown);
    }
    for name in ["+=", "-=", "*=", "/=", "%=", "**="] {
        engine.register_fn(name, |_: &mut Unknown, _: Dynamic| ());
        engine.register_fn(name, |value: &mut INT, unknown: Unknown| drop((value, unknown)));
        engine.register_raw_fn(name, own_types::<INT>(), becomes_unknown);
        engine.register_raw_fn(name, own_types::<FLOAT>(), becomes_unknown);
    }
    engine.register_raw_fn("-=", own_types::<ImmutableString>(), becomes_unknown);
    // Into a text it goes as a region, like everywhere else in texts.
    engine.register_fn("+=", |text: &mut ImmutableString, unknown: Unknown| *text += unknown.marked());
    engine.register_fn("is_empty", |unknown: &mut Unknown| unknown.clone());
    #[allow(deprecated)] // Not deprecated: marked so because it may change.
    engine.on_missing_function(move |name, arguments, _, _| {
        // Properties go to the indexers; and a name that nobody knows is a mistake, whatever its arguments are.
        if name.contains('$') || !names.get().is_some_and(|names| names.contains(name)) {
            return Ok(None);
        }
        let unknown = arguments.iter().find_map(|argument| argument.read_lock::<Unknown>().map(|found| found.clone()));
        Ok(unknown.map(Dynamic::from))
    });
}

fn own_types<T: 'static>() -> [std::any::TypeId; 2] {
    [std::any::TypeId::of::<T>(), std::any::TypeId::of::<Unknown>()]
}

/// `known += unknown` makes the variable unknown.
#[allow(clippy::needless_pass_by_value, clippy::unnecessary_wraps)] // The signature is the engine's.
fn becomes_unknown(_: NativeCallContext, arguments: &mut [&mut Dynamic]) -> Res<()> {
    if let [variable, unknown] = arguments {
        **variable = unknown.clone();
    }
    Ok(())
}

fn secrets(engine: &mut Engine) {
    for name in CONVERTING {
        engine.register_fn(*name, |secret: &mut SecretText| secret.0.clone());
    }
    for name in ["print", "debug"] {
        engine.register_fn(name, |_: &mut SecretText| crate::value::SECRET_SHOWN);
    }
    engine.register_fn("is_empty", |_: &mut SecretText| false);
    let joined = |a: &str, b: &str| -> ImmutableString { format!("{a}{b}").into() };
    engine.register_fn("+", move |a: SecretText, b: ImmutableString| joined(&a.0, &b));
    engine.register_fn("+", move |a: ImmutableString, b: SecretText| joined(&a, &b.0));
    engine.register_fn("+", move |a: SecretText, b: SecretText| joined(&a.0, &b.0));
    engine.register_fn("+", |_: SecretText, b: Unknown| b);
    engine.register_fn("+", |a: Unknown, _: SecretText| a);
    engine.register_fn("+=", |text: &mut ImmutableString, secret: SecretText| *text += secret.0.as_str());
    for name in COMPARING {
        engine
            .register_fn(*name, |context: NativeCallContext, _: SecretText, other: Dynamic| compared(&context, &other));
        engine
            .register_fn(*name, |context: NativeCallContext, other: Dynamic, _: SecretText| compared(&context, &other));
        engine.register_fn(*name, |context: NativeCallContext, _: SecretText, other: SecretText| {
            compared(&context, &Dynamic::from(other))
        });
        engine.register_fn(*name, |_: SecretText, unknown: Unknown| unknown);
        engine.register_fn(*name, |unknown: Unknown, _: SecretText| unknown);
    }
}

/// Whether a secret is there at all may be asked; what it is may not.
fn compared(context: &NativeCallContext, other: &Dynamic) -> Res<Dynamic> {
    let nothing = other.is_unit() || other.read_lock::<ImmutableString>().is_some_and(|text| text.is_empty());
    match context.fn_name() {
        "==" if nothing => Ok(false.into()),
        "!=" if nothing => Ok(true.into()),
        name => Err(explain::tainted(name, &Taint::Secret).raise(context.call_position())),
    }
}

/// Texts that hold marked regions are compared and cut like the tainted values themselves.
fn texts(engine: &mut Engine) {
    for name in COMPARING {
        engine.register_fn(
            *name,
            |context: NativeCallContext, a: ImmutableString, b: ImmutableString| -> Res<Dynamic> {
                let name = context.fn_name();
                if let Some(taint) = taint::of_text(&a).or_else(|| taint::of_text(&b)) {
                    if a.is_empty() || b.is_empty() {
                        // A text that holds something is not empty, whatever it is.
                        if let "==" | "!=" = name {
                            return Ok((name == "!=").into());
                        }
                    }
                    return match taint {
                        Taint::Unknown(unknown) => Ok(Dynamic::from(unknown)),
                        Taint::Secret => Err(explain::tainted(name, &taint).raise(context.call_position())),
                    };
                }
                Ok(match name {
                    "==" => a == b,
                    "!=" => a != b,
                    "<" => a < b,
                    "<=" => a <= b,
                    ">" => a > b,
                    _ => a >= b,
                }
                .into())
            },
        );
    }
    engine.register_fn("-", |context: NativeCallContext, a: ImmutableString, b: ImmutableString| -> Res<Dynamic> {
        match taint::of_text(&a).or_else(|| taint::of_text(&b)) {
            Some(Taint::Unknown(unknown)) => Ok(Dynamic::from(unknown)),
            Some(taint) => Err(explain::tainted("-", &taint).raise(context.call_position())),
            None => Ok(a.replace(b.as_str(), "").into()),
        }
    });
}

/// `make` of a text, keeping its taint: unknown stays unknown, and what is made of a secret is a secret as a whole.
pub(super) fn of_text(
    context: &NativeCallContext,
    text: &Dynamic,
    make: impl FnOnce(&str) -> Result<String, String>,
) -> Res<Dynamic> {
    let checked = |result: Result<String, String>| {
        result.map_err(|why| Fault::usage(format!("`{}`: {why}", context.fn_name())).raise(context.call_position()))
    };
    match taint::of(text) {
        Some(Taint::Unknown(unknown)) => return Ok(Dynamic::from(unknown)),
        Some(Taint::Secret) => {
            let plain = taint::plain(&marked(text).unwrap_or_default());
            return Ok(Dynamic::from(SecretText::new(&checked(make(&plain))?)));
        }
        None => {}
    }
    let Some(text) = text.read_lock::<ImmutableString>() else {
        return Err(Fault::usage(format!("`{}` takes a text", context.fn_name())).raise(context.call_position()));
    };
    Ok(checked(make(&text))?.into())
}

/// The text of a text or a secret, with markers.
pub(super) fn marked(text: &Dynamic) -> Option<ImmutableString> {
    if let Some(secret) = text.read_lock::<SecretText>() {
        return Some(secret.0.clone());
    }
    text.read_lock::<ImmutableString>().map(|text| text.clone())
}
