//! Playbooks of ten to ten thousand resources: time and memory grow in proportion.

use crate::{
    measured::{Figure, Measured},
    support::Place,
};

const SIZES: [u32; 4] = [10, 100, 1000, 10_000];
/// Resources of a step.
const A_STEP: u32 = 10;
/// How much dearer a resource of the largest playbook may be than one of the playbook a tenth as large: a disk that is written
/// to for longer is slower.
const PROPORTION: f64 = 1.5;

/// Users of IAM, in steps of ten: what the simulated cloud finds by name, so that its own lists do not count.
fn generated(resources: u32) -> String {
    format!(
        r#"target("aws", #{{ region: "eu-west-1" }});
for number in 0..{steps} {{
    step(`users-${{number}}`, || {{
        for nth in 0..{A_STEP} {{
            aws::iam::user(#{{ name: `user-${{number}}-${{nth}}` }});
        }}
    }});
}}
"#,
        steps = resources / A_STEP,
    )
}

/// What one size took.
struct Size {
    resources: u32,
    first: Measured,
    again: Measured,
}

fn measure(resources: u32) -> Size {
    let place = Place::new();
    place.write("grown.rhai", &generated(resources));
    let run = || Measured::of(place.command(&["run", "grown.rhai", "--pace", "max", "--yes"]));
    let (first, again) = (run(), run());
    let made = place.resources().len();
    assert_eq!(made, resources as usize, "all are made");
    Size { resources, first, again }
}

/// Time and memory of each size, and how they grow.
pub fn figures() -> Vec<Figure> {
    let sizes: Vec<Size> = SIZES.iter().map(|size| measure(*size)).collect();
    let mut figures = Vec::new();
    for size in &sizes {
        let one = |value: f64| std::iter::once(value);
        let name = format!("{} resources", size.resources);
        figures.push(Figure::over(format!("{name}, first run"), "s", one(size.first.s())));
        figures.push(Figure::over(format!("{name}, again"), "s", one(size.again.s())));
        figures.push(Figure::over(format!("{name}, memory"), "MB", one(size.first.mb().max(size.again.mb()))));
    }
    let [.., tenth, whole] = &sizes[..] else { return figures };
    let times = f64::from(whole.resources) / f64::from(tenth.resources);
    let grown = |what: &str, small: f64, large: f64| {
        let what = format!("{what} of a resource, {} to {} resources", tenth.resources, whole.resources);
        Figure::over(what, "×", std::iter::once(large / small / times)).at_most(PROPORTION)
    };
    figures.push(grown("time of the first run", tenth.first.s(), whole.first.s()));
    figures.push(grown("time of the next run", tenth.again.s(), whole.again.s()));
    figures.push(grown("memory", tenth.first.mb(), whole.first.mb()));
    figures
}
