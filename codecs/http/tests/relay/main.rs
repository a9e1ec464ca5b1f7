//! HTTP through the stream relay over real sockets, with hosts and clients in the hands of the test.

mod across;
mod conclusions;
mod interim;
mod keepalive;
mod peer;
mod plain;
mod retries;
mod rig;
mod strict;
mod times;
