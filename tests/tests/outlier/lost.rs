//! Hosts that die.
