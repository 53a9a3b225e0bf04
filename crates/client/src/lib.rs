//! Typed client of API v3.
