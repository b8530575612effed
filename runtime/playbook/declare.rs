//! The functions with which a playbook declares: `step`, `settings`, `extends` and their kin.

use super::{
    Diagnostic, Limits, SettingsLayer,
    book::{Book, Declared, SharedBook},
    call::Bound,
    convert::to_json,
    current::Current,
    duration,
    fault::Fault,
    settings::{self, Node, Rule},
    settings_value::SettingsValue,
    suggest,
    taint::SecretText,
    tainted,
    units::Units,
};
use rhai::{Dynamic, Engine, EvalAltResult, FnPtr, ImmutableString, Map, NativeCallContext};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{Arc, MutexGuard},
};

type Res<T> = Result<T, Box<EvalAltResult>>;

/// What `step` returns, for the chain of options.
#[derive(Debug, Clone)]
pub(super) struct Handle(String);

#[derive(Clone)]
struct Declarer {
    book: SharedBook,
    units: Arc<Units>,
    most_steps: usize,
}

impl Declarer {
    /// The book, while declarations are allowed.
    fn open(&self, context: &NativeCallContext) -> Res<MutexGuard<'_, Book>> {
        let function = context.fn_name();
        if Current::get().is_none_or(|current| current.step.is_some()) {
            let fault = Fault::usage(format!("`{function}` cannot be called inside a step"));
            return Err(fault.hint("declare at the top level of the playbook").raise(context.call_position()));
        }
        self.book.lock().map_err(|_| Fault::usage("declaring stopped").raise(context.call_position()))
    }

    fn body(&self, context: &NativeCallContext, name: &str, function: &FnPtr) -> Res<(Bound, String)> {
        let odd = |c: char| c.is_control() || ('\u{e000}'..='\u{e003}').contains(&c) || c == '/';
        if name.is_empty() || name.len() > 128 || name.contains(odd) {
            let fault = Fault::usage("a step needs a name of 1 to 128 characters without `/`");
            return Err(fault.raise(context.call_position()));
        }
        let body = Bound::new(context, &self.units, function)?;
        let place = context.call_position().line().unwrap_or(0);
        let caller = self.units.get(context.call_source().unwrap_or_default());
        let named = self.units.function(&body.unit, function.fn_name(), None);
        let doc = named.map(|(unit, number)| unit.functions[number].doc.clone()).filter(|doc| !doc.is_empty());
        let above = || caller.map(|unit| unit.comment_above(place)).unwrap_or_default();
        Ok((body, doc.unwrap_or_else(above)))
    }

    fn missing(context: &NativeCallContext, book: &Book, name: &str) -> Box<EvalAltResult> {
        let hint = suggest::hint(name, book.steps.iter().map(|step| step.name.as_str()));
        let fault = Fault::usage(format!("`{}` finds no step `{name}`", context.fn_name()));
        fault.hint(hint).raise(context.call_position())
    }

    fn add(
        &self,
        context: &NativeCallContext,
        name: &str,
        function: &FnPtr,
        place: impl FnOnce(&Book) -> Res<Option<usize>>,
    ) -> Res<Handle> {
        let (body, doc) = self.body(context, name, function)?;
        let mut book = self.open(context)?;
        if let Some(other) = book.step(name) {
            let there = Units::position(&other.body.unit, other.body.position);
            let fault = Fault::usage(format!("step `{name}` is declared twice"));
            let hint = format!("the other one stands at {there}; `replace(\"{name}\", …)` changes it");
            return Err(fault.hint(hint).raise(context.call_position()));
        }
        if book.steps.len() >= self.most_steps {
            let fault = Fault::usage(format!("the playbook declares more than {} steps", self.most_steps));
            return Err(fault.raise(context.call_position()));
        }
        let place = place(&book)?;
        book.add(Declared::new(name, doc, body), place);
        Ok(Handle(name.into()))
    }

    fn change(&self, context: &NativeCallContext, name: &str, change: impl FnOnce(&mut Declared)) -> Res<Handle> {
        let mut book = self.open(context)?;
        if book.step(name).is_none() {
            return Err(Declarer::missing(context, &book, name));
        }
        if let Some(step) = book.step_mut(name) {
            change(step);
        }
        Ok(Handle(name.into()))
    }
}

/// Registers all declaring functions.
pub(super) fn register(engine: &mut Engine, book: &SharedBook, units: &Arc<Units>, limits: &Limits) {
    let declarer = Declarer { book: book.clone(), units: units.clone(), most_steps: limits.steps };
    engine.register_type_with_name::<Handle>("step");
    steps(engine, &declarer);
    options(engine, &declarer);
    forks(engine, &declarer);
    places(engine, &declarer);
    kinds_of_settings(engine);
}

fn steps(engine: &mut Engine, declarer: &Declarer) {
    let own = declarer.clone();
    engine.register_fn("step", move |context: NativeCallContext, name: ImmutableString, body: FnPtr| {
        own.add(&context, &name, &body, |_| Ok(None))
    });
    let own = declarer.clone();
    let insert_before =
        move |context: NativeCallContext, target: ImmutableString, name: ImmutableString, body: FnPtr| {
            let find =
                |book: &Book| book.place(&target).map(Some).ok_or_else(|| Declarer::missing(&context, book, &target));
            own.add(&context, &name, &body, find)?;
            own.change(&context, &target, |step| step.after.push(name.to_string()))?;
            Ok::<_, Box<EvalAltResult>>(Handle(name.to_string()))
        };
    engine.register_fn("insert_before", insert_before);
    let own = declarer.clone();
    let insert_after =
        move |context: NativeCallContext, target: ImmutableString, name: ImmutableString, body: FnPtr| {
            let find = |book: &Book| {
                book.place(&target).map(|at| Some(at + 1)).ok_or_else(|| Declarer::missing(&context, book, &target))
            };
            own.add(&context, &name, &body, find)?;
            // Whoever waited for the target, waits for the new step as well.
            let mut book = own.open(&context)?;
            let waiting: Vec<String> = book
                .steps
                .iter()
                .filter(|step| {
                    let takes = step.params().into_iter().any(|param| book.need(param) == Some(target.as_str()));
                    step.name != name.as_str() && (takes || step.after.iter().any(|after| after == target.as_str()))
                })
                .map(|step| step.name.clone())
                .collect();
            let needed: Vec<String> =
                book.step(&name).into_iter().flat_map(Declared::params).map(str::to_owned).collect();
            for waiting in waiting {
                // A step that the new one takes an output of cannot wait for it.
                let taken = needed.iter().any(|param| book.need(param) == Some(waiting.as_str()));
                if !taken && let Some(step) = book.step_mut(&waiting) {
                    step.after.push(name.to_string());
                }
            }
            if let Some(step) = book.step_mut(&name) {
                step.after.push(target.to_string());
            }
            Ok::<_, Box<EvalAltResult>>(Handle(name.to_string()))
        };
    engine.register_fn("insert_after", insert_after);
}

fn options(engine: &mut Engine, declarer: &Declarer) {
    let own = declarer.clone();
    engine.register_fn("after", move |context: NativeCallContext, step: &mut Handle, other: ImmutableString| {
        own.change(&context, &step.0, |step| step.after.push(other.to_string()))
    });
    let own = declarer.clone();
    engine.register_fn(
        "after",
        move |context: NativeCallContext, step: &mut Handle, others: rhai::Array| -> Res<Handle> {
            let mut names = Vec::new();
            for other in others {
                let wrong = || Fault::usage("`.after` takes the names of steps").raise(context.call_position());
                names.push(other.into_string().map_err(|_| wrong())?);
            }
            own.change(&context, &step.0, |step| step.after.extend(names))
        },
    );
    let own = declarer.clone();
    engine.register_fn("timeout", move |context: NativeCallContext, step: &mut Handle, text: ImmutableString| {
        let wrong = || {
            let fault = Fault::usage(format!("`{text}` is no duration"));
            fault.hint("write `\"90s\"`, `\"45m\"` or `\"1h30m\"`").raise(context.call_position())
        };
        let timeout = duration::parse(&text).ok_or_else(wrong)?;
        own.change(&context, &step.0, |step| step.timeout = Some(timeout))
    });
    let own = declarer.clone();
    engine.register_fn("retry", move |context: NativeCallContext, step: &mut Handle, times: i64| {
        let wrong = || Fault::usage("`.retry` takes a number from 0 to 100").raise(context.call_position());
        let times = u32::try_from(times).ok().filter(|times| *times <= 100).ok_or_else(wrong)?;
        own.change(&context, &step.0, |step| step.retry = times)
    });
    let own = declarer.clone();
    engine.register_fn("when", move |context: NativeCallContext, step: &mut Handle, holds: bool| {
        // Several conditions must all hold.
        own.change(&context, &step.0, |step| step.when &= holds)
    });
    let own = declarer.clone();
    engine.register_fn("protect", move |context: NativeCallContext, step: &mut Handle| {
        own.change(&context, &step.0, |step| step.protect = true)
    });
}

fn forks(engine: &mut Engine, declarer: &Declarer) {
    let own = declarer.clone();
    engine.register_fn("replace", move |context: NativeCallContext, name: ImmutableString, body: FnPtr| {
        let (body, doc) = own.body(&context, &name, &body)?;
        own.change(&context, &name, |step| {
            step.wraps.clear();
            step.body = body;
            if !doc.is_empty() {
                step.doc = doc;
            }
        })
    });
    let own = declarer.clone();
    engine.register_fn("wrap", move |context: NativeCallContext, name: ImmutableString, body: FnPtr| {
        let (body, _) = own.body(&context, &name, &body)?;
        if body.params.is_empty() {
            let fault = Fault::usage("the closure of `wrap` takes the former body as its first parameter");
            return Err(fault.hint("write `|base| base.call()`").raise(context.call_position()));
        }
        own.change(&context, &name, |step| step.wraps.push(body))
    });
    let own = declarer.clone();
    engine.register_fn("remove", move |context: NativeCallContext, name: ImmutableString| -> Res<()> {
        let mut book = own.open(&context)?;
        if book.remove(&name) { Ok(()) } else { Err(Declarer::missing(&context, &book, &name)) }
    });
    let own = declarer.clone();
    engine.register_fn("extends", move |context: NativeCallContext, path: ImmutableString, settings: Map| {
        extend(&own, &context, &path, settings)
    });
    let own = declarer.clone();
    engine.register_fn("extends", move |context: NativeCallContext, path: ImmutableString| {
        extend(&own, &context, &path, Map::new())
    });
}

fn extend(own: &Declarer, context: &NativeCallContext, path: &str, settings: Map) -> Res<()> {
    let position = context.call_position();
    let values = to_json(&settings.into())
        .map_err(|why| Fault::usage("settings for a playbook must be data").hint(why.to_string()).raise(position))?;
    let source = context.call_source().unwrap_or_default();
    let place = Units::position(source, position);
    let mut book = own.open(context)?;
    let layer = SettingsLayer {
        origin: format!("extends at {place}"),
        values,
        positions: BTreeMap::new(),
        source: None,
        untyped: false,
    };
    book.overrides.push(layer);
    drop(book);
    let resolver = context.engine().module_resolver();
    resolver.resolve(context.engine(), Some(source), path, position).map(drop)
}

fn places(engine: &mut Engine, declarer: &Declarer) {
    let own = declarer.clone();
    engine.register_fn("settings", move |context: NativeCallContext, defaults: Map| -> Res<SettingsValue> {
        let mut nodes = BTreeMap::new();
        for (key, value) in defaults {
            let node = node(&value, key.as_str(), 0).map_err(|why| why.raise(context.call_position()))?;
            nodes.insert(key.to_string(), node);
        }
        let source = context.call_source().unwrap_or_default();
        let unit = own.units.get(source);
        let file: Arc<str> = source.into();
        let mut book = own.open(&context)?;
        let places = unit.map(|unit| unit.places.clone()).unwrap_or_default();
        book.settings.declare(nodes, &places, &file).map_err(|path| {
            let fault = Fault::usage(format!("setting `{path}` is declared twice, with different types"));
            fault.raise(context.call_position())
        })?;
        Ok(book.settled())
    });
    let own = declarer.clone();
    engine.register_fn("target", move |context: NativeCallContext, cloud: ImmutableString, about: Map| -> Res<()> {
        let position = context.call_position();
        let about = to_json(&about.into())
            .map_err(|why| Fault::usage("a target must be data").hint(why.to_string()).raise(position))?;
        let mut book = own.open(&context)?;
        match (book.targets.get_mut(cloud.as_str()), about) {
            (Some(Value::Object(known)), Value::Object(more)) => known.extend(more),
            (_, about) => drop(book.targets.insert(cloud.to_string(), about)),
        }
        Ok(())
    });
}

/// A default as a section or a setting.
fn node(value: &Dynamic, path: &str, depth: usize) -> Result<Node, Fault> {
    if depth > 16 || path.split('.').any(str::is_empty) {
        return Err(Fault::usage(format!("setting `{path}` is nested too deep, or has no name")));
    }
    if let Some(declared) = value.read_lock::<settings::Declared>() {
        return Ok(Node::leaf(declared.default.clone(), declared.rule.clone()));
    }
    if let Some(map) = value.read_lock::<Map>().filter(|map| !map.is_empty()) {
        let child = |(key, value): (&rhai::Identifier, &Dynamic)| {
            let path = format!("{path}.{key}");
            if key.contains('.') {
                let fault = Fault::usage(format!("the name of setting `{path}` holds a dot"));
                return Err(fault.hint("a map with free names is declared as `open_map(#{ … })`"));
            }
            Ok((key.to_string(), node(value, &path, depth + 1)?))
        };
        return map.iter().map(child).collect::<Result<_, _>>().map(Node::Section);
    }
    let default =
        to_json(value).map_err(|why| Fault::usage(format!("setting `{path}` must be data")).hint(why.to_string()))?;
    let rule = if value.is::<SecretText>() { Rule::Secret } else { Rule::of_default(&default) };
    Ok(Node::leaf(default, rule))
}

fn kinds_of_settings(engine: &mut Engine) {
    engine.register_type_with_name::<settings::Declared>("setting");
    let declared = |context: &NativeCallContext, default: &Dynamic, rule: Rule| -> Res<settings::Declared> {
        let wrong =
            |why: String| Fault::usage(format!("`{}`: {why}", context.fn_name())).raise(context.call_position());
        let default = to_json(default).map_err(|why| wrong(why.to_string()))?;
        let default = rule.accept(&default).map_err(wrong)?;
        Ok(settings::Declared { default, rule })
    };
    engine.register_fn("int_range", move |context: NativeCallContext, min: i64, default: i64, max: i64| {
        declared(&context, &default.into(), Rule::Whole { min, max })
    });
    engine.register_fn("choice", move |context: NativeCallContext, default: Dynamic, all: rhai::Array| {
        let all = all.iter().map(to_json).collect::<Result<_, _>>();
        let all = all.map_err(|why| Fault::usage(why.to_string()).raise(context.call_position()))?;
        declared(&context, &default, Rule::Choice(all))
    });
    engine.register_fn("cidr", move |context: NativeCallContext, default: ImmutableString| {
        declared(&context, &default.into(), Rule::Cidr)
    });
    engine.register_fn("secret", |context: NativeCallContext, text: Dynamic| secret(&context, &text));
    engine.register_fn("text_or_none", move |context: NativeCallContext| {
        declared(&context, &Dynamic::UNIT, Rule::TextOrNone)
    });
    engine.register_fn("open_map", move |context: NativeCallContext, default: Map| {
        declared(&context, &default.into(), Rule::OpenMap)
    });
}

/// A text that is secret from here on. Empty stands for "not given": as a setting it may be given, in a step it stays plain.
fn secret(context: &NativeCallContext, text: &Dynamic) -> Res<Dynamic> {
    let declaring = Current::get().is_none_or(|current| current.step.is_none());
    let empty = text.read_lock::<ImmutableString>().is_some_and(|text| text.is_empty());
    match (empty, declaring) {
        (true, true) => Ok(Dynamic::from(settings::Declared { default: "".into(), rule: Rule::Secret })),
        (true, false) => Ok(text.clone()),
        _ if text.is::<SecretText>() => Ok(text.clone()),
        _ => {
            let made = tainted::of_text(context, text, |text| Ok(text.to_owned()))?;
            let plain = made.read_lock::<ImmutableString>().map(|text| text.clone());
            Ok(plain.map_or(made, |text| Dynamic::from(SecretText::new(&text))))
        }
    }
}

/// Needs and `.after` that are no step.
pub(super) fn missing_needs(book: &Book, units: &Units) -> Vec<Diagnostic> {
    let names = || book.steps.iter().map(|step| step.name.as_str());
    let mut found = Vec::new();
    for step in &book.steps {
        let mut wrong = |message: String, word: &str, at: &Bound| {
            let hint = if book.removed.contains(word) {
                format!("instead of removing it, write `replace(\"{word}\", || ());`")
            } else {
                suggest::hint(word, names())
            };
            let wrong = Diagnostic::usage(message).hint(hint);
            found.push(units.at(wrong, &at.unit, at.position));
        };
        for param in step.body.params.iter().filter(|param| book.need(param).is_none()) {
            wrong(format!("step `{}` needs `{param}`, which is no step", step.name), param, &step.body);
        }
        for wrap in &step.wraps {
            for param in wrap.params.iter().skip(1).filter(|param| book.need(param).is_none()) {
                wrong(format!("step `{}` needs `{param}`, which is no step", step.name), param, wrap);
            }
        }
        for after in step.after.iter().filter(|after| book.step(after).is_none()) {
            wrong(format!("step `{}` comes after `{after}`, which is no step", step.name), after, &step.body);
        }
    }
    found
}
