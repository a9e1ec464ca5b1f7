//! Clusters and policies from version to version.
