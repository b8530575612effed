//! Built-in functions would look into marked texts as if the markers were letters: `len`, `split`, `contains` and many
//! more would give wrong answers in a plan, or take a secret apart. Each of them gets a guard of the same signature that
//! asks first and then calls the original.

use super::{
    explain,
    taint::{self, SecretText, Taint, Unknown},
};
use rhai::{Array, Dynamic, Engine, EvalAltResult, FnPtr, ImmutableString, Map, NativeCallContext};
use std::{any::TypeId, sync::Arc};

type Res<T> = Result<T, Box<EvalAltResult>>;

/// These put texts together or hand them on, and markers with them.
const KEEPING: &[&str] =
    &["+", "+=", "append", "print", "debug", "to_string", "to_debug", "is_empty", "get$is_empty", "type_of"];
/// These change the text they are called on.
const CHANGING: &[&str] =
    &["trim", "make_upper", "make_lower", "truncate", "remove", "replace", "crop", "pad", "set", "-="];
/// These look at what lists and maps hold.
const LOOKING: &[&str] =
    &["==", "!=", "contains", "index_of", "dedup", "sort", "sort_desc", "order", "order_desc", "to_json"];
/// These are replaced altogether, by [`super::functions`] or [`super::tainted`], or forbidden.
const REPLACED: &[&str] = &["to_json", "parse_json", "sleep", "timestamp", "exit", "eval"];

/// Puts the guards before the functions of the standard library. `plain` is an engine without them.
pub(super) fn register(engine: &mut Engine, plain: &Arc<Engine>) {
    let (text, list, map) = (TypeId::of::<ImmutableString>(), TypeId::of::<Array>(), TypeId::of::<Map>());
    let function = TypeId::of::<FnPtr>();
    let found = plain.collect_fn_metadata(
        None,
        |found| Some((found.metadata.name.to_string(), found.metadata.param_types.to_vec())),
        true,
    );
    for (name, types) in found {
        let texts = types.contains(&text) && !KEEPING.contains(&name.as_str());
        let collections = LOOKING.contains(&name.as_str()) && (types.contains(&list) || types.contains(&map));
        if types.contains(&function) || REPLACED.contains(&name.as_str()) || !(texts || collections) {
            continue;
        }
        guard(engine, plain.clone(), name, &types);
    }
    callbacks(engine);
}

#[allow(deprecated)] // Not deprecated: marked so because it may change.
fn guard(engine: &mut Engine, plain: Arc<Engine>, name: String, types: &[TypeId]) {
    let text = TypeId::of::<ImmutableString>();
    let is_text: Vec<bool> = types.iter().map(|one| *one == text).collect();
    // Whether a map has a key says nothing about the values in it.
    let keys_only = name == "contains" && types.first() == Some(&TypeId::of::<Map>());
    let looking = LOOKING.contains(&name.as_str()) && !keys_only;
    let changing = CHANGING.contains(&name.as_str()) && is_text.first() == Some(&true);
    let shown = name.trim_start_matches("get$").to_owned();
    let called = name.clone();
    engine.register_raw_fn(
        name,
        types,
        move |context: NativeCallContext, arguments: &mut [&mut Dynamic]| -> Res<Dynamic> {
            let tainted = arguments.iter().zip(&is_text).find_map(|(argument, is_text)| {
                if *is_text {
                    taint::of(argument)
                } else if looking {
                    taint::deep(argument)
                } else {
                    None
                }
            });
            match tainted {
                Some(Taint::Unknown(unknown)) if changing => {
                    *arguments[0] = Dynamic::from(unknown);
                    Ok(Dynamic::UNIT)
                }
                Some(Taint::Unknown(unknown)) => Ok(Dynamic::from(unknown)),
                Some(secret) => Err(explain::tainted(&shown, &secret).raise(context.call_position())),
                None => {
                    if shown == "replace" && replaced_bytes(arguments) > plain.max_string_size() {
                        let what = "Length of string".to_owned();
                        return Err(EvalAltResult::ErrorDataTooLarge(what, context.call_position()).into());
                    }
                    let (source, global) = (context.call_source(), context.global_runtime_state());
                    let position = context.call_position();
                    NativeCallContext::new_with_all_fields(&plain, &called, source, global, position)
                        .call_native_fn_raw(&called, true, arguments)
                }
            }
        },
    );
}

/// How long the text would be that `text.replace(old, new)` makes: it is made before anyone measures it.
fn replaced_bytes(arguments: &[&mut Dynamic]) -> usize {
    let as_text = |value: &Dynamic| {
        let text = value.read_lock::<ImmutableString>().map(|text| text.to_string());
        text.or_else(|| value.as_char().ok().map(String::from)).unwrap_or_default()
    };
    let [text, old, new] = arguments else { return 0 };
    let (text, old, new) = (as_text(text), as_text(old), as_text(new));
    let times = text.matches(old.as_str()).count();
    text.len().saturating_add(times.saturating_mul(new.len())).saturating_sub(times * old.len())
}

/// Functions that ask a closure yes or no: an answer that is not known would count as no.
fn callbacks(engine: &mut Engine) {
    engine.register_fn("filter", |context: NativeCallContext, list: &mut Array, asked: FnPtr| -> Res<Array> {
        let mut kept = Array::new();
        for (index, item) in list.iter().enumerate() {
            if ask(&context, &asked, item, index)? {
                kept.push(item.clone());
            }
        }
        Ok(kept)
    });
    engine.register_fn("find", |context: NativeCallContext, list: &mut Array, asked: FnPtr| -> Res<Dynamic> {
        Ok(first(&context, list, &asked, true)?.map_or(Dynamic::UNIT, |index| list[index].clone()))
    });
    for name in ["find_index", "index_of"] {
        engine.register_fn(name, |context: NativeCallContext, list: &mut Array, asked: FnPtr| -> Res<i64> {
            Ok(first(&context, list, &asked, true)?.map_or(-1, |index| i64::try_from(index).unwrap_or(-1)))
        });
    }
    engine.register_fn("some", |context: NativeCallContext, list: &mut Array, asked: FnPtr| -> Res<bool> {
        Ok(first(&context, list, &asked, true)?.is_some())
    });
    engine.register_fn("all", |context: NativeCallContext, list: &mut Array, asked: FnPtr| -> Res<bool> {
        Ok(first(&context, list, &asked, false)?.is_none())
    });
    engine.register_fn("retain", |context: NativeCallContext, list: &mut Array, asked: FnPtr| -> Res<Array> {
        split_by(&context, list, &asked, true)
    });
    engine.register_fn("drain", |context: NativeCallContext, list: &mut Array, asked: FnPtr| -> Res<Array> {
        split_by(&context, list, &asked, false)
    });
}

/// Keeps the items for which the answer is `keep`, and gives the others.
fn split_by(context: &NativeCallContext, list: &mut Array, asked: &FnPtr, keep: bool) -> Res<Array> {
    let answers = list.iter().enumerate().map(|(index, item)| ask(context, asked, item, index));
    let answers: Vec<bool> = answers.collect::<Res<_>>()?;
    let (mut kept, mut others) = (Array::new(), Array::new());
    for (item, answer) in std::mem::take(list).into_iter().zip(answers) {
        if answer == keep { kept.push(item) } else { others.push(item) }
    }
    *list = kept;
    Ok(others)
}

/// The first item for which the answer is `wanted`.
fn first(context: &NativeCallContext, list: &[Dynamic], asked: &FnPtr, wanted: bool) -> Res<Option<usize>> {
    for (index, item) in list.iter().enumerate() {
        if ask(context, asked, item, index)? == wanted {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

/// Calls a closure of one parameter, of two (with the index), or of none (with `this`).
fn ask(context: &NativeCallContext, asked: &FnPtr, item: &Dynamic, index: usize) -> Res<bool> {
    let index: Dynamic = i64::try_from(index).unwrap_or_default().into();
    let mut answer = asked.call_raw(context, None, [item.clone()]);
    if missing(&answer) {
        answer = asked.call_raw(context, None, [item.clone(), index]);
    }
    if missing(&answer) {
        answer = asked.call_raw(context, Some(&mut item.clone()), []);
    }
    let answer = answer?;
    if let Some(unknown) = answer.read_lock::<Unknown>() {
        return Err(
            explain::tainted(context.fn_name(), &Taint::Unknown(unknown.clone())).raise(context.call_position())
        );
    }
    if answer.is::<SecretText>() {
        return Err(explain::tainted(context.fn_name(), &Taint::Secret).raise(context.call_position()));
    }
    Ok(answer.as_bool().unwrap_or(false))
}

fn missing(answer: &Res<Dynamic>) -> bool {
    answer.as_ref().is_err_and(|why| matches!(**why, EvalAltResult::ErrorFunctionNotFound(..)))
}
