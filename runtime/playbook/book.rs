//! What the declarations of a playbook write down: steps, settings, targets.

use super::{
    Diagnostic, SettingsLayer, Step, call::Bound, settings::Tree, settings_value::SettingsValue, units::Units,
};
use rhai::{Dynamic, Engine, EvalAltResult, FnPtr};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// A step while it is declared.
#[derive(Clone)]
pub(super) struct Declared {
    pub name: String,
    pub doc: String,
    pub body: Bound,
    /// What was put round the body, from inside out.
    pub wraps: Vec<Bound>,
    pub after: Vec<String>,
    pub timeout: Option<Duration>,
    pub retry: u32,
    pub when: bool,
    pub protect: bool,
}

/// Everything that was declared.
#[derive(Default)]
pub(super) struct Book {
    pub steps: Vec<Declared>,
    numbers: BTreeMap<String, usize>,
    /// Names of steps that a fork took out.
    pub removed: BTreeSet<String>,
    pub settings: Tree,
    /// Settings that forks give to what they extend; later ones lose.
    pub overrides: Vec<SettingsLayer>,
    /// Settings of the user.
    pub layers: Vec<SettingsLayer>,
    pub targets: BTreeMap<String, Value>,
    /// Mistakes that do not stop the declarations, so that all are shown at once.
    pub problems: Vec<Diagnostic>,
}

impl Declared {
    /// A step that nothing is said about but its body.
    pub fn new(name: &str, doc: String, body: Bound) -> Self {
        Self {
            name: name.to_owned(),
            doc,
            body,
            wraps: Vec::new(),
            after: Vec::new(),
            timeout: None,
            retry: 0,
            when: true,
            protect: false,
        }
    }

    /// The names of its parameters, wraps included, each once.
    pub fn params(&self) -> Vec<&str> {
        let mut params: Vec<&str> = Vec::new();
        let of_wraps = self.wraps.iter().flat_map(|wrap| wrap.params.iter().skip(1));
        for param in self.body.params.iter().chain(of_wraps) {
            if !params.contains(&param.as_str()) {
                params.push(param);
            }
        }
        params
    }

    /// Calls the body with the outputs of other steps.
    pub fn call(&self, engine: &Engine, outputs: &BTreeMap<String, Dynamic>) -> Result<Dynamic, Box<EvalAltResult>> {
        self.layer(engine, self.wraps.len(), outputs)
    }

    /// The body with the innermost `wraps` round it.
    fn layer(
        &self,
        engine: &Engine,
        wraps: usize,
        outputs: &BTreeMap<String, Dynamic>,
    ) -> Result<Dynamic, Box<EvalAltResult>> {
        let argument = |param: &String| outputs.get(param).cloned().unwrap_or(Dynamic::UNIT);
        let Some(outer) = wraps.checked_sub(1) else {
            return self.body.call(engine, self.body.params.iter().map(argument).collect());
        };
        let wrap = &self.wraps[outer];
        let (inner, known) = (self.clone(), outputs.clone());
        // With arguments, `base.call(…)` gives them to the body in place of the outputs.
        #[allow(deprecated)] // Not deprecated: marked so because it may change.
        let base = FnPtr::from_fn("base", move |context, arguments| {
            if outer == 0 && !arguments.is_empty() {
                let given = arguments.iter_mut().map(|argument| argument.take()).collect();
                return inner.body.call(context.engine(), given);
            }
            inner.layer(context.engine(), outer, &known)
        })?;
        let rest = wrap.params.iter().skip(1).map(argument);
        wrap.call(engine, std::iter::once(Dynamic::from(base)).chain(rest).collect())
    }
}

impl Book {
    /// An empty book, with the user's settings.
    pub fn new(layers: Vec<SettingsLayer>) -> Self {
        Self { layers, ..Self::default() }
    }

    /// The step called `name`.
    pub fn step(&self, name: &str) -> Option<&Declared> {
        self.numbers.get(name).map(|&number| &self.steps[number])
    }

    /// The step called `name`, to be changed.
    pub fn step_mut(&mut self, name: &str) -> Option<&mut Declared> {
        let number = *self.numbers.get(name)?;
        self.steps.get_mut(number)
    }

    /// Adds a step before the one at `place`, or at the end.
    pub fn add(&mut self, step: Declared, place: Option<usize>) {
        match place {
            None => {
                self.numbers.insert(step.name.clone(), self.steps.len());
                self.steps.push(step);
            }
            Some(place) => {
                self.steps.insert(place, step);
                self.renumber();
            }
        }
    }

    /// Takes the step called `name` away; whether it was there.
    pub fn remove(&mut self, name: &str) -> bool {
        let Some(&number) = self.numbers.get(name) else { return false };
        self.steps.remove(number);
        self.removed.insert(name.to_owned());
        self.renumber();
        true
    }

    /// The place of the step called `name`.
    pub fn place(&self, name: &str) -> Option<usize> {
        self.numbers.get(name).copied()
    }

    fn renumber(&mut self) {
        self.numbers = self.steps.iter().enumerate().map(|(number, step)| (step.name.clone(), number)).collect();
    }

    /// The settings that hold now, as scripts see them. `file` is the one that asked.
    pub fn settled(&mut self) -> SettingsValue {
        let mut problems = Vec::new();
        for layer in self.overrides.iter().rev().chain(&self.layers) {
            self.settings.apply(layer, &mut problems);
        }
        for problem in problems {
            let known = |other: &Diagnostic| other.message == problem.message && other.position == problem.position;
            if !self.problems.iter().any(known) {
                self.problems.push(problem);
            }
        }
        SettingsValue::new(&self.settings.root, "")
    }

    /// The step that a parameter stands for: by its name, with `_` for `-`.
    pub fn need(&self, param: &str) -> Option<&str> {
        let found = self.step(param).or_else(|| self.step(&param.replace('_', "-")));
        let found = found.or_else(|| {
            let same = |step: &&Declared| step.name.replace('-', "_") == param;
            // Only names that mix both characters get here.
            param.contains('_').then(|| self.steps.iter().find(same)).flatten()
        });
        found.map(|step| step.name.as_str())
    }

    /// The step called `name` for the engine. Parameters that are no step are left out; see [`super::needs`].
    pub fn public(&self, declared: &Declared) -> Step {
        let needs = declared.params().into_iter().filter_map(|param| self.need(param)).map(str::to_owned).collect();
        Step {
            name: declared.name.clone(),
            doc: declared.doc.clone(),
            needs,
            after: declared.after.clone(),
            timeout: declared.timeout,
            retry: declared.retry,
            when: declared.when,
            protect: declared.protect,
            at: Units::position(&declared.body.unit, declared.body.position),
        }
    }
}

/// Declarations are shared between the functions that scripts call.
pub(super) type SharedBook = Arc<std::sync::Mutex<Book>>;
