//! The functions of playbooks beside the standard library of the script language.

use super::{
    Host,
    call::{Bound, copied},
    convert::{DEEPEST, from_json, to_json},
    current::Current,
    fault::Fault,
    network,
    taint::{self, Taint, Unknown},
    tainted,
    units::Units,
};
use crate::{
    allowed::Allowed,
    error::{Class, Error},
    secret::hide,
};
use base64::Engine as _;
use rhai::{Array, Dynamic, Engine, EvalAltResult, FnPtr, ImmutableString, Map, NativeCallContext};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::{path::PathBuf, sync::Arc};

type Res<T> = Result<T, Box<EvalAltResult>>;

/// How many closures of one `parallel` run at a time.
const PARALLEL_AT_MOST: usize = 16;

/// Registers all of them.
pub(super) fn register(engine: &mut Engine, units: &Arc<Units>, host: &Arc<dyn Host>, allow_read: &[PathBuf]) {
    words(engine, host);
    deciding(engine);
    texts(engine);
    data(engine);
    files(engine, units, allow_read);
    forbidden(engine);
    let units = units.clone();
    engine.register_fn("parallel", move |context: NativeCallContext, closures: Array| {
        parallel(&context, &units, &closures)
    });
}

fn words(engine: &mut Engine, host: &Arc<dyn Host>) {
    let say = |host: &Arc<dyn Host>, text: &str| {
        let current = Current::get();
        if current.as_ref().is_none_or(|current| current.print(text.len())) {
            let step = current.and_then(|current| current.step.clone()).unwrap_or_default();
            host.say(&step, &hide(text));
        }
    };
    let own = host.clone();
    engine.on_print(move |text| say(&own, text));
    let own = host.clone();
    engine.on_debug(move |text, _, _| say(&own, text));
    let own = host.clone();
    engine.register_fn("warn", move |text: Dynamic| {
        say(&own, &format!("warning: {}", tainted::marked(&text).unwrap_or_else(|| text.to_string().into())));
    });
}

fn deciding(engine: &mut Engine) {
    engine.register_fn("fail", |context: NativeCallContext, message: Dynamic| -> Res<()> {
        let message = tainted::marked(&message).unwrap_or_else(|| message.to_string().into());
        Err(Fault::new(Class::Failed, message.as_str()).raise(context.call_position()))
    });
    engine.register_fn(
        "fail",
        |context: NativeCallContext, message: ImmutableString, hint: ImmutableString| -> Res<()> {
            Err(Fault::new(Class::Failed, message.as_str()).hint(hint.as_str()).raise(context.call_position()))
        },
    );
    let assert = |context: &NativeCallContext, holds: &Dynamic, message: &str, hint: &str| -> Res<()> {
        // What a plan does not know is asked again in the run.
        match (holds.as_bool(), taint::of(holds)) {
            (Ok(true), _) | (_, Some(Taint::Unknown(_))) => Ok(()),
            (Ok(false), _) => Err(Fault::usage(message).hint(hint).raise(context.call_position())),
            _ => Err(Fault::usage("`assert` takes `true` or `false`").raise(context.call_position())),
        }
    };
    engine.register_fn("assert", move |context: NativeCallContext, holds: Dynamic, message: ImmutableString| {
        assert(&context, &holds, &message, "")
    });
    engine.register_fn(
        "assert",
        move |context: NativeCallContext, holds: Dynamic, message: ImmutableString, hint: ImmutableString| {
            assert(&context, &holds, &message, &hint)
        },
    );
    engine.register_fn("get", |map: Map, key: ImmutableString, default: Dynamic| {
        map.get(key.as_str()).filter(|value| !value.is_unit()).cloned().unwrap_or(default)
    });
    engine.register_fn("get", |(): (), _: ImmutableString, default: Dynamic| default);
    engine.register_fn("get", |unknown: Unknown, key: ImmutableString, _: Dynamic| unknown.part(&format!(".{key}")));
}

fn texts(engine: &mut Engine) {
    let encoder = &base64::engine::general_purpose::STANDARD;
    engine.register_fn("base64", move |context: NativeCallContext, text: Dynamic| {
        tainted::of_text(&context, &text, |text| Ok(encoder.encode(text)))
    });
    engine.register_fn("base64_decode", move |context: NativeCallContext, text: Dynamic| {
        tainted::of_text(&context, &text, |text| {
            let bytes = encoder.decode(text.trim()).map_err(|_| "the text is no base64".to_owned())?;
            String::from_utf8(bytes).map_err(|_| "what is encoded is no text".to_owned())
        })
    });
    engine.register_fn("sha256", |context: NativeCallContext, text: Dynamic| {
        tainted::of_text(&context, &text, |text| Ok(hex::encode(Sha256::digest(text))))
    });
    engine.register_fn("trimmed", |context: NativeCallContext, text: Dynamic| {
        tainted::of_text(&context, &text, |text| Ok(text.trim().to_owned()))
    });
    engine.register_fn("indent", |text: ImmutableString, spaces: i64| {
        let spaces = " ".repeat(usize::try_from(spaces).unwrap_or(0).min(64));
        text.lines()
            .map(|line| if line.is_empty() { String::new() } else { format!("{spaces}{line}") })
            .collect::<Vec<_>>()
            .join("\n")
    });
    engine.register_fn("join", |context: NativeCallContext, list: Array, between: ImmutableString| -> Res<Dynamic> {
        let mut parts = Vec::with_capacity(list.len());
        if list.len().saturating_mul(between.len()) > context.engine().max_string_size() {
            let what = "Length of string".to_owned();
            return Err(EvalAltResult::ErrorDataTooLarge(what, context.call_position()).into());
        }
        for item in &list {
            if let Some(unknown) = item.read_lock::<Unknown>() {
                parts.push(unknown.marked());
                continue;
            }
            match tainted::marked(item) {
                Some(text) => parts.push(text.to_string()),
                None if item.is_map() || item.is_array() || item.is_unit() => {
                    let fault = Fault::usage("`join` puts texts and numbers together");
                    return Err(fault.raise(context.call_position()));
                }
                None => parts.push(item.to_string()),
            }
        }
        Ok(parts.join(&between).into())
    });
    engine.register_fn("cidr_subnet", |context: NativeCallContext, range: Dynamic, bits: i64, number: i64| {
        tainted::of_text(&context, &range, |range| network::subnet(range, bits, number))
    });
    engine.register_fn(
        "cidr_contains",
        |context: NativeCallContext, range: ImmutableString, other: ImmutableString| {
            let wrong = |why: String| Fault::usage(why).raise(context.call_position());
            network::contains(&range, &other).map_err(wrong)
        },
    );
}

fn data(engine: &mut Engine) {
    let json = |context: &NativeCallContext, value: &Dynamic| -> Res<Value> {
        let wrong = |why| Fault::usage(format!("`{}`: {why}", context.fn_name())).raise(context.call_position());
        to_json(value).map_err(wrong)
    };
    let to_text = move |context: &NativeCallContext, value: &Dynamic| -> Res<Dynamic> {
        if let Some(unknown) = value.read_lock::<Unknown>() {
            return Ok(Dynamic::from(unknown.clone()));
        }
        Ok(json(context, value)?.to_string().into())
    };
    engine.register_fn("to_json", move |context: NativeCallContext, value: Dynamic| to_text(&context, &value));
    engine.register_fn("to_json", move |context: NativeCallContext, value: Map| to_text(&context, &value.into()));
    engine.register_fn("to_json", move |context: NativeCallContext, value: Array| to_text(&context, &value.into()));
    engine.register_fn("to_yaml", move |context: NativeCallContext, value: Dynamic| -> Res<Dynamic> {
        if let Some(unknown) = value.read_lock::<Unknown>() {
            return Ok(Dynamic::from(unknown.clone()));
        }
        let wrong = |why| Fault::usage(format!("`to_yaml`: {why}")).raise(context.call_position());
        serde_norway::to_string(&json(&context, &value)?).map(Into::into).map_err(wrong)
    });
    for name in ["from_json", "parse_json", "from_yaml"] {
        engine.register_fn(name, move |context: NativeCallContext, text: Dynamic| read(&context, &text));
    }
    // So that a section of the settings and a map can be treated alike.
    engine.register_fn("to_map", |map: Map| map);
    engine.register_fn("merge", |context: NativeCallContext, mut into: Map, from: Map| -> Res<Map> {
        let deep = || Fault::usage("`merge` takes maps nested up to 64 deep").raise(context.call_position());
        merge(&mut into, &from, DEEPEST).then_some(into).ok_or_else(deep)
    });
    engine.register_fn("flatten", |list: Array| -> Array {
        list.into_iter().flat_map(|item| if item.is_array() { item.cast::<Array>() } else { vec![item] }).collect()
    });
}

fn read(context: &NativeCallContext, text: &Dynamic) -> Res<Dynamic> {
    let name = context.fn_name();
    if let Some(unknown) = text.read_lock::<Unknown>() {
        return Ok(Dynamic::from(unknown.clone()));
    }
    let Some(text) = tainted::marked(text) else {
        return Err(Fault::usage(format!("`{name}` takes a text")).raise(context.call_position()));
    };
    let value: Result<Value, String> = match name {
        "from_yaml" => serde_norway::from_str(&text).map_err(|why| why.to_string()),
        _ => serde_json::from_str(&text).map_err(|why| why.to_string()),
    };
    // The reason may quote the text, and `hide` knows its markers.
    let wrong = |why: String| Fault::usage(format!("`{name}` cannot read the text")).hint(hide(&why));
    Ok(from_json(&value.map_err(|why| wrong(why).raise(context.call_position()))?))
}

/// `from` over `into`, map by map. Whether both were no deeper than that.
fn merge(into: &mut Map, from: &Map, deepest: usize) -> bool {
    from.iter().all(|(key, value)| {
        if let Some(old) = into.get_mut(key) {
            // What closures share is copied: it may be in both.
            *old = std::mem::take(old).flatten();
            if let (Some(mut old), Some(new)) = (old.write_lock::<Map>(), value.read_lock::<Map>()) {
                return deepest > 0 && merge(&mut old, &new, deepest - 1);
            }
        }
        into.insert(key.clone(), value.clone());
        true
    })
}

fn files(engine: &mut Engine, units: &Arc<Units>, allow_read: &[PathBuf]) {
    let units = units.clone();
    let allowed = Allowed { read: allow_read.to_vec(), ..Allowed::default() };
    engine.register_fn("read_file", move |context: NativeCallContext, path: ImmutableString| -> Res<Dynamic> {
        let raise = |error: Error| Fault::from(error).raise(context.call_position());
        let refused = |why: String| raise(Error::usage(format!("cannot read `{path}`")).because(why));
        let found = units.data_file(&path, &allowed);
        Current::read_file(&path, digest_of(&found));
        let bytes = found.map_err(raise)?;
        let text = String::from_utf8(bytes).map_err(|_| refused("it is not text (UTF-8)".into()))?;
        if text.contains(|c| ('\u{e000}'..='\u{e003}').contains(&c)) {
            return Err(refused("it holds characters that mark unknown and secret values".into()));
        }
        Ok(text.into())
    });
}

/// Notes that a step read a file by other means than `read_file`.
pub(super) fn reading(units: &Arc<Units>, allow_read: &[PathBuf]) -> Arc<dyn Fn(&str) + Send + Sync> {
    let units = units.clone();
    let allowed = Allowed { read: allow_read.to_vec(), ..Allowed::default() };
    Arc::new(move |path| Current::read_file(path, digest_of(&units.data_file(path, &allowed))))
}

/// Stands for the content of a file; empty for one that cannot be read.
pub(super) fn digest_of(content: &Result<Vec<u8>, Error>) -> String {
    content.as_ref().map(|bytes| hex::encode(Sha256::digest(bytes))).unwrap_or_default()
}

/// What would make a run depend on the clock, or keep a thread busy.
fn forbidden(engine: &mut Engine) {
    let refuse = |context: &NativeCallContext, hint: &str| -> Res<Dynamic> {
        let fault = Fault::usage(format!("`{}` does not exist in playbooks", context.fn_name()));
        Err(fault.hint(hint).raise(context.call_position()))
    };
    engine.register_fn("timestamp", move |context: NativeCallContext| {
        refuse(&context, "a plan must not depend on the clock")
    });
    engine.register_fn("sleep", move |context: NativeCallContext, _: i64| {
        refuse(&context, "wait with a `wait_…` binding")
    });
    engine.register_fn("sleep", move |context: NativeCallContext, _: f64| {
        refuse(&context, "wait with a `wait_…` binding")
    });
    engine.register_fn("exit", move |context: NativeCallContext| refuse(&context, "`return` leaves a step"));
    engine
        .register_fn("exit", move |context: NativeCallContext, _: Dynamic| refuse(&context, "`return` leaves a step"));
}

/// Calls closures at the same time and gives their results in order; the first error when there is one.
fn parallel(context: &NativeCallContext, units: &Units, closures: &Array) -> Res<Array> {
    let wrong = |what: &str| Fault::usage(what).raise(context.call_position());
    let Some(current) = Current::get().filter(|current| current.step.is_some()) else {
        return Err(wrong("`parallel` can be called inside a step only"));
    };
    let mut bound = Vec::with_capacity(closures.len());
    for closure in closures {
        let closure = closure.clone().try_cast::<FnPtr>();
        let closure = closure.ok_or_else(|| wrong("`parallel` takes a list of closures without parameters"))?;
        bound.push(Bound::new(context, units, &closure)?);
    }
    let mut results = Array::with_capacity(bound.len());
    for some in bound.chunks(PARALLEL_AT_MOST) {
        let engine = context.engine();
        let at_once = || {
            std::thread::scope(|scope| {
                let threads = some.iter().map(|closure| {
                    let current = current.clone();
                    scope.spawn(move || current.run(|| closure.call(engine, Vec::new())))
                });
                let threads: Vec<_> = threads.collect();
                threads.into_iter().map(|thread| thread.join().ok().flatten()).collect::<Vec<_>>()
            })
        };
        let answers = current.with_threads(some.len(), at_once);
        let answers = answers.ok_or_else(|| wrong("`parallel` within `parallel` takes too many threads"))?;
        for answer in answers {
            results.push(copied(&answer.ok_or_else(|| wrong("a closure failed in an unexpected way"))??));
        }
    }
    Ok(results)
}
