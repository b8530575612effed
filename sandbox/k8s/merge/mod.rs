//! How objects are merged: schemas, field sets, server-side apply, strategic merge.

pub mod apply;
pub mod fields;
pub mod managers;
pub mod schema;
pub mod strategic;
