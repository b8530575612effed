//! All bindings by name, with what the reference, the checks and the IDE definitions need.

use super::{
    Action, AnyAction, AnyComposite, AnyLookup, AnyResource, AnyWait, Composite, Lookup, Resource, Wait,
    erased::{ADOPT, Typed},
};
use schemars::{JsonSchema, schema_for};
use serde_json::{Value, json};
use std::{collections::BTreeMap, marker::PhantomData, sync::Arc};

/// What a binding does when it is called.
#[derive(Clone)]
pub enum Binding {
    /// Declares a resource.
    Resource(Arc<dyn AnyResource>),
    /// Reads.
    Lookup(Arc<dyn AnyLookup>),
    /// Waits.
    Wait(Arc<dyn AnyWait>),
    /// Does something once.
    Action(Arc<dyn AnyAction>),
    /// Declares several resources.
    Composite(Arc<dyn AnyComposite>),
}

/// A binding with its manual.
#[derive(Clone)]
pub struct Entry {
    /// `aws::ec2::vpc`.
    pub name: &'static str,
    /// What it does.
    pub binding: Binding,
    /// JSON schema of the arguments, descriptions included.
    pub args: fn() -> Value,
    /// JSON schema of what scripts get back.
    pub output: fn() -> Value,
}

/// The schema of a resource's arguments with the field that the engine takes out of them.
fn with_adopt(mut schema: Value) -> Value {
    schema["properties"][ADOPT] = json!({
        "description": "Takes over an object of this name that is someone else's; a plan says so first. Default: no.",
        "type": ["boolean", "null"], "default": null,
    });
    schema
}

/// All bindings of this build.
#[derive(Clone, Default)]
pub struct Registry(BTreeMap<&'static str, Entry>);

impl Registry {
    /// Registers a kind of resource.
    pub fn resource<R: Resource>(&mut self) {
        self.add::<R::Args, R::Observed>(R::KIND, Binding::Resource(Arc::new(Typed::<R>(PhantomData))));
        if !R::ONLY_RECORDED
            && let Some(entry) = self.0.get_mut(R::KIND)
        {
            entry.args = || with_adopt(schema_for!(R::Args).to_value());
        }
    }

    /// Registers a look-up.
    pub fn lookup<L: Lookup>(&mut self) {
        self.add::<L::Args, L::Output>(L::NAME, Binding::Lookup(Arc::new(Typed::<L>(PhantomData))));
    }

    /// Registers a wait.
    pub fn wait<W: Wait>(&mut self) {
        self.add::<W::Args, W::Output>(W::NAME, Binding::Wait(Arc::new(Typed::<W>(PhantomData))));
    }

    /// Registers an action.
    pub fn action<A: Action>(&mut self) {
        self.add::<A::Args, A::Output>(A::NAME, Binding::Action(Arc::new(Typed::<A>(PhantomData))));
    }

    /// Registers what stands for several resources; scripts get the list of their outputs.
    pub fn composite<C: Composite>(&mut self) {
        self.add::<C::Args, Vec<Value>>(C::NAME, Binding::Composite(Arc::new(Typed::<C>(PhantomData))));
    }

    /// The binding called `name`.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.0.get(name)
    }

    /// The resource kind called `name`.
    pub fn kind(&self, name: &str) -> Option<Arc<dyn AnyResource>> {
        match &self.get(name)?.binding {
            Binding::Resource(kind) => Some(kind.clone()),
            _ => None,
        }
    }

    /// All bindings, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.0.values()
    }

    fn add<A: JsonSchema, O: JsonSchema>(&mut self, name: &'static str, binding: Binding) {
        // Schemas are made when asked for: most runs never are.
        let entry = Entry { name, binding, args: || schema_for!(A).to_value(), output: || schema_for!(O).to_value() };
        let former = self.0.insert(name, entry);
        debug_assert!(former.is_none(), "binding `{name}` is registered twice");
    }
}
