//! Commands at full pace in a world, and what they left: calls of the clouds, files of the state.

use super::{Ended, world::World, writes};
use serde_json::Value;
use std::path::PathBuf;

/// The options that make a command as fast as the machine.
pub const MAX: [&str; 2] = ["--pace", "max"];

/// Plays a command.
pub fn play(world: &World, args: &[&str]) -> Ended {
    world.play(&[args, &MAX].concat(), &[])
}

/// Plays a command, which must end well.
pub fn play_ok(world: &World, args: &[&str]) -> Ended {
    let done = play(world, args);
    assert_eq!(done.code, 0, "{args:?}\n{}\n{}", done.stdout, done.stderr);
    done
}

/// The calls since the last [`forget_calls`].
pub fn calls(world: &World) -> Vec<Value> {
    world.admin("GET", "calls", "").as_array().expect("a list").clone()
}

/// Those of them that the clouds count as writes.
pub fn written(world: &World) -> Vec<String> {
    writes(&calls(world))
}

pub fn forget_calls(world: &World) {
    world.admin("DELETE", "calls", "");
}

/// Every file of the state with its content, but those of the simulated clouds.
pub fn state_files(world: &World) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut queue = vec![world.place.path().join(".gitpod-play")];
    while let Some(folder) = queue.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("sandbox") {
                queue.push(path);
            } else if path.is_file() {
                files.push((path.clone(), std::fs::read(&path).expect("a file")));
            }
        }
    }
    files.sort();
    files
}
