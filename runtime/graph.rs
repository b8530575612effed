//! Steps → a checked graph without cycles: order, dependents, longest path. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Why steps make no graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Two steps have the same name.
    Twice(String),
    /// A step needs one that is not there.
    Missing {
        /// The step.
        step: String,
        /// What it needs.
        need: String,
    },
    /// Steps need each other; the first one stands again at the end.
    Cycle(Vec<String>),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Twice(step) => write!(f, "step `{step}` is declared twice"),
            Fault::Missing { step, need } => write!(f, "step `{step}` needs `{need}`, which is no step"),
            Fault::Cycle(steps) => write!(f, "steps need each other: {}", steps.join(" → ")),
        }
    }
}

/// Steps by number, in the order in which they were given.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    names: Vec<String>,
    numbers: BTreeMap<String, usize>,
    needs: Vec<Vec<usize>>,
    dependents: Vec<Vec<usize>>,
    order: Vec<usize>,
}

impl Graph {
    /// Checks `(step, what it waits for)` and orders them: a step comes after all it waits for, and otherwise keeps its
    /// place.
    pub fn new<'a, N>(steps: impl IntoIterator<Item = (&'a str, N)>) -> Result<Self, Fault>
    where
        N: IntoIterator<Item = &'a str>,
    {
        let mut graph = Self::default();
        let mut wanted = Vec::new();
        for (name, needs) in steps {
            if graph.numbers.insert(name.to_owned(), graph.names.len()).is_some() {
                return Err(Fault::Twice(name.to_owned()));
            }
            graph.names.push(name.to_owned());
            wanted.push(needs.into_iter().map(str::to_owned).collect::<BTreeSet<String>>());
        }
        graph.dependents = vec![Vec::new(); graph.names.len()];
        for (step, needs) in wanted.into_iter().enumerate() {
            let mut numbers = Vec::with_capacity(needs.len());
            for need in needs {
                let Some(&number) = graph.numbers.get(&need) else {
                    return Err(Fault::Missing { step: graph.names[step].clone(), need });
                };
                numbers.push(number);
                graph.dependents[number].push(step);
            }
            graph.needs.push(numbers);
        }
        graph.sort()?;
        Ok(graph)
    }

    /// All steps, each after those it waits for.
    pub fn order(&self) -> impl Iterator<Item = &str> {
        self.order.iter().map(|&step| self.names[step].as_str())
    }

    /// What `step` waits for itself.
    pub fn needs(&self, step: &str) -> impl Iterator<Item = &str> {
        self.related(step, &self.needs)
    }

    /// Who waits for `step` itself.
    pub fn dependents(&self, step: &str) -> impl Iterator<Item = &str> {
        self.related(step, &self.dependents)
    }

    /// `step` and all it waits for, directly or not.
    pub fn with_needs(&self, step: &str) -> BTreeSet<&str> {
        self.reach(step, &self.needs)
    }

    /// `step` and all that wait for it, directly or not.
    pub fn with_dependents(&self, step: &str) -> BTreeSet<&str> {
        self.reach(step, &self.dependents)
    }

    /// How long it takes from the start of each step to the end of the last one that waits for it, with as many hands as
    /// wanted.
    pub fn remaining(&self, takes: impl Fn(&str) -> Duration) -> BTreeMap<&str, Duration> {
        let mut remaining = vec![Duration::ZERO; self.names.len()];
        for &step in self.order.iter().rev() {
            let after = self.dependents[step].iter().map(|&next| remaining[next]).max().unwrap_or_default();
            remaining[step] = after.saturating_add(takes(&self.names[step]));
        }
        self.names.iter().map(String::as_str).zip(remaining).collect()
    }

    /// The path that takes longest, and how long it takes.
    pub fn longest_path(&self, takes: impl Fn(&str) -> Duration) -> (Vec<&str>, Duration) {
        let remaining = self.remaining(takes);
        let longest = |steps: &mut dyn Iterator<Item = usize>| {
            // The first of equals: the order of declaration decides, not the order of numbers in a set.
            steps.fold(None, |best: Option<usize>, step| match best {
                Some(best) if remaining[self.names[best].as_str()] >= remaining[self.names[step].as_str()] => {
                    Some(best)
                }
                _ => Some(step),
            })
        };
        let mut path = Vec::new();
        let mut next = longest(&mut (0..self.names.len()).filter(|&step| self.needs[step].is_empty()));
        let total = next.map(|step| remaining[self.names[step].as_str()]).unwrap_or_default();
        while let Some(step) = next {
            path.push(self.names[step].as_str());
            next = longest(&mut self.dependents[step].iter().copied());
        }
        (path, total)
    }

    fn related<'a>(&'a self, step: &str, edges: &'a [Vec<usize>]) -> impl Iterator<Item = &'a str> {
        let found = self.numbers.get(step).map(|&number| edges[number].as_slice()).unwrap_or_default();
        found.iter().map(|&number| self.names[number].as_str())
    }

    fn reach(&self, step: &str, edges: &[Vec<usize>]) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        let mut todo: Vec<usize> = self.numbers.get(step).copied().into_iter().collect();
        while let Some(number) = todo.pop() {
            if found.insert(number) {
                todo.extend(&edges[number]);
            }
        }
        found.into_iter().map(|number| self.names[number].as_str()).collect()
    }

    /// Kahn's algorithm with the smallest number first.
    fn sort(&mut self) -> Result<(), Fault> {
        let mut open: Vec<usize> = self.needs.iter().map(Vec::len).collect();
        let mut ready: BTreeSet<usize> = (0..open.len()).filter(|&step| open[step] == 0).collect();
        while let Some(step) = ready.pop_first() {
            self.order.push(step);
            for &next in &self.dependents[step] {
                open[next] -= 1;
                if open[next] == 0 {
                    ready.insert(next);
                }
            }
        }
        if self.order.len() == self.names.len() { Ok(()) } else { Err(self.cycle(&open)) }
    }

    /// Walks from need to need among the steps that could not be ordered until one comes again.
    fn cycle(&self, open: &[usize]) -> Fault {
        let mut path: Vec<usize> = Vec::new();
        let mut step = open.iter().position(|&count| count > 0);
        while let Some(current) = step {
            if let Some(start) = path.iter().position(|&seen| seen == current) {
                let mut cycle: Vec<String> = path[start..].iter().map(|&step| self.names[step].clone()).collect();
                cycle.push(self.names[current].clone());
                return Fault::Cycle(cycle);
            }
            path.push(current);
            step = self.needs[current].iter().copied().find(|&need| open[need] > 0);
        }
        Fault::Cycle(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(steps: &[(&'static str, &[&'static str])]) -> Result<Graph, Fault> {
        Graph::new(steps.iter().map(|(name, needs)| (*name, needs.iter().copied())))
    }

    #[test]
    fn steps_come_after_what_they_need_and_keep_their_place_otherwise() {
        let graph = graph(&[("c", &["a"]), ("b", &[]), ("a", &["b"]), ("d", &[])]).unwrap();
        assert_eq!(graph.order().collect::<Vec<_>>(), ["b", "a", "c", "d"]);
        assert_eq!(graph.needs("c").collect::<Vec<_>>(), ["a"]);
        assert_eq!(graph.dependents("b").collect::<Vec<_>>(), ["a"]);
        assert_eq!(graph.with_needs("c").into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(graph.with_dependents("b").into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(graph.needs("nobody").count(), 0);
    }

    #[test]
    fn cycles_are_named() {
        let found = graph(&[("x", &["a"]), ("a", &["b"]), ("b", &["a"])]).unwrap_err();
        assert_eq!(found, Fault::Cycle(vec!["a".into(), "b".into(), "a".into()]));
        assert_eq!(found.to_string(), "steps need each other: a → b → a");
        assert_eq!(graph(&[("a", &["a"])]).unwrap_err(), Fault::Cycle(vec!["a".into(), "a".into()]));
    }

    #[test]
    fn what_is_missing_or_there_twice_is_named() {
        let missing = graph(&[("a", &["b"])]).unwrap_err();
        assert_eq!(missing, Fault::Missing { step: "a".into(), need: "b".into() });
        assert_eq!(graph(&[("a", &[]), ("a", &[])]).unwrap_err(), Fault::Twice("a".into()));
    }

    #[test]
    fn the_longest_path_counts_time_not_steps() {
        let graph = graph(&[("a", &[]), ("b", &["a"]), ("c", &["b"]), ("slow", &["a"]), ("alone", &[])]).unwrap();
        let takes = |step: &str| Duration::from_secs(if step == "slow" { 10 } else { 1 });
        assert_eq!(graph.longest_path(takes), (vec!["a", "slow"], Duration::from_secs(11)));
        assert_eq!(graph.remaining(takes)["b"], Duration::from_secs(2));
        assert_eq!(Graph::default().longest_path(takes), (vec![], Duration::ZERO));
    }

    #[test]
    fn ten_thousand_steps_are_ordered_at_once() {
        let names: Vec<String> = (0..10_000).map(|number| format!("s{number}")).collect();
        let steps = names
            .iter()
            .enumerate()
            .map(|(number, name)| (name.as_str(), number.checked_sub(1).map(|before| names[before].as_str())));
        let graph = Graph::new(steps).unwrap();
        assert_eq!(graph.longest_path(|_| Duration::from_secs(1)).0.len(), 10_000);
    }
}
