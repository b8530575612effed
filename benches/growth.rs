//! Playbooks of ten to ten thousand resources: time and memory grow in proportion.

use crate::{
    measured::{Figure, Measured},
    support::Place,
};

const SIZES: [u32; 4] = [10, 100, 1000, 10_000];
/// Resources of a step.
const A_STEP: u32 = 10;
/// How much dearer a resource of the largest playbook may be than one of the playbook a tenth as large.
const PROPORTION: f64 = 1.3;

/// Security groups in one network, in steps of ten.
fn generated(resources: u32) -> String {
    format!(
        r#"target("aws", #{{ region: "eu-west-1" }});
step("network", || aws::ec2::vpc(#{{ name: "grown", cidr: "10.0.0.0/16" }}));
for number in 0..{steps} {{
    step(`groups-${{number}}`, |network| {{
        for nth in 0..{A_STEP} {{
            if number * {A_STEP} + nth < {groups} {{
                aws::ec2::security_group(#{{ name: `group-${{number}}-${{nth}}`, description: "one of many", vpc: network.id }});
            }}
        }}
    }});
}}
"#,
        steps = resources.div_ceil(A_STEP),
        groups = resources - 1,
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
