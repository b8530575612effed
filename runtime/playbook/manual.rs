//! The manual of the functions that playbooks have beside the bindings and the script language's own.

/// One function.
#[derive(Debug, Clone, Copy)]
pub struct Function {
    /// How it is written: `fail(message, hint?)`.
    pub usage: &'static str,
    /// What it does.
    pub meaning: &'static str,
}

impl Function {
    /// Its name alone.
    pub fn name(&self) -> &'static str {
        let head = self.usage.split('(').next().unwrap_or_default();
        head.rsplit('.').next().unwrap_or_default()
    }
}

const fn entry(usage: &'static str, meaning: &'static str) -> Function {
    Function { usage, meaning }
}

/// All of them, by section.
pub const FUNCTIONS: &[(&str, &[Function])] =
    &[("Steps", STEPS), ("Settings", SETTINGS), ("Forks", FORKS), ("Words and decisions", WORDS), ("Data", DATA)];

const STEPS: &[Function] = &[
    entry(
        "step(name, |need, …| …)",
        "Declares a step. The names of the parameters are the steps it needs; the last value is its output. The comment \
         above it is its description.",
    ),
    entry("step.after(other)", "Runs after that step (or a list of steps) without taking its output."),
    entry("step.timeout(duration)", "How long it may take: `\"90s\"`, `\"45m\"`, `\"1h30m\"`."),
    entry("step.retry(times)", "How often it is tried again when it fails; 0 to 100."),
    entry(
        "step.when(condition)",
        "Whether it runs at all. Of several conditions all must hold. Steps that need it get `()`.",
    ),
    entry("step.protect()", "What it makes is deleted with `--allow-delete NAME` only."),
    entry(
        "parallel(closures)",
        "Runs closures without parameters at the same time, inside a step, and gives the list of their results.",
    ),
    entry(
        "target(cloud, map)",
        "What is to be known about a cloud: `target(\"aws\", #{ region: \"eu-west-1\", account: \"\", profile: \"\" })`.",
    ),
];

const SETTINGS: &[Function] = &[
    entry(
        "settings(defaults)",
        "Declares settings and gives their values. The type of each default is its type, its comment its description.",
    ),
    entry("int_range(min, default, max)", "A default: a whole number within bounds."),
    entry("choice(default, all)", "A default: one value of a list."),
    entry("cidr(default)", "A default: a range of addresses."),
    entry(
        "secret(text)",
        "A default, `secret(\"\")`: a text that is shown nowhere. Inside a step: a text that is secret from there on.",
    ),
    entry("text_or_none()", "A default: nothing, or a text."),
    entry("open_map(default)", "A default: a map with names of the user's choice."),
    entry("settings.to_map()", "A section of the settings as a map that can be changed."),
];

const FORKS: &[Function] = &[
    entry(
        "extends(playbook, settings?)",
        "Takes over all steps of another playbook, with other defaults of its settings.",
    ),
    entry("replace(step, |need, …| …)", "Gives a step another body."),
    entry(
        "wrap(step, |base, need, …| …)",
        "Puts code around a body: `base.call()` runs the former one, with the outputs of its needs or with those given.",
    ),
    entry("insert_before(step, name, |need, …| …)", "Declares a step that runs before another."),
    entry(
        "insert_after(step, name, |need, …| …)",
        "Declares a step that runs after another, and before all that waited for it.",
    ),
    entry("remove(step)", "Takes a step away. Nothing may need it any more."),
];

const WORDS: &[Function] = &[
    entry("print(text)", "Says something. Secrets in it are hidden."),
    entry("warn(text)", "Says it as a warning."),
    entry("fail(message, hint?)", "Ends the step with an error."),
    entry(
        "assert(holds, message, hint?)",
        "Ends the step with an error unless it holds. What a plan does not know yet passes.",
    ),
];

const DATA: &[Function] = &[
    entry(
        "get(map, key, default)",
        "The value of a key, or the default where it is missing or `()`. Works on `()` as well.",
    ),
    entry("merge(into, from)", "A map of both, map by map; `from` wins."),
    entry("flatten(list)", "A list without the lists in it: their items stand in their place."),
    entry(
        "list.find_index(|item| …)",
        "The place of the first item for which the closure gives `true`, counted from 0; -1 when there is none.",
    ),
    entry("join(list, between)", "Texts and numbers as one text."),
    entry("trimmed(text)", "A text without white space round it."),
    entry("indent(text, spaces)", "A text with each line moved in."),
    entry("base64(text)", "A text in base64. Of a secret: a secret."),
    entry("base64_decode(text)", "What a text in base64 stands for."),
    entry("sha256(text)", "The SHA-256 of a text, in hex."),
    entry("to_json(value)", "A value as JSON."),
    entry("to_yaml(value)", "A value as YAML."),
    entry("from_json(text)", "What a JSON text says."),
    entry("parse_json(text)", "The same as `from_json`."),
    entry("from_yaml(text)", "What a YAML text says."),
    entry(
        "cidr_subnet(range, bits, number)",
        "The part `number`, counted from 0, of a range cut into parts that are `bits` bits smaller.",
    ),
    entry("cidr_contains(range, other)", "Whether a range or an address lies in a range."),
    entry("read_file(path)", "The text of a file in the playbook's folder, or one named by `--allow-read`."),
];
