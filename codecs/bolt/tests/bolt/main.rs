//! Bolt frames made here, octet by octet; frames of other implementations are in `conformance`.

mod answers;
mod classes;
mod edits;
mod framing;
mod made;
mod properties;
mod views;
