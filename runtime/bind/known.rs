//! What is wrong with a resource's arguments whatever those of them will be that are not known yet.

use super::Resource;
use crate::{
    error::Result,
    value::{has_unknown, revealed},
};
use serde_json::Value;

/// Fits most rules about texts, and is no text that anyone writes.
const FILLING: &str = "xxxxxxxxxxxx";

/// The kind's own rules where unknowns stand among the arguments: a mistake counts when there is one whatever they will be, and
/// it names a value that is known.
pub(super) fn known_values<R: Resource>(args: &Value) -> Result<()> {
    let mistake = |args: &Value| R::validate(&serde_json::from_value::<R::Args>(revealed(args)).ok()?).err();
    let (Some(_), Some(mistake)) = (mistake(args), mistake(&filled(args))) else { return Ok(()) };
    let said = format!("{} {}", mistake, mistake.hint.as_deref().unwrap_or_default());
    let fields = || args.as_object().into_iter().flatten();
    let of_unknown =
        fields().any(|(field, value)| value.is_string() && has_unknown(value) && said.contains(&format!("`{field}`")));
    if !said.contains(FILLING) && !of_unknown && fields().any(|(field, value)| names(&said, field, value)) {
        return Err(mistake);
    }
    Ok(())
}

/// Whether `said` names what is known in `value`: a text by itself, a number by itself or by its field.
fn names(said: &str, field: &str, value: &Value) -> bool {
    let quoted = |text: &str| said.contains(&format!("`{text}`"));
    match value {
        Value::String(text) => !has_unknown(value) && quoted(text),
        Value::Number(number) => quoted(&number.to_string()) || quoted(field),
        Value::Array(items) => items.iter().any(|item| names(said, field, item)),
        Value::Object(map) => map.iter().any(|(field, value)| names(said, field, value)),
        _ => false,
    }
}

/// The arguments with a text of letters for each that is not known.
fn filled(args: &Value) -> Value {
    match args {
        Value::String(_) if has_unknown(args) => Value::String(FILLING.to_owned()),
        Value::Array(items) => items.iter().map(filled).collect(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), filled(value))).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_said_names_a_value_at_any_depth() {
        assert!(names("`foo` in `cidrs` is no block", "cidrs", &json!(["10.0.0.0/8", "foo"])));
        assert!(names("`Bad` is no name", "manifest", &json!({ "metadata": { "name": "Bad" } })));
        assert!(names("`storage_gib` is 5", "storage_gib", &json!(5)));
        assert!(!names("`storage_gib` is 5", "max_storage_gib", &json!(5)));
        assert!(!names("`foo` is odd", "cidrs", &json!([crate::value::unknown("foo")])));
    }
}
