//! Documents compared with those of pypushflow.
