//! Diagnoses by their names in files.

use bms_core::safety::table::Diagnosis;
use serde::Serializer;

pub(super) fn one<S: Serializer>(id: &Option<Diagnosis>, to: S) -> Result<S::Ok, S::Error> {
    match id {
        Some(id) => to.serialize_some(id.entry().name),
        None => to.serialize_none(),
    }
}

pub(super) fn many<S: Serializer>(ids: &[Diagnosis], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(ids.iter().map(|id| id.entry().name))
}
