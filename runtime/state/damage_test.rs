//! What a log in a folder makes of damaged, missing and unfinished files.

use super::{
    Log,
    keys::Keys,
    lease::MachineClock,
    log_test::{World, all_files, intent, timing, who},
};
use serde_json::json;
use std::{fs, sync::Arc, time::Duration};

#[tokio::test]
async fn snapshots_stand_for_what_is_deleted() {
    let world = World::new();
    let clock = Arc::new(MachineClock::default());
    let log = Log::open_with(&world.place(), "demo", &world.keys(), clock, timing(60_000)).await.unwrap();
    let lease = log.acquire(who("h")).await.unwrap();
    for number in 0..60 {
        log.append(vec![intent(&format!("r{number}"), json!({ "n": number }))]).await.unwrap();
    }
    log.release(lease).await.unwrap();
    let before = log.with(Clone::clone);
    assert_eq!(world.snapshots().len(), 2);
    assert!(world.records().len() < 50, "{} records", world.records().len());
    assert!(world.record(1).exists(), "the record of the lease stays");
    assert_eq!(world.open().await.with(Clone::clone), before);
    // The newest snapshot is damaged: the error says so, and moving it away is enough.
    let newest = world.snapshots()[1].clone();
    fs::write(&newest, "rubbish").unwrap();
    let damaged = world.open_error().await;
    assert!(damaged.hint.unwrap().contains("move it away"));
    fs::remove_file(newest).unwrap();
    assert_eq!(world.open().await.with(Clone::clone), before);
}

async fn three_records(world: &World) {
    let log = world.open().await;
    let lease = log.acquire(who("h")).await.unwrap();
    log.append(vec![intent("a", json!(1))]).await.unwrap();
    log.append(vec![intent("b", json!(1))]).await.unwrap();
    lease.forsake();
    tokio::task::yield_now().await;
}

#[tokio::test]
async fn a_damaged_record_is_named_and_nothing_is_written() {
    let world = World::new();
    three_records(&world).await;
    let text = fs::read_to_string(world.record(2)).unwrap();
    let one_letter = text.replace("token-a", "token-b");
    let newer = text.replace("\"format\":2", "\"format\":3").split(",\"sha256\"").next().unwrap().to_owned();
    for (content, says) in [
        (one_letter.as_str(), "its checksum does not fit"),
        ("", "it is cut off"),
        (&text[..40], "it is cut off"),
        ("rubbish", "it is no record"),
        (newer.as_str(), "has format 3"),
    ] {
        fs::write(world.record(2), content).unwrap();
        let before: Vec<_> = all_files(world.folder.path()).iter().map(|path| fs::read(path).unwrap()).collect();
        let error = world.open_error().await;
        let told = format!("{error} {}", error.hint.clone().unwrap());
        assert!(told.contains(says), "{told}");
        assert!(told.contains("log/0000000002.json") || told.contains("newer"), "{told}");
        let after: Vec<_> = all_files(world.folder.path()).iter().map(|path| fs::read(path).unwrap()).collect();
        assert_eq!(before, after);
    }
    fs::remove_file(world.record(2)).unwrap();
    assert!(world.open_error().await.to_string().contains("it is missing"));
    fs::write(world.record(2), text).unwrap();
    assert_eq!(world.open().await.with(|state| state.resources.len()), 2);
}

#[tokio::test]
async fn a_torn_last_record_was_never_acknowledged_and_is_void() {
    for kept in [0, 60] {
        let world = World::new();
        three_records(&world).await;
        let text = fs::read_to_string(world.record(3)).unwrap();
        fs::write(world.record(3), &text[..kept]).unwrap();
        let log = world.open().await;
        assert_eq!(log.with(|state| state.resources.len()), 1);
        let lease = log.acquire(who("h")).await.unwrap();
        assert!(log.notices().iter().any(|notice| notice.contains("0000000003.json` is cut off")));
        log.append(vec![intent("c", json!(1))]).await.unwrap();
        log.release(lease).await.unwrap();
        let names: Vec<String> = world.open().await.with(|state| state.resources.keys().cloned().collect());
        assert_eq!(names, ["k/a", "k/c"]);
    }
}

#[tokio::test]
async fn rotating_leaves_nothing_in_a_torn_record() {
    let world = World::new();
    three_records(&world).await;
    let text = fs::read_to_string(world.record(3)).unwrap();
    fs::write(world.record(3), &text[..text.len() - 80]).unwrap();
    let log = world.open().await;
    let lease = log.acquire(who("h")).await.unwrap();
    assert!(fs::read_to_string(world.record(3)).unwrap().contains("token-b"));
    let theirs = Keys::in_folder(&world.folder.path().join("theirs"));
    log.rotate(theirs.default_recipients().unwrap()).await.unwrap();
    log.append(vec![intent("c", json!(1))]).await.unwrap();
    log.release(lease).await.unwrap();
    assert_eq!(fs::read(world.record(3)).unwrap(), b"", "the number stays taken");
    let read = Log::open(&world.place(), "demo", &theirs).await.unwrap();
    let names: Vec<String> = read.with(|state| state.resources.keys().cloned().collect());
    assert_eq!(names, ["k/a", "k/c"]);
}

#[tokio::test]
async fn a_draft_of_a_killed_writer_is_passed_over() {
    let world = World::new();
    three_records(&world).await;
    let draft = world.folder.path().join("state/demo/log/0000000004.json#1");
    fs::write(&draft, "half a rec").unwrap();
    let log = world.open().await;
    assert_eq!(log.with(|state| state.resources.len()), 2);
    let old = std::time::SystemTime::now() - Duration::from_hours(2);
    fs::File::options().write(true).open(&draft).unwrap().set_modified(old).unwrap();
    let lease = log.acquire(who("h")).await.unwrap();
    assert!(!draft.exists());
    log.release(lease).await.unwrap();
}

#[tokio::test]
async fn a_disk_that_refuses_ends_the_tenure_and_keeps_what_is_recorded() {
    let world = World::new();
    let log = world.open().await;
    let _lease = log.acquire(who("h")).await.unwrap();
    log.append(vec![intent("a", json!(1))]).await.unwrap();
    // A folder where the log shall put its draft: the same for root and for others.
    let folder = world.folder.path().join("state/demo/log");
    let kept = world.folder.path().join("state/demo/kept");
    fs::rename(&folder, &kept).unwrap();
    fs::write(&folder, "no folder").unwrap();
    let refused = log.append(vec![intent("b", json!(1))]).await.unwrap_err();
    assert!(refused.message.contains("cannot record in stack `demo`") && refused.cause.is_some(), "{refused}");
    assert!(log.lease_ok().is_err() && log.append(vec![intent("c", json!(1))]).await.is_err());
    fs::remove_file(&folder).unwrap();
    fs::rename(&kept, &folder).unwrap();
    assert_eq!(world.open().await.with(|state| state.resources.len()), 1);
}
