//! A rule holds whoever answers; what a greedy server gets without one.
