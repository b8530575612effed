//! Faults on demand: errors, lost replies, delays and slow visibility, by rule.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// When a rule fires and what happens then. Every matcher that is left out matches everything.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaultRule {
    /// Service as its signing name (`ec2`, `eks`, `kubernetes`); `*` stands for any text.
    pub service: Option<String>,
    /// Operation (`CreateVpc`, `Create*`), or for Kubernetes `METHOD /path*`.
    pub operation: Option<String>,
    /// Fire only at the n-th matching call, counted from 1.
    pub nth: Option<u64>,
    /// Fire this many times, then never again.
    pub count: Option<u64>,
    /// Fire with this probability, from 0 to 1, by the generator that `seed` starts.
    pub probability: Option<f64>,
    /// Seed of the generator, 0 when left out: the same calls in the same order meet the same faults.
    pub seed: Option<u64>,
    /// What happens.
    pub action: FaultAction,
}

/// What a rule does. Several may be combined.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaultAction {
    /// Wait this long before anything else.
    pub delay_ms: Option<u64>,
    /// Do the work at once, and answer this much later.
    pub reply_delay_ms: Option<u64>,
    /// Answer with this error instead of doing the work.
    pub error: Option<FaultError>,
    /// Close the connection without an answer and without doing the work.
    pub drop_before: bool,
    /// Do the work, then close the connection without an answer.
    pub drop_after: bool,
    /// Hide what this create makes from the next this many reads.
    pub not_found_for: Option<u32>,
    /// What this create begins ends failed (`CREATE_FAILED`, `failed`), with this text as its reason.
    pub create_fails: Option<String>,
}

/// An error of the service's own shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultError {
    /// Error code such as `Throttling`, `RequestLimitExceeded`, `ServiceUnavailable`, `ExpiredToken`.
    pub code: String,
    /// HTTP status; 400 when left out, 503 for `ServiceUnavailable`, 500 for `Internal*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Message; a plain one when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl FaultError {
    /// The status that is sent.
    pub fn status(&self) -> u16 {
        self.status.unwrap_or(match self.code.as_str() {
            "ServiceUnavailable" | "ServiceUnavailableException" | "SlowDown" | "Unavailable" => 503,
            code if code.starts_with("Internal") => 500,
            _ => 400,
        })
    }

    /// The message that is sent.
    pub fn message(&self) -> &str {
        self.message.as_deref().unwrap_or(match self.code.as_str() {
            "Throttling" | "ThrottlingException" => "Rate exceeded",
            "RequestLimitExceeded" => "Request limit exceeded.",
            "ExpiredToken" | "ExpiredTokenException" => "The security token included in the request is expired",
            _ => "an injected fault",
        })
    }
}

struct Armed {
    rule: FaultRule,
    matched: u64,
    fired: u64,
    random: u64,
}

/// The rules of one simulation.
#[derive(Default)]
pub struct Faults {
    armed: Mutex<Vec<Armed>>,
}

impl Faults {
    /// Rules that hold from the start.
    pub fn new(rules: Vec<FaultRule>) -> Self {
        let faults = Self::default();
        faults.set(rules);
        faults
    }

    /// Replaces all rules.
    pub fn set(&self, rules: Vec<FaultRule>) {
        let armed = rules.into_iter().map(|rule| Armed { random: rule.seed.unwrap_or(0), rule, matched: 0, fired: 0 });
        *self.armed.lock().unwrap_or_else(PoisonError::into_inner) = armed.collect();
    }

    /// Adds rules to those that hold.
    pub fn add(&self, rules: Vec<FaultRule>) {
        let mut all = self.armed.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(rules.into_iter().map(|rule| Armed { random: rule.seed.unwrap_or(0), rule, matched: 0, fired: 0 }));
    }

    /// The rules that hold, each with how often it has fired.
    pub fn list(&self) -> Vec<(FaultRule, u64)> {
        let all = self.armed.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|armed| (armed.rule.clone(), armed.fired)).collect()
    }

    /// What happens to this call: the actions of the first rule that fires.
    pub fn meet(&self, service: &str, operation: &str) -> FaultAction {
        let mut all = self.armed.lock().unwrap_or_else(PoisonError::into_inner);
        let hit = all.iter_mut().find_map(|armed| armed.meets(service, operation).then(|| armed.rule.action.clone()));
        hit.unwrap_or_default()
    }
}

impl Armed {
    fn meets(&mut self, service: &str, operation: &str) -> bool {
        let rule = &self.rule;
        let fits = |pattern: &Option<String>, text: &str| pattern.as_deref().is_none_or(|p| glob(p, text));
        if !fits(&rule.service, service) || !fits(&rule.operation, operation) {
            return false;
        }
        self.matched += 1;
        let by_number = rule.nth.is_none_or(|nth| nth == self.matched);
        let by_count = rule.count.is_none_or(|count| self.fired < count);
        let by_chance = rule.probability.is_none_or(|p| next_unit(&mut self.random) < p);
        let fires = by_number && by_count && by_chance;
        self.fired += u64::from(fires);
        fires
    }
}

/// SplitMix64, reduced to the unit interval: a fixed sequence per seed is all that is asked for.
fn next_unit(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    #[allow(clippy::cast_precision_loss)]
    let unit = ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64;
    unit
}

/// Whether `text` fits `pattern`, in which `*` stands for any text and `?` for one character.
pub fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        if p < pattern.len() && pattern[p] == '*' {
            star = Some((p, t));
            p += 1;
        } else if p < pattern.len() && (pattern[p] == '?' || pattern[p] == text[t]) {
            p += 1;
            t += 1;
        } else if let Some((at, seen)) = star {
            star = Some((at, seen + 1));
            p = at + 1;
            t = seen + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(json: &str) -> FaultRule {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn globs() {
        assert!(glob("Create*", "CreateVpc") && glob("*", "") && glob("a?c*e", "abcdde"));
        assert!(!glob("Create*", "DeleteVpc") && !glob("a", "ab"));
    }

    #[test]
    fn nth_and_count() {
        let faults = Faults::new(vec![
            rule(r#"{"service":"ec2","operation":"Create*","nth":2,"action":{"drop_after":true}}"#),
            rule(r#"{"service":"iam","count":2,"action":{"error":{"code":"Throttling"}}}"#),
        ]);
        let dropped: Vec<bool> = (0..3).map(|_| faults.meet("ec2", "CreateVpc").drop_after).collect();
        assert_eq!(dropped, [false, true, false]);
        let throttled: Vec<bool> = (0..3).map(|_| faults.meet("iam", "GetRole").error.is_some()).collect();
        assert_eq!(throttled, [true, true, false]);
        assert_eq!(faults.list()[1].1, 2);
    }

    #[test]
    fn chance_repeats_with_its_seed() {
        let run = |seed| {
            let faults = Faults::new(vec![rule(&format!(
                r#"{{"probability":0.3,"seed":{seed},"action":{{"drop_before":true}}}}"#
            ))]);
            (0..200).map(|_| faults.meet("a", "b").drop_before).collect::<Vec<_>>()
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
        let fired = run(7).iter().filter(|x| **x).count();
        assert!((30..90).contains(&fired), "{fired}");
    }
}
